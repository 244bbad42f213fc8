"""A shadow: a second configuration folds the live journal and says its alerts on a topic of its own.

It belongs to no group and keeps no checkpoint: on a new start the journal is folded again from its beginning, and what
the topic holds already is not said again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from detectors.configuration import Configuration
from detectors.engine import ENGINE_VERSION
from streams.files.replay import rare_collections
from streams.live.beside import Beside
from streams.live.fold import BookFold, Said, generation_of
from streams.live.journal import decode_page
from streams.live.log import Stored
from streams.live.names import JOURNAL
from streams.live.reading import Reader
from streams.live.refold import begin_in_the_middle


class Course(NamedTuple):
    """How far a shadow has come."""

    behind: int  # pages still to fold of those that were there at the start
    sent: int
    known: int  # were on the topic from an earlier run


class Shadow:
    """One run. ``since_ms``: only what follows from pages written then or later is said."""

    def __init__(self, reader: Reader, beside: Beside, configuration: Configuration, since_ms: int | None) -> None:
        self._reader = reader
        self._beside = beside
        self._extents = reader.extents(JOURNAL)
        self._say_from = reader.offsets_at(JOURNAL, since_ms) if since_ms is not None else {}
        generation = generation_of(ENGINE_VERSION, configuration)
        self._folds = {book: BookFold(book, configuration, generation) for book in self._extents}
        for book, extent in self._extents.items():
            self._folds[book].next_offset = extent.begin
            beside.begin(book)

    def run(self, once: bool, report: Callable[[Course], None]) -> None:
        """Follow the journal, for ever or (``once``) up to its present end; reports after every batch."""
        with rare_collections():
            for batch in self._batches(once):
                for book, said in self._fold(batch).items():
                    self._beside.publish(book, said)
                report(self.course())

    def course(self) -> Course:
        """How far it has come."""
        behind = sum(max(0, extent.end - self._folds[book].next_offset) for book, extent in self._extents.items())
        return Course(behind, self._beside.sent, self._beside.known)

    def _batches(self, once: bool) -> Iterator[Iterable[tuple[int, Stored]]]:
        if once:
            yield from ([message] for message in self._reader.stretch(JOURNAL, self._extents))
            return
        yield from self._reader.follow(JOURNAL, {book: extent.begin for book, extent in self._extents.items()})

    def _fold(self, batch: Iterable[tuple[int, Stored]]) -> Mapping[int, list[Said]]:
        said: dict[int, list[Said]] = {}
        for book, stored in batch:
            fold, page = self._folds[book], decode_page(stored.value)
            if self._extents[book].begin > 0:
                begin_in_the_middle(fold, page)
            follows = fold.fold(stored.offset, page)
            if stored.offset >= self._say_from.get(book, 0):
                said.setdefault(book, []).extend(follows)
        return said
