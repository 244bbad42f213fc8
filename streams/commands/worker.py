"""The command that runs the live path."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from streams.commands.broker import BootstrapOption, PrefixOption
from streams.commands.leaving import ConfigOption, errors_in_one_line, settings_of


class Role(enum.StrEnum):
    """What a worker does."""

    both = "both"
    intake = "intake"
    detect = "detect"


def worker(
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    prefix: PrefixOption = None,
    role: Annotated[Role, typer.Option(help="Both steps of the way, or one of them.")] = Role.both,
    state_dir: Annotated[
        Path | None, typer.Option(help="Folder of this worker's state; goes before the settings' state_dir.", file_okay=False)
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of metrics and health; goes before the settings' one.", min=0)] = None,
    new_generation: Annotated[
        bool,
        typer.Option("--new-generation", help="Put state of another engine or configuration aside and fold the journal anew."),
    ] = False,
) -> None:
    """Run the live path: source topics to the journal, the journal to alerts, until told to stop."""
    from streams.live.monitor import PortTaken
    from streams.live.start import NotFit, start_worker, with_arguments
    from streams.live.state_folder import StateFolderHeld

    with errors_in_one_line(world_failed=(NotFit, StateFolderHeld, PortTaken)):
        roles = ("intake", "detect") if role is Role.both else (role.value,)
        settings = settings_of(config)
        settings = with_arguments(settings, prefix=prefix, state_dir=state_dir, port=port)
        start_worker(settings, roles, bootstrap, new_generation=new_generation)
