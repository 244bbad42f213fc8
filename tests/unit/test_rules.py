"""`fundtrail rules`: every mistake of a rule file is told at once, with place and remedy; scenario files test a rule file."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from streams.rules import lint, lint_text, shipped_texts

HEAD = 'rule_set_id = "ours"\nversion = "1"\neffective_from = "2024-07-01"\n'


def told(text: str, *, head: str = HEAD) -> list[str]:
    return [str(mistake) for mistake in lint_text("ours.toml", head + text)[0]]


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["rules", *arguments])
    return result.exit_code, result.output


def test_the_shipped_rule_files_have_no_mistake() -> None:
    assert len(shipped_texts()) == 2
    assert [found for name, text in shipped_texts() for found in lint_text(name, text)[0]] == []


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[T01\nshare_min = 0.1\n", 4, "broken TOML"),
        ("[T99]\nshare_min = 0.1\n", 4, "[T99]: unknown section. "),
        ("[T01]\nshare_mn = 0.1\n", 5, "[T01] share_mn: unknown key. Did you mean share_min?"),
        ("treshold = 3\n", 4, "treshold: unknown key. Known here:"),
        (
            "[T01]\n\nshare_min = 20\n",
            6,
            "[T01] share_min: 20: Expected number <= 1.0. It is a share of one: for 20 % write 0.2",
        ),
        ("[T01]\nwindow_days = -3\n", 5, "Thresholds and windows are positive"),
        ("[T01]\nwindow_days = 2.5\n", 5, "Whole days, hours or months"),
        ('[T01]\nhops_max = "4"\n', 5, "Without quotes"),
        ("[T07]\nbusiness_minor = 5000\n", 5, "5000 minor units are 50.00 in yuan or dollars"),
        ("[T21.cash_minor]\nCNY = 500\n", 4, "[T21] cash_minor: 500 minor units are 5.00"),
        ("[T21]\ncash_minor = { yuan = 5_000_000 }\n", 5, "'yuan' is no currency"),
        ('[T03]\nlists = ["PROPERTY_FIRMS"]\n', 5, "there is no list 'PROPERTY_FIRMS'. Did you mean PROPERTY_FIRM?"),
        ('[T03]\nfee_words = ["rent", ""]\n', 5, "an empty word is found in every memo"),
        ("[T18]\nedges_min = 7\n", 5, "edges_min 7 is above edges_max 5"),
        ("[T07]\nverified = true\n", 5, "[T07] verified: true without a basis. Name what was read"),
        ('[T07]\nbasis = "a law"\n', 5, "basis a list of texts"),
        ("T01 = 3\n", 4, "T01: is no section. Write [T01] on a line of its own"),
        ("[scorecard]\nspeed = true\n", 5, "[scorecard] speed"),
        ('effective_until = "2024-07-01"\n', 4, "ends on 2024-07-01, not after it begins"),
        ("effective_until = 2025-01-01\n", 4, "is no ISO date in quotes"),
        ('extends = "cn-2025"\n', 4, "there is no rule set 'cn-2025'. Did you mean cn-2024?"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_a_remedy(text: str, line: int, words: str) -> None:
    (mistake,) = told(text)
    assert mistake.startswith(f"ours.toml:{line}: ")
    assert words in mistake


def test_a_file_without_a_head_is_told_what_to_write() -> None:
    assert [mistake.split(": ")[1] for mistake in told("[T01]\n", head="")] == ["rule_set_id", "version", "effective_from"]


def test_all_mistakes_of_a_file_come_together() -> None:
    assert len(told('oops = 1\n[T01]\nshare_min = 20\nwindow_days = 0\n[T99]\n[T07]\nbusiness_minor = "x"\n')) == 5


def test_days_that_two_rule_sets_claim_are_told(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.toml", tmp_path / "theirs.toml"
    ours.write_text(HEAD, encoding="utf-8")
    (mistake,) = lint([ours])
    assert "overlaps" in mistake.what
    assert "cn-2024" in mistake.what
    ours.write_text(HEAD.replace("ours", "cn-2024"), encoding="utf-8")
    assert lint([ours]) == []
    theirs.write_text(HEAD.replace("ours", "cn-2024"), encoding="utf-8")
    assert "another file's too" in lint([ours, theirs])[0].what + lint([ours, theirs])[1].what


def test_lint_ends_with_two_when_something_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(HEAD.replace("ours", "cn-2024") + "[T01]\nshare_min = 20\n", encoding="utf-8")
    code, said = run("lint", str(path))
    assert code == 2
    assert "1 rule files, 1 mistakes" in said
    assert run("lint")[0] == 0


STORY = "scenario A fifth to a broker\nlist broker SECURITIES_FIRM\nloan L1 to alice 1,000.00\n10:00 alice -> broker 200.00\n"


def test_scenarios_are_folded_under_the_bank_s_own_rules(tmp_path: Path) -> None:
    rules = tmp_path / "ours.toml"
    rules.write_text(HEAD.replace("ours", "cn-2024") + "[T01]\nshare_min = 0.30\n", encoding="utf-8")
    story = tmp_path / "t01.txt"
    story.write_text(STORY + "expect no alert\n", encoding="utf-8")
    code, said = run("test", str(tmp_path), "--rules", str(rules))
    assert (code, said.splitlines()[-1]) == (0, "1 scenarios, 0 failed")
    code, said = run("test", str(story))
    assert code == 2
    assert "FAILED  t01.txt:1" in said
    assert "t01.txt:5: expect no alert" in said


def test_a_scenario_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    story = tmp_path / "t01.txt"
    story.write_text("scenario A\n10:00 alice gives 9\n", encoding="utf-8")
    code, said = run("test", str(story))
    assert code == 2
    assert "t01.txt:2: cannot read" in said


def test_what_nobody_has_read_is_shown_as_unverified(tmp_path: Path) -> None:
    code, said = run("show", "cn-2024", "--typology", "T07")
    assert code == 0
    assert "[T07]  # unverified" in said
    assert "business_minor = 50_000_000" in said
    rules = tmp_path / "ours.toml"
    rules.write_text(HEAD.replace("ours", "cn-2024") + '[T07]\nverified = true\nbasis = ["read by us"]\n', encoding="utf-8")
    said = run("show", "cn-2024", "--rules", str(rules))[1]
    assert "[T07]  # verified\n# read by us\n" in said
    assert "[T01]  # unverified" in said


def test_the_list_names_every_rule_set_and_typology() -> None:
    code, said = run("list")
    assert code == 0
    assert "cn-2009-2010 version 1, unverified" in said
    assert "T21  pattern  threshold structuring" in said


def test_a_rule_set_that_extends_a_shipped_one_says_only_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(HEAD.replace("ours", "cn-2024") + 'extends = "cn-2024"\n[T21]\nsums_min = 4\n', encoding="utf-8")
    assert lint([path]) == []
    said = run("show", "cn-2024", "-t", "T21", "--rules", str(path))[1]
    assert "sums_min = 4" in said
    assert 'cash_minor = { "CNY" = 5_000_000, "USD" = 1_000_000 }' in said
    path.write_text(HEAD + 'extends = "nobody"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["rules", "show", "--rules", str(path)])
    assert result.exit_code == 2
    assert "extends: there is no rule set 'nobody' (known: cn-2009-2010, cn-2024)" in result.output
