"""The tables of a book's state file: what a checkpoint writes into them, and what is read back.

``accounts`` holds plain accounts (:mod:`detectors.rows`), ``entangled`` the keys of those that stand in ``graph`` (one row),
``seen`` the ids of records in pieces that are only added and dropped, ``meta`` what belongs to the whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
import zstandard

from detectors.accounts import Account
from detectors.engine import Engine
from detectors.parts import Key, graph_of
from detectors.recent import Recent
from detectors.rows import ENTANGLED, WITH_HISTORY, ColdAccounts, kind_of, pack
from detectors.tracer import Tracer

Meta = dict[str, int | str]

TABLES = """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE accounts (
        currency TEXT, account_id TEXT, packed BLOB NOT NULL, holds INTEGER NOT NULL, PRIMARY KEY (currency, account_id)
    ) WITHOUT ROWID;
    CREATE INDEX holders ON accounts (holds) WHERE holds;
    CREATE TABLE entangled (currency TEXT, account_id TEXT, PRIMARY KEY (currency, account_id)) WITHOUT ROWID;
    CREATE TABLE graph (part INTEGER PRIMARY KEY, packed BLOB NOT NULL);
    CREATE TABLE seen (part INTEGER PRIMARY KEY, turn INTEGER NOT NULL, packed BLOB NOT NULL)
"""
COMPRESSION_LEVEL = 1

_ids = msgspec.msgpack.Decoder(dict[str, int])


def has_tables(file: sqlite3.Connection) -> bool:
    """False as long as no checkpoint was ever finished."""
    return bool(file.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0])


def make_tables(file: sqlite3.Connection) -> None:
    """The tables of a file that has none."""
    for statement in TABLES.split(";"):
        file.execute(statement)


def clear(file: sqlite3.Connection) -> None:
    """Empty all tables: everything is about to be written."""
    for table in ("meta", "accounts", "entangled", "graph", "seen"):
        file.execute(f"DELETE FROM {table}")


def read_meta(file: sqlite3.Connection) -> Meta:
    return dict(file.execute("SELECT name, value FROM meta"))


def write_meta(file: sqlite3.Connection, meta: Meta) -> None:
    file.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())


# --- accounts ---------------------------------------------------------------------------------------------------------


def write_all_accounts(file: sqlite3.Connection, tracer: Tracer) -> int:
    """Every account, those that are still packed as they are; returns how many rows that is."""
    before = file.total_changes
    if tracer.cold is not None:
        file.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?)", _cold_rows(tracer.cold))
    warm = [account for _, book in sorted(tracer.accounts.items()) for _, account in sorted(book.items())]
    write_accounts(file, warm)
    return file.total_changes - before


def _cold_rows(cold: ColdAccounts) -> Iterator[tuple[str, str, bytes, bool]]:
    for currency, book in cold.packed.items():
        for account_id, packed in book.items():
            yield currency, account_id, packed, (currency, account_id) in cold.holders


def write_touched_accounts(file: sqlite3.Connection, tracer: Tracer, touched: Iterable[Account]) -> int:
    """The accounts that may have changed since the file was written; returns how many rows were."""
    before = file.total_changes
    keys = sorted({(account.currency, account.account_id) for account in touched})
    file.executemany("DELETE FROM entangled WHERE currency = ? AND account_id = ?", keys)
    known = {key: tracer.accounts.get(key[0], {}).get(key[1]) for key in keys}
    closed = [key for key, account in known.items() if account is None]
    file.executemany("DELETE FROM accounts WHERE currency = ? AND account_id = ?", closed)
    write_accounts(file, [account for account in known.values() if account is not None])
    return file.total_changes - before


def write_accounts(file: sqlite3.Connection, accounts: list[Account]) -> None:
    """Plain accounts as rows; of entangled ones the key."""
    rows, tied = [], []
    for account in accounts:
        kind = kind_of(account)
        if kind == ENTANGLED:
            tied.append((account.currency, account.account_id))
        else:
            rows.append((account.currency, account.account_id, pack(account), kind == WITH_HISTORY))
    file.executemany("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?)", rows)
    file.executemany("DELETE FROM accounts WHERE currency = ? AND account_id = ?", tied)
    file.executemany("INSERT OR REPLACE INTO entangled VALUES (?, ?)", tied)


def read_accounts(file: sqlite3.Connection) -> ColdAccounts:
    """The plain accounts, packed."""
    packed: dict[str, dict[str, bytes]] = {}
    for (currency,) in file.execute("SELECT DISTINCT currency FROM accounts").fetchall():
        packed[currency] = dict(file.execute("SELECT account_id, packed FROM accounts WHERE currency = ?", (currency,)))
    holders = file.execute("SELECT currency, account_id FROM accounts INDEXED BY holders WHERE holds")
    return ColdAccounts(packed, frozenset(holders))


def entangled(file: sqlite3.Connection) -> list[Key]:
    """The keys of the accounts that stand in the graph, in order."""
    return file.execute("SELECT currency, account_id FROM entangled ORDER BY currency, account_id").fetchall()


# --- the graph ----------------------------------------------------------------------------------------------------------


def write_graph(file: sqlite3.Connection, engine: Engine) -> None:
    """What is in no row, anew; the rows must have been written."""
    packed = zstandard.compress(msgspec.msgpack.encode(graph_of(engine, entangled(file))), COMPRESSION_LEVEL)
    file.execute("INSERT OR REPLACE INTO graph VALUES (0, ?)", (packed,))


def read_graph(file: sqlite3.Connection) -> dict[str, object]:
    """What :func:`write_graph` wrote."""
    (packed,) = file.execute("SELECT packed FROM graph WHERE part = 0").fetchone()
    graph: dict[str, object] = msgspec.msgpack.decode(zstandard.decompress(packed))
    return graph


# --- ids seen -----------------------------------------------------------------------------------------------------------


def write_seen(file: sqlite3.Connection, seen: Recent[int], meta: Meta) -> Meta:
    """The ids that the file does not hold; returns what is to be noted in its ``meta``, of which the present one is given."""
    turns, count = int(meta.get("seen_turns", -1)), int(meta.get("seen_count", 0))
    if turns == seen.turns:
        _add_ids(file, seen.turns, seen.new, count)
    else:
        _add_ids(file, seen.turns - 1, seen.old, count if turns == seen.turns - 1 else 0)
        _add_ids(file, seen.turns, seen.new, 0)
        file.execute("DELETE FROM seen WHERE turn < ?", (seen.turns - 1,))
    return {"seen_turns": seen.turns, "seen_count": len(seen.new), "seen_forgotten": seen.forgotten}


def _add_ids(file: sqlite3.Connection, turn: int, ids: dict[str, int], after: int) -> None:
    if after >= len(ids):
        return
    packed = zstandard.compress(msgspec.msgpack.encode(dict(islice(ids.items(), after, None))), COMPRESSION_LEVEL)
    file.execute("INSERT INTO seen (turn, packed) VALUES (?, ?)", (turn, packed))


def read_seen(file: sqlite3.Connection, size_max: int, meta: Meta) -> Recent[int]:
    """The memory of ids."""
    seen: Recent[int] = Recent(size_max)
    seen.turns, seen.forgotten = int(meta["seen_turns"]), int(meta["seen_forgotten"])
    for turn, packed in file.execute("SELECT turn, packed FROM seen ORDER BY part"):
        (seen.new if turn == seen.turns else seen.old).update(_ids.decode(zstandard.decompress(packed)))
    return seen
