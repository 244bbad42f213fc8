"""`fundtrail explain`: everything an alert holds is said, in 80 columns, without colour, whatever the data contain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from rich.console import Console

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people.explain import AlertNotFound, explain, find_alert
from streams.people.folder import AlertHistory, FolderMistake, read_alerts
from streams.people.trail import destination_words, link_steps
from tests.unit import people_sample as sample

Say = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample.write_folder(tmp_path / "result", [*sample.sample_alerts(), sample.hostile()])


@pytest.fixture
def said(folder: Path) -> Say:
    def run(alert_id: str, width: int = 80, **more: int) -> str:
        console = Console(width=width, no_color=True, force_terminal=False, record=True, file=(folder / "printed").open("w"))
        with console.file:
            explain(alert_id, folder, console, **more)
        return console.export_text()

    return run


def _squeezed(text: str) -> str:
    """Without line breaks, guides and blanks: what folding may not change."""
    return "".join(char for char in text if char not in " \n│├└─┬")


def _facts(alert: Alert) -> list[str]:
    subject = alert.subject
    money = (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor, alert.traced_fifo_minor)
    facts = [alert.alert_id, alert.typology_name, alert.typology_name_zh, alert.severity, alert.sentence_en, alert.sentence_zh]
    facts += [format_money(amount, alert.currency) for amount in money]
    facts += [subject.loan_id or "", subject.customer_id or "", *alert.bounds_rest_on, *alert.recommended_checks]
    facts += [
        *alert.recommended_measures,
        *alert.prior_alerts,
        alert.rule_set.rule_set_id,
        alert.rule_set.why,
        alert.evidence_digest,
    ]
    facts += [step.txn_id for step in alert.path] + [format_money(step.amount_minor, alert.currency) for step in alert.path]
    return [*facts, "No customer contact before review"]


@pytest.mark.parametrize("alert", sample.sample_alerts()[1:], ids=lambda alert: f"{alert.typology}-r{alert.revision}")
def test_every_fact_of_an_alert_is_said(alert: Alert, tmp_path: Path) -> None:
    folder = sample.write_folder(tmp_path / "one", [alert])
    console = Console(width=80, no_color=True, record=True, file=(tmp_path / "printed").open("w"))
    with console.file:
        explain(alert.alert_id, folder, console)
    text = _squeezed(console.export_text())
    assert [fact for fact in _facts(alert) if _squeezed(fact) not in text] == []


def test_no_line_is_wider_than_the_terminal_however_long_ids_and_paths_are(said: Say) -> None:
    for alert in (*sample.sample_alerts(), sample.hostile()):
        for width in (80, 60):
            wide = [line for line in said(alert.alert_id, width).splitlines() if cell_len(line.rstrip()) > width]
            assert wide == [], alert.typology


def test_the_three_amounts_stand_with_their_shares_of_the_loan(said: Say) -> None:
    text = said(sample.securities_over_two_shells()[0].alert_id)
    for figure in ("CNY 890,000.00  89.0%", "CNY 900,000.00  90.0%", "CNY 935,000.00  93.5%"):
        assert figure in text


def test_bounds_that_are_not_exact_say_so_and_on_what_they_rest(said: Say) -> None:
    text = _squeezed(said(sample.cash_out_with_unknown_balance().alert_id))
    assert "Theboundsarenotexact" in text
    assert "openingbalanceof6217-COUSINunknown" in text


def test_the_path_is_a_tree_in_which_a_payment_stands_under_the_one_that_fed_it(said: Say) -> None:
    lines = said(sample.securities_over_two_shells()[0].alert_id).splitlines()
    column = {
        number: next(line.index(f"#{number} hop") for line in lines if f"#{number} hop" in line) for number in range(1, 6)
    }
    order = [line.split("#")[1].split(" ")[0] for line in lines if " hop " in line and "#" in line]
    assert order == ["1", "3", "2", "4", "5"]
    assert column[1] == column[2] < column[3] == column[4] < column[5]


def test_a_payment_fed_by_several_names_them_all(said: Say) -> None:
    assert "fed by #3, #4" in said(sample.securities_over_two_shells()[0].alert_id)


def test_sixty_hops_stay_readable_since_indentation_ends(said: Say) -> None:
    text = said(sample.long_chain().alert_id)
    heads = [line for line in text.splitlines() if " hop " in line and "#" in line]
    assert len(heads) == 60
    assert max(line.index("#") for line in heads) < 24
    assert "fed by #59" in text


def test_times_are_shown_at_the_offset_asked_for_and_the_offset_is_named(said: Say) -> None:
    alert_id = sample.loan_repays_loan().alert_id
    assert "2026-01-05 09:50:00" in said(alert_id)
    assert "UTC+08:00" in said(alert_id)
    west = said(alert_id, utc_offset_minutes=-210)
    assert "2026-01-04 22:20:00" in west
    assert "UTC-03:30" in west


def test_the_highest_revision_holds_and_earlier_ones_are_history_in_any_order(tmp_path: Path) -> None:
    first, second = sample.securities_over_two_shells()
    folder = sample.write_folder(tmp_path / "result", [second, first])
    (history,) = read_alerts(folder)
    assert history.current == second
    assert history.earlier == (first,)


def test_a_withdrawn_alert_stays_visible_and_says_so(said: Say) -> None:
    text = said(sample.withdrawn_after_reversal()[0].alert_id)
    assert "WITHDRAWN: what became known later" in text
    assert "1: 2026-01-06 09:30:00  OPEN" in text


def test_text_from_data_is_neither_console_markup_nor_an_escape_sequence(said: Say) -> None:
    text = said("T01-<script>")
    assert "[boldred]B[/]\\x1b[31m" in _squeezed(text)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_a_beginning_that_only_one_alert_has_is_enough(folder: Path, said: Say) -> None:
    alert = sample.loan_repays_loan()
    assert find_alert("T08", read_alerts(folder), folder).current == alert
    assert alert.alert_id in said("T08")


def test_an_id_that_is_also_the_beginning_of_another_names_itself(tmp_path: Path) -> None:
    short = msgspec.structs.replace(sample.loan_repays_loan(), alert_id="T08-1")
    longer = msgspec.structs.replace(short, alert_id="T08-12")
    alerts = [AlertHistory(longer, ()), AlertHistory(short, ())]
    assert find_alert("T08-1", alerts, tmp_path).current is short


def test_a_beginning_that_several_have_is_refused_with_their_ids(folder: Path) -> None:
    with pytest.raises(AlertNotFound, match="begins 2 alert ids") as refused:
        find_alert("T05", read_alerts(folder), folder)
    assert sample.return_to_legal_representative().alert_id in str(refused.value)


def test_an_unknown_id_is_refused_with_the_nearest_ones_and_the_folder(folder: Path) -> None:
    alert_id = sample.loan_repays_loan().alert_id
    with pytest.raises(AlertNotFound, match="Nearest") as refused:
        find_alert(alert_id[:-2] + "zz", read_alerts(folder), folder)
    assert alert_id in str(refused.value)
    assert str(folder) in str(refused.value)


def test_a_loan_id_in_place_of_an_alert_id_is_answered_with_the_loans_alerts(folder: Path) -> None:
    with pytest.raises(AlertNotFound, match="loan or customer") as refused:
        find_alert("JJ-2026-0004", read_alerts(folder), folder)
    assert sample.loan_repays_loan().alert_id in str(refused.value)


def test_an_empty_id_and_an_empty_folder_are_refused(folder: Path) -> None:
    with pytest.raises(AlertNotFound):
        find_alert("", read_alerts(folder), folder)
    with pytest.raises(AlertNotFound, match="holds no alerts"):
        find_alert("T01", [], folder)


def test_a_folder_without_alerts_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FolderMistake, match="fundtrail replay"):
        read_alerts(tmp_path)
    with pytest.raises(FolderMistake, match="is not a folder"):
        read_alerts(tmp_path / "nowhere")


def test_a_damaged_line_is_named_with_its_number(folder: Path) -> None:
    with (folder / "alerts.jsonl").open("ab") as alerts:
        alerts.write(b'{"record":"alert","alert_id":"T0')
    with pytest.raises(FolderMistake, match=r"alerts\.jsonl, line 12"):
        read_alerts(folder)


def test_steps_are_linked_to_the_payment_one_hop_before_them() -> None:
    links = link_steps(sample.securities_over_two_shells()[1].path)
    assert [link.parent for link in links] == [None, None, 0, 1, 3]
    assert links[4].feeders == (2, 3)


def test_a_payment_stands_under_the_one_a_hop_before_even_when_a_later_one_fed_its_payer_too() -> None:
    path = (
        sample.step(1, 1, "A", "B", 10, 1), sample.step(2, 2, "A", "C", 10, 1), sample.step(3, 3, "C", "B", 10, 2),
        sample.step(4, 4, "B", "D", 10, 2),
    )  # fmt: skip
    assert [(link.parent, link.feeders) for link in link_steps(path)] == [(None, ()), (None, ()), (1, (1,)), (0, (0, 2))]


def test_a_first_hop_payment_hangs_on_the_payout_even_when_money_has_come_back_before() -> None:
    path = (sample.step(1, 1, "A", "B", 10, 1), sample.step(2, 2, "B", "A", 10, 2), sample.step(3, 3, "A", "C", 10, 1))
    assert [link.parent for link in link_steps(path)] == [None, 0, None]


def test_where_the_money_went_is_said_in_a_few_words() -> None:
    assert destination_words(sample.securities_over_two_shells()[1]) == "securities/futures: SEC-CITIC-88001"
    assert destination_words(sample.return_to_legal_representative()) == "back to the borrower's side: 6217-LEGALREP-ZHAO"
    assert destination_words(sample.entrusted_payee_forwards()).endswith("PERSON-00-ACCOUNT, PERSON-01-ACCOUNT and 12 more")
    assert destination_words(sample.loan_repays_loan()) == "loan repayment"
