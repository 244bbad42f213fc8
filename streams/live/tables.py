"""The tables of a book's state file: what a checkpoint writes into them, and what is read back.

Rows of plain accounts (:mod:`detectors.rows`) stand in ``pieces``: each checkpoint appends one with what has changed, a later
one goes before an earlier one, and neighbours are merged as soon as the later is as large, so that there are few. A table
row for each account was slower by an order: a checkpoint's accounts lie anywhere, and nearly every page of the file is
written twice for them. Rows of counterparty profiles stand in ``profiles`` in the same way. ``seen`` holds the ids of records,
``waiting`` the scored payments whose outcome may come, ``graph`` what is not in pieces, ``meta`` what belongs to the whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from detectors.accounts import Account
from detectors.engine import Engine
from detectors.learners.triage import Halves, Triage, Waiting
from detectors.parts import Key, graph_of
from detectors.profile import ROW_BYTES
from detectors.recent import Recent
from detectors.rows import ENTANGLED, WITH_HISTORY, ColdAccounts, kind_of, pack
from detectors.tracer import Tracer

Meta = dict[str, int | str]

TABLES = """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE pieces (part INTEGER PRIMARY KEY, rows INTEGER NOT NULL, packed BLOB NOT NULL);
    CREATE TABLE graph (name TEXT PRIMARY KEY, packed BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE seen (part INTEGER PRIMARY KEY, turn INTEGER NOT NULL, packed BLOB NOT NULL);
    CREATE TABLE profiles (part INTEGER PRIMARY KEY, rows INTEGER NOT NULL, packed BLOB NOT NULL);
    CREATE TABLE waiting (part INTEGER PRIMARY KEY, turn INTEGER NOT NULL, packed BLOB NOT NULL)
"""
COMPRESSION_LEVEL = 1


class Piece(msgspec.Struct, array_like=True, gc=False):
    """Accounts of one checkpoint or of several: currency -> account id -> row; None: it is no row any more."""

    rows: dict[str, dict[str, bytes | None]]
    holders: list[Key]  # those whose rows hold transfers

    def number(self) -> int:
        return sum(len(book) for book in self.rows.values())

    def put(self, later: Piece) -> None:
        """What a later piece says goes before what this one says."""
        self.holders = [
            key for key in self.holders if key[1] not in later.rows.get(key[0], ())
        ] + later.holders  # fmt: skip
        for currency, book in later.rows.items():
            self.rows.setdefault(currency, {}).update(book)

    def drop_gone(self) -> None:
        """Nothing stands before this piece: what is no row need not be said."""
        for book in self.rows.values():
            for account_id in [account_id for account_id, row in book.items() if row is None]:
                del book[account_id]


def _pack(value: Any) -> bytes:
    return zstandard.compress(msgspec.msgpack.encode(value), COMPRESSION_LEVEL)


def _unpack(packed: bytes, kind: Any = Any) -> Any:
    return msgspec.msgpack.decode(zstandard.decompress(packed), type=kind)


def has_tables(file: sqlite3.Connection) -> bool:
    """False as long as no checkpoint was ever finished."""
    return bool(file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0])


def make_tables(file: sqlite3.Connection) -> None:
    """The tables of a file that has none."""
    for statement in TABLES.split(";"):
        file.execute(statement)


def clear(file: sqlite3.Connection) -> None:
    """Empty all tables: everything is about to be written."""
    for table in ("meta", "pieces", "graph", "seen", "profiles", "waiting"):
        file.execute(f"DELETE FROM {table}")


def read_meta(file: sqlite3.Connection) -> Meta:
    """What belongs to the whole."""
    return dict(file.execute("SELECT name, value FROM meta"))


def write_meta(file: sqlite3.Connection, meta: Meta) -> None:
    """Replace what belongs to the whole."""
    file.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


# --- accounts ---------------------------------------------------------------------------------------------------------


def write_all(file: sqlite3.Connection, engine: Engine) -> int:
    """Every account; returns how many rows were written."""
    tracer = engine.tracer
    piece, tied = _sorted_out((account.currency, account.account_id, account) for account in _warm(tracer))
    if tracer.cold is not None:  # still packed, as it was read
        for currency, book in tracer.cold.packed.items():
            piece.rows.setdefault(currency, {}).update(book)
        piece.holders += [key for key in tracer.cold.holders if key[1] in tracer.cold.packed.get(key[0], ())]
    _append(file, piece)
    _write_graph(file, engine, tied)
    return piece.number()


def _warm(tracer: Tracer) -> Iterable[Account]:
    return (account for book in tracer.accounts.values() for account in book.values())


def write_touched(file: sqlite3.Connection, engine: Engine, touched: Iterable[Account]) -> int:
    """The accounts that may have changed since the file was written; returns how many rows were."""
    books = engine.tracer.accounts
    keys = sorted({(account.currency, account.account_id) for account in touched})
    piece, tied = _sorted_out((*key, books.get(key[0], {}).get(key[1])) for key in keys)
    before = _unpack(file.execute("SELECT packed FROM graph WHERE name = 'entangled'").fetchone()[0], list[Key])
    looked_up = set(keys)
    _append(file, piece)
    _write_graph(file, engine, [key for key in before if key not in looked_up] + tied)
    return piece.number()


def _sorted_out(accounts: Iterable[tuple[str, str, Account | None]]) -> tuple[Piece, list[Key]]:
    """Accounts by (currency, id), None for one that was closed: (rows of the plain, keys of the entangled)."""
    piece, tied = Piece({}, []), []
    for currency, account_id, account in accounts:
        kind = kind_of(account) if account is not None else None
        row = None
        if kind == ENTANGLED:
            tied.append((currency, account_id))
        elif account is not None:
            row = pack(account)
            if kind == WITH_HISTORY:
                piece.holders.append((currency, account_id))
        piece.rows.setdefault(currency, {})[account_id] = row
    return piece, tied


def _append(file: sqlite3.Connection, piece: Piece) -> None:
    """Add a piece behind the others, merged with those before it that are not larger."""
    number = piece.number()
    while (last := file.execute("SELECT part, rows FROM pieces ORDER BY part DESC LIMIT 1").fetchone()) is not None:
        part, rows = last
        if rows > number:
            break
        merged = _unpack(file.execute("SELECT packed FROM pieces WHERE part = ?", (part,)).fetchone()[0], Piece)
        merged.put(piece)
        piece, number = merged, merged.number()
        file.execute("DELETE FROM pieces WHERE part = ?", (part,))
    if last is None:
        piece.drop_gone()
    if number:
        file.execute("INSERT INTO pieces (rows, packed) VALUES (?, ?)", (number, _pack(piece)))


def read_accounts(file: sqlite3.Connection) -> ColdAccounts:
    """The plain accounts, packed."""
    whole = Piece({}, [])
    for (packed,) in file.execute("SELECT packed FROM pieces ORDER BY part"):
        whole.put(_unpack(packed, Piece))
    whole.drop_gone()
    return ColdAccounts(whole.rows, frozenset(whole.holders))  # type: ignore[arg-type]  # none of the rows is None now


# --- profiles of counterparties -----------------------------------------------------------------------------------------


class ProfilePiece(msgspec.Struct, array_like=True):
    """Rows of profiles of one checkpoint or of several, one behind the other: a million are too many to be taken singly."""

    rows: bytes  # their places, 32-bit integers
    names: list[str]  # of their accounts
    packed: bytes  # their numbers

    def with_earlier(self, earlier: ProfilePiece) -> ProfilePiece:
        """Both in one: what this piece says goes before what an earlier one says."""
        kept = ~np.isin(_places(earlier.rows), _places(self.rows))
        names = [name for name, is_kept in zip(earlier.names, kept.tolist(), strict=True) if is_kept]
        packed = np.frombuffer(earlier.packed, np.uint8).reshape(-1, ROW_BYTES)[kept].tobytes()
        return ProfilePiece(_places(earlier.rows)[kept].tobytes() + self.rows, names + self.names, packed + self.packed)


def _places(rows: bytes) -> NDArray[np.int32]:
    return np.frombuffer(rows, np.int32)


def write_profiles(file: sqlite3.Connection, triage: Triage, touched: bytearray | None) -> None:
    """Add a piece with the rows that may have changed (None: all), merged with those before it that are not larger."""
    is_touched = np.ones(len(triage.names), np.uint8) if touched is None else np.frombuffer(touched, np.uint8)
    rows = np.flatnonzero(is_touched).astype(np.int32)
    piece = ProfilePiece(rows.tobytes(), *triage.rows_of(rows))
    while (last := file.execute("SELECT part, rows, packed FROM profiles ORDER BY part DESC LIMIT 1").fetchone()) is not None:
        if last[1] > len(piece.names):
            break
        piece = piece.with_earlier(_unpack(last[2], ProfilePiece))
        file.execute("DELETE FROM profiles WHERE part = ?", (last[0],))
    if piece.names:
        file.execute("INSERT INTO profiles (rows, packed) VALUES (?, ?)", (len(piece.names), _pack(piece)))


def read_profiles(file: sqlite3.Connection) -> tuple[list[str], bytes]:
    """(Accounts, packed rows one behind the other) in the order of the rows."""
    whole = ProfilePiece(b"", [], b"")
    for (packed,) in file.execute("SELECT packed FROM profiles ORDER BY part"):
        piece = _unpack(packed, ProfilePiece)
        whole = piece.with_earlier(whole) if whole.names else piece
    order = np.argsort(_places(whole.rows))
    if (_places(whole.rows)[order] != np.arange(len(order))).any():
        raise LookupError(f"{len(order)} profiles, and not each has its row")
    names = [whole.names[place] for place in order.tolist()]
    return names, np.frombuffer(whole.packed, np.uint8).reshape(-1, ROW_BYTES)[order].tobytes()


# --- the graph ----------------------------------------------------------------------------------------------------------


def _write_graph(file: sqlite3.Connection, engine: Engine, entangled: list[Key]) -> None:
    """What is in no row, anew."""
    entangled.sort()
    blobs = (("entangled", _pack(entangled)), ("state", _pack(graph_of(engine, entangled))))
    file.executemany("INSERT OR REPLACE INTO graph VALUES (?, ?)", blobs)


def read_graph(file: sqlite3.Connection) -> dict[str, Any]:
    """All state that is neither rows nor ids."""
    graph: dict[str, Any] = _unpack(file.execute("SELECT packed FROM graph WHERE name = 'state'").fetchone()[0])
    return graph


# --- memories of two generations: ids seen, scored payments that wait ---------------------------------------------------


def write_recent(file: sqlite3.Connection, table: str, recent: Recent[Any], meta: Meta) -> Meta:
    """What the file does not hold of a memory; returns what ``meta`` is to note of it.

    Args:
        meta: what it notes at present.
    """
    turns, count = int(meta.get(f"{table}_turns", -1)), int(meta.get(f"{table}_count", 0))
    if turns == recent.turns:
        _add_kept(file, table, recent.turns, recent.new, count)
    else:
        _add_kept(file, table, recent.turns - 1, recent.old, count if turns == recent.turns - 1 else 0)
        _add_kept(file, table, recent.turns, recent.new, 0)
        file.execute(f"DELETE FROM {table} WHERE turn < ?", (recent.turns - 1,))
    return {f"{table}_turns": recent.turns, f"{table}_count": len(recent.new), f"{table}_forgotten": recent.forgotten}


def _add_kept(file: sqlite3.Connection, table: str, turn: int, kept: dict[str, Any], after: int) -> None:
    if after < len(kept):
        packed = _pack(dict(islice(kept.items(), after, None)))
        file.execute(f"INSERT INTO {table} (turn, packed) VALUES (?, ?)", (turn, packed))


def read_seen(file: sqlite3.Connection, size_max: int, meta: Meta) -> Recent[int]:
    """The memory of ids."""
    return _read_recent(file, "seen", Recent(size_max), meta, dict[str, int])


def read_waiting(file: sqlite3.Connection, size_max: int, meta: Meta) -> Halves:
    """Scored payments that wait for an outcome, as they were when they were written: some have one now."""
    return _read_recent(file, "waiting", Recent(size_max), meta, dict[str, Waiting | None])


def _read_recent(file: sqlite3.Connection, table: str, recent: Recent[Any], meta: Meta, kind: Any) -> Recent[Any]:
    recent.turns, recent.forgotten = int(meta[f"{table}_turns"]), int(meta[f"{table}_forgotten"])
    for turn, packed in file.execute(f"SELECT turn, packed FROM {table} ORDER BY part"):
        (recent.new if turn == recent.turns else recent.old).update(_unpack(packed, kind))
    return recent
