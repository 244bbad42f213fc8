"""Converters: public data sets -> topic files that replay reads.

A converter says nothing its source does not say, drops no record (what is no sound record becomes a reject in the replay,
where it is counted), and keeps labels out of the topic files: they are copied beside, under names that replay ignores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from streams.files.convert import berka, laundernet, payments, tide
from streams.files.convert.topic_folder import Converted, TopicFolder
from streams.files.inputs import InputError

CONVERTERS: Mapping[str, Callable[[Path, TopicFolder, str | None], None]] = MappingProxyType(
    {"berka": berka.convert, "payments": payments.convert, "tide": tide.convert, "laundernet": laundernet.convert}
)
"""Kind of source -> its converter: source folder, target, currency (None: the source's own, or its stated default)."""


def convert(kind: str, source: Path, out: Path, currency: str | None = None) -> Converted:
    """Turn a data set into topic files in ``out``; gives the records written per file.

    Raises:
        InputError: an unknown kind, or a source that lacks a file or cannot be read.
        OutputRefused: ``out`` is used for something else.
    """
    if kind not in CONVERTERS:
        raise InputError(f"{kind}: no such kind of source. There are {', '.join(CONVERTERS)}.")
    if not source.is_dir():
        raise InputError(f"{source}: there is no such folder. Name the folder that holds the {kind} files.")
    with TopicFolder(out) as target:
        try:
            CONVERTERS[kind](source, target, currency)
        except FileNotFoundError as error:
            raise InputError(f"{error.filename}: there is no such file. A {kind} source needs it.") from error
        except (KeyError, ValueError, ArithmeticError) as error:
            raise InputError(
                f"{source}: does not look like {kind}: {type(error).__name__}: {error}. Check the folder."
            ) from error
        target.commit()
        return target.converted()
