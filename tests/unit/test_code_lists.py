"""A bank's own codes: a code file beside or instead of the shipped one, checked like a rule file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from detectors.uses import CLASSES, CodeLists
from streams.cli import app
from streams.code_lists import TABLES, code_lists, shipped_codes
from streams.rules import lint, lint_text
from streams.scenarios.folding import fold
from streams.scenarios.notation import parse_file
from streams.settings import SettingsError, load_settings

HEAD = 'codes_id = "ours"\nversion = "7"\nextends = "shipped"\n'
BROKER = HEAD + '[mcc]\n"6012" = "SECURITIES"\n'
STORY = "scenario A\nloan L1 to alice 100.00\n10:00 alice -> shop 90.00, card, mcc 6012\nexpect T01 on L1\n"


def written(folder: Path, text: str, name: str = "codes.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(text: str) -> list[str]:
    return [str(mistake) for mistake in lint_text("ours.toml", HEAD + text)[0]]


def codes_of(text: str, tmp_path: Path) -> CodeLists:
    return load_settings(None, (written(tmp_path, text),)).engine.codes


def test_the_shipped_codes_are_a_code_file_without_a_mistake() -> None:
    assert lint(()) == []
    text = (Path("detectors") / "rulesets" / "codes.toml").read_text(encoding="utf-8")
    assert lint_text("codes.toml", text)[0] == []
    assert load_settings().engine.codes == code_lists(shipped_codes())


def test_a_merchant_code_of_ones_own_makes_an_alert_that_the_shipped_codes_do_not(tmp_path: Path) -> None:
    (story,) = parse_file(written(tmp_path, "settings trace.lot_minor_min = 1\n" + STORY, "story.txt"))
    with pytest.raises(AssertionError, match="no such open alert"):
        fold(story)
    fold(story, load_settings(None, (written(tmp_path, BROKER),)).engine)


def test_what_is_not_stated_is_as_shipped_and_what_is_stated_goes_first(tmp_path: Path) -> None:
    codes = codes_of(HEAD + 'rent_words = ["lease"]\n[industry]\n"J6712" = "OTHER"\n[memo]\n"首付" = "OTHER"\n', tmp_path)
    shipped = load_settings().engine.codes
    assert (codes.codes_id, codes.version) == ("ours", "7")
    assert list(codes.industry) == ["J6712", *shipped.industry]
    assert (codes.memo["首付"], codes.mcc) == ("OTHER", shipped.mcc)
    assert codes.rent_words == ("lease", *shipped.rent_words)


def test_without_extends_nothing_shipped_is_left(tmp_path: Path) -> None:
    codes = codes_of('codes_id = "ours"\nversion = "7"\n[mcc]\n"6211" = "SECURITIES"\n', tmp_path)
    assert codes == CodeLists(codes_id="ours", version="7", mcc={"6211": "SECURITIES"})


def test_other_codes_are_another_configuration(tmp_path: Path) -> None:
    settings = load_settings(None, (written(tmp_path, BROKER),))
    assert settings.engine.digest() != load_settings().engine.digest()


def test_settings_name_a_code_file_or_a_folder_like_rule_files(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    written(tmp_path / "rules", BROKER)
    written(tmp_path / "rules", 'rule_set_id = "cn-2024"\nversion = "ours"\neffective_from = "2024-07-01"\n', "rules.toml")
    config = written(tmp_path, 'rule_sets = ["rules"]\n', "settings.toml")
    engine = load_settings(config).engine
    assert engine.codes.mcc["6012"] == "SECURITIES"
    assert [rules.version for rules in engine.rule_sets] == ["1", "ours"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[mcc]\n"621" = "SECURITIES"\n', 5, "[mcc] 621: is no merchant category code. Four digits in quotes"),
        ('[mcc]\n"6211" = "SECURITY"\n', 5, "'SECURITY' is no meaning of a code. Did you mean SECURITIES?"),
        ('[mcc]\n"6211" = "LOAN_REPAYMENT"\n', 5, "'LOAN_REPAYMENT' is no meaning of a code"),
        ('[mcc]\n"6211" = 3\n', 5, "3 is no meaning of a code"),
        ('[industry]\n"67J" = "SECURITIES"\n', 5, "is no beginning of a GB/T 4754 code"),
        ('[industry]\n"J67" = "SECURITIES"\n"J6712" = "OTHER"\n', 6, "never reached: 'J67' stands above it"),
        ('[memo]\n"购房" = "PROPERTY"\n"购房定金" = "OTHER"\n', 6, "never reached: '购房' stands above it"),
        ('[memo]\n" " = "PROPERTY"\n', 5, "an empty word is found everywhere"),
        ('[lists]\nBROKERS = "SECURITIES"\n', 5, "there is no such list. Did you mean BROKER?"),
        ('[party_codes]\nSUED = "BAD"\n', 5, "'BAD' is no meaning of a code. Known here: ADVERSE"),
        ('rent_words = "lease"\n', 4, "rent_words: is no list of texts"),
        ('rent_words = ["Lease"]\n', 4, 'looked for in memos in small letters. Write "lease"'),
        ('fee_industries = ["68"]\n', 4, "'68' is no beginning of a GB/T 4754 code"),
        ("mccs = 3\n", 4, "mccs: unknown table or key. Did you mean mcc?"),
        ("[T01]\nshare_min = 0.1\n", 4, "[T01]: unknown table or key"),
        ("mcc = 3\n", 4, "mcc: is no table. Write [mcc] on a line of its own"),
        ("[mcc\n", 4, "broken TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(text: str, line: int, words: str) -> None:
    (mistake,) = told(text)
    assert mistake.startswith(f"ours.toml:{line}: ")
    assert words in mistake


def test_the_head_is_checked_too() -> None:
    mistakes = [str(found) for found in lint_text("ours.toml", 'codes_id = ""\nextends = "mine"\n')[0]]
    assert len(mistakes) == 3
    assert "version: missing, or no text" in mistakes[1]
    assert "there are no codes 'mine'. Write extends = \"shipped\"" in mistakes[2]


def test_all_mistakes_are_told_together_and_the_settings_refuse_them(tmp_path: Path) -> None:
    wrong = written(tmp_path, HEAD + '[mcc]\n"1" = "CASH"\n[memo]\n"x" = "CASHH"\n')
    with pytest.raises(SettingsError) as refused:
        load_settings(None, (wrong,))
    assert len(str(refused.value).splitlines()) == 2
    assert f"{wrong}:5: [mcc] 1" in str(refused.value)


def test_two_code_files_are_one_too_many(tmp_path: Path) -> None:
    both = (written(tmp_path, BROKER), written(tmp_path, BROKER, "more.toml"))
    with pytest.raises(SettingsError, match="2 code files where one may be named"):
        load_settings(None, both)
    assert "a second code file beside" in str(lint(both)[0])


def test_the_command_checks_shows_and_uses_a_code_file(tmp_path: Path) -> None:
    ours = written(tmp_path, BROKER)
    story = written(tmp_path, "settings trace.lot_minor_min = 1\n" + STORY, "story.txt")

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["rules", *map(str, arguments)])
        return result.exit_code, result.output

    assert run("lint", tmp_path) == (0, "1 rule files, 0 mistakes\n")
    assert "codes ours version 7" in run("list", "--rules", ours)[1]
    assert '"6012" = "SECURITIES"' in run("show", "codes", "--rules", ours)[1]
    assert run("test", story)[0] == 2
    assert run("test", story, "--rules", ours)[0] == 0
    shown = written(tmp_path, run("show", "codes", "--rules", ours)[1], "shown.toml")
    assert load_settings(None, (shown,)).engine.codes == load_settings(None, (ours,)).engine.codes


def test_every_class_of_use_and_every_table_is_in_the_documents() -> None:
    page = Path("docs/rules.md").read_text(encoding="utf-8")
    assert [name for name in (*sorted(CLASSES), *TABLES) if f"`{name}`" not in page] == []
