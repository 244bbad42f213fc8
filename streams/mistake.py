"""A mistake in a file that people write: where it is, what it is, and what to do about it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from msgspec import Struct


class Mistake(Struct, frozen=True, order=True):
    """Something wrong with a file: where, what, and what to do about it."""

    file: str
    line: int  # 0 when it belongs to no line
    place: str  # [section] key
    what: str
    remedy: str

    def __str__(self) -> str:
        """``file:line: [section] key: what. Remedy.``"""
        line = f":{self.line}" if self.line else ""
        end = "" if self.remedy.endswith("?") else "."
        return f"{self.file}{line}: {self.place + ': ' if self.place else ''}{self.what}. {self.remedy}{end}"


class Text:
    """A file's text, and where in it a key stands."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = text.splitlines()

    def line_of(self, section: str, key: str = "") -> int:
        """The line of a section's header, or of a key in it; 0 when it is not found."""
        now, header = "", 0
        for number, line in enumerate(self.lines, start=1):
            found = re.match(r"\s*\[+([^\]]+)\]", line)
            if found is not None:
                now = found[1].strip()
                header = number if now == section else header
                if key and now == f"{section}.{key}":
                    return number
            elif key and now == section and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
                return number
        return header

    def mistake(self, section: str, key: str, what: str, remedy: str) -> Mistake:
        """A mistake at that place."""
        place = " ".join(part for part in (f"[{section}]" if section else "", key) if part)
        return Mistake(self.file, self.line_of(section, key), place, what, remedy)


def read_toml(file: str, text: str) -> tuple[list[Mistake], dict[str, Any]]:
    """What a TOML file holds; a mistake and nothing when it is none."""
    try:
        return [], tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        what = f"broken TOML: {str(error).rstrip('.')}"
        return [Mistake(file, int(line[1]) if line else 0, "", what, "Mend the line; nothing else was looked at")], {}


def suggestion(name: str, known: Sequence[str]) -> str:
    """The known name that was perhaps meant, or all of them."""
    close = get_close_matches(name, known, n=1, cutoff=0.6) or get_close_matches(name.upper(), known, n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}"
