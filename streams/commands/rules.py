"""``fundtrail rules``: see, check and test the rule sets, without reading code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streams.commands.leaving import EXIT_CODES, WRONG_USE, ConfigOption, errors_in_one_line

if TYPE_CHECKING:
    from detectors.configuration import Configuration
    from detectors.ruleset import RuleSet
    from detectors.uses import CodeLists
    from streams.scenarios.notation import Scenario

rules = typer.Typer(no_args_is_help=True, help="List, show, check and test the rule sets.", epilog=EXIT_CODES)

CODES = "codes"

RulesOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules",
        "-r",
        help="A rule file or code file of yours, or a folder of them; may be repeated. One of a shipped id replaces it.",
    ),
]


def _configuration(config: Path | None, files: list[Path] | None) -> Configuration:
    from streams.settings import load_settings

    return load_settings(config, tuple(files or ())).engine


@rules.command("list", epilog=EXIT_CODES)
def list_(config: ConfigOption = None, files: RulesOption = None) -> None:
    """List the rule sets in force and the typologies they judge by."""
    with errors_in_one_line():
        from detectors.typologies import TYPOLOGIES

        configuration = _configuration(config, files)
        for rule_set in configuration.rule_sets:
            until = f"before {rule_set.effective_until}" if rule_set.effective_until else "on"
            state = "verified" if rule_set.verified else "unverified"
            typer.echo(f"{rule_set.rule_set_id} version {rule_set.version}, {state}: {rule_set.title}")
            typer.echo(f"  contracts signed from {rule_set.effective_from} {until}")
        codes = configuration.codes
        typer.echo(f"codes {codes.codes_id} version {codes.version}: what merchant codes, industries, words and lists mean")
        typer.echo("")
        for make in TYPOLOGIES:
            typer.echo(f"{make.code}  {make.kind.lower():<8} {make.name.lower().replace('_', ' ')}  {make.name_zh}")


@rules.command(epilog=EXIT_CODES)
def show(
    rule_set_id: Annotated[str | None, typer.Argument(help="One rule set, or codes; without it, all.")] = None,
    typology: Annotated[str | None, typer.Option("--typology", "-t", help="Only this one, such as T07.")] = None,
    config: ConfigOption = None,
    files: RulesOption = None,
) -> None:
    """Show every threshold that is in force, with its legal basis; what nobody has read in the original is marked."""
    with errors_in_one_line():
        from detectors.typologies import PARAMETER_TYPES

        configuration = _configuration(config, files)
        found = [one for one in configuration.rule_sets if rule_set_id in (None, one.rule_set_id)]
        if not found and rule_set_id != CODES:
            raise typer.BadParameter(f"there is no rule set {rule_set_id!r}; fundtrail rules list names them")
        if typology is not None and typology.upper() not in PARAMETER_TYPES:
            raise typer.BadParameter(f"there is no typology {typology!r} (known: {', '.join(PARAMETER_TYPES)})")
        for rule_set in found:
            for line in _shown(rule_set, typology.upper() if typology is not None else None):
                typer.echo(line)
        if typology is None and rule_set_id in (None, CODES, configuration.codes.codes_id):
            for line in _shown_codes(configuration.codes):
                typer.echo(line)


def _shown_codes(codes: CodeLists) -> Iterator[str]:
    """The code lists in force, in the form of a code file."""
    import msgspec

    values = msgspec.structs.asdict(codes)
    yield "# what codes and words mean"
    yield from (f"{name} = {_toml(value)}" for name, value in values.items() if not isinstance(value, dict))
    for name, table in values.items():
        if isinstance(table, dict):
            yield f"\n[{name}]"
            yield from (f'"{code}" = "{meaning}"' for code, meaning in table.items())
    yield ""


def _shown(rule_set: RuleSet, typology: str | None) -> Iterator[str]:
    import msgspec

    from streams.rules import stated

    yield f"# {rule_set.rule_set_id} version {rule_set.version}: {rule_set.title}"
    for code, parameters in rule_set.parameters.items():
        if typology not in (None, code):
            continue
        yield f"\n[{code}]  # {stated(rule_set, code)}"
        yield from (f"# {basis}" for basis in rule_set.basis_of(code))
        for name, value in msgspec.structs.asdict(parameters).items():
            yield f"{name} = {_toml(value)}"
    yield ""


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:_}" if isinstance(value, int) else str(value)


@rules.command(epilog=EXIT_CODES)
def lint(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Rule files, code files or folders of them; without any, the shipped ones.")
    ] = None,
) -> None:
    """Say everything that is wrong with rule files: file, line, section, key, and what to do. Ends with 2 when something is."""
    with errors_in_one_line():
        from streams.rules import lint as check
        from streams.rules import lint_text, shipped_texts
        from streams.settings import files_of

        mistakes = check(files) if files else [found for name, text in shipped_texts() for found in lint_text(name, text)[0]]
        for mistake in mistakes:
            typer.echo(str(mistake))
        checked = len(files_of(files) if files else shipped_texts())
        typer.echo(f"{checked} rule files, {len(mistakes)} mistakes")
        if mistakes:
            raise typer.Exit(WRONG_USE)


@rules.command("test", epilog=EXIT_CODES)
def check_scenarios(
    scenarios: Annotated[list[Path], typer.Argument(help="Scenario files (.txt), or folders of them.")],
    config: ConfigOption = None,
    files: RulesOption = None,
) -> None:
    """Fold scenario files under the rules and check what they expect. Ends with 2 when something does not hold."""
    with errors_in_one_line(wrong_use=(_notation_mistake(),)):
        configuration = _configuration(config, files)
        stories = [story for path in scenarios for story in _stories(path)]
        if not stories:
            raise typer.BadParameter(f"no scenario in {', '.join(map(str, scenarios))}")
        failed = 0
        for story in stories:
            problem = _problem(story, configuration)
            failed += bool(problem)
            typer.echo(f"{'FAILED' if problem else 'ok    '}  {story.path.name}:{story.line}  {story.title}")
            if problem:
                typer.echo("        " + problem.replace("\n", "\n        "))
        typer.echo(f"{len(stories)} scenarios, {failed} failed")
        if failed:
            raise typer.Exit(WRONG_USE)


def _notation_mistake() -> type[Exception]:
    from streams.scenarios.notation import NotationError

    return NotationError


def _stories(path: Path) -> list[Scenario]:
    from streams.scenarios.notation import parse_file

    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    return [story for file in files for story in parse_file(file)]


def _problem(story: Scenario, configuration: Configuration) -> str:
    """What does not hold in a story; "" when all does. One that is known to fail has to fail."""
    from streams.scenarios.folding import ScenarioFails, fold

    try:
        fold(story, configuration)
    except ScenarioFails as error:
        return "" if story.known_bug else str(error)
    return f"{story.path}:{story.line}: it holds, although it says: known bug: {story.known_bug}" if story.known_bug else ""
