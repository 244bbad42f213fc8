"""How commands end: exit codes, and expected failures as one line on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from streams.settings import Settings

DONE, WORLD_FAILED, WRONG_USE, STOPPED_AT_REJECT, DIFFERENT = 0, 1, 2, 3, 4
EXIT_CODES = (
    "Exit codes: 0 done; 1 a file, disk or broker failed; 2 wrong usage or settings; 3 --strict stopped at a reject; "
    "4 diff found differences."
)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="A TOML file with settings; without it, the shipped ones.", dir_okay=False),
]


@contextmanager
def errors_in_one_line(
    wrong_use: tuple[type[Exception], ...] = (), world_failed: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Expected failures become one message on stderr and an exit code; what is our own fault keeps its traceback."""
    from streams.files.inputs import InputError
    from streams.files.rejects import StoppedAtReject
    from streams.files.writers import OutputRefused
    from streams.live.state_folder import StateFolderHeld
    from streams.live.trouble import BrokerTrouble
    from streams.settings import SettingsError

    wrong_use = (SettingsError, OutputRefused, *wrong_use)
    world_failed = (InputError, BrokerTrouble, StateFolderHeld, *world_failed)
    try:
        yield
    except wrong_use as error:
        _leave(WRONG_USE, str(error))
    except StoppedAtReject as error:
        _leave(STOPPED_AT_REJECT, f"stopped at a reject: {error}. Mend the record, or run without --strict.")
    except world_failed as error:
        _leave(WORLD_FAILED, str(error))
    except BrokenPipeError:
        raise  # typer's: the reader of our output left
    except OSError as error:
        _leave(WORLD_FAILED, f"{error.filename or 'a file'}: {error.strerror or error}. Mend that and run the command again.")


def _leave(code: int, message: str) -> NoReturn:
    typer.echo(f"fundtrail: {message}", err=True)
    raise typer.Exit(code)


def settings_of(path: Path | None) -> Settings:
    from streams.settings import load_settings

    return load_settings(path)
