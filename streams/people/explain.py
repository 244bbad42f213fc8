"""`fundtrail explain`: one alert in the terminal, from whose money it is to why the score is what it is.

Works with 80 columns and without colour: nothing is said by colour alone, long ids are folded, never cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people import glossary
from streams.people.alert_parts import rests_on
from streams.people.figures import (
    UTC_OFFSET_MINUTES,
    counted,
    in_words,
    legible,
    local_time,
    measure_cells,
    offset_name,
    plain,
    share,
    usual,
)
from streams.people.folder import AlertHistory, read_alerts
from streams.people.glossary import account_name
from streams.people.subjects import further_evidence, member_rows, subject_words
from streams.people.trail import Link, link_steps

DEPTH_MAX = 8
"""Hops shown by indentation; deeper payments stand on that level and name the payment that fed them."""

IDS_NAMED_MAX = 5
"""Ids named in the message about an id that is not there or not unique."""

BAR_WIDTH = 24
_STYLES = {"CRITICAL": "bold white on red", "HIGH": "bold red", "MEDIUM": "bold yellow", "LOW": "bold"}


class AlertNotFound(LookupError):
    """No alert, or more than one, answers to the id; the message says which ids there are and what to do."""


def explain(alert_id: str, folder: Path, console: Console, utc_offset_minutes: int = UTC_OFFSET_MINUTES) -> None:
    """Print one alert of a result folder as a readable whole.

    Args:
        alert_id: the id, or a beginning of it that only one alert has.
        utc_offset_minutes: times are shown at this offset from UTC.

    Raises:
        AlertNotFound: the id names no alert of this folder, or several.
        FolderMistake: the folder is no result folder.
    """
    history = find_alert(alert_id, read_alerts(folder), folder)
    alert = history.current
    _print_head(alert, console, utc_offset_minutes)
    _print_amounts(alert, console)
    _print_path(alert, console, utc_offset_minutes)
    _print_grounds(alert, console, utc_offset_minutes)
    _print_next(alert, console)
    _print_history(history, console, utc_offset_minutes)


def find_alert(alert_id: str, alerts: list[AlertHistory], folder: Path) -> AlertHistory:
    """The alert with that id, or the only one whose id begins so.

    Raises:
        AlertNotFound: there is none, or there are several.
    """
    matching = [history for history in alerts if history.current.alert_id.startswith(alert_id)] if alert_id else []
    exact = [history for history in matching if history.current.alert_id == alert_id]
    if exact or len(matching) == 1:
        return (exact or matching)[0]
    if matching:
        raise AlertNotFound(
            f"{legible(alert_id)!r} begins {len(matching)} alert ids: {_listed(matching)}. Give more of the id."
        )
    if not alerts:
        raise AlertNotFound(f"{folder} holds no alerts at all: its alerts.jsonl is empty.")
    raise AlertNotFound(f"No alert {legible(alert_id)!r} among the {len(alerts)} in {folder}. {_nearest(alert_id, alerts)}")


def _listed(alerts: list[AlertHistory]) -> str:
    names = ", ".join(legible(history.current.alert_id) for history in alerts[:IDS_NAMED_MAX])
    return names + (", ..." if len(alerts) > IDS_NAMED_MAX else "")


def _nearest(alert_id: str, alerts: list[AlertHistory]) -> str:
    by_id = {history.current.alert_id: history for history in alerts}
    same_loan = [history for history in alerts if alert_id and alert_id in _names_of(history.current)]
    if same_loan:
        return f"It is a loan or customer with these alerts: {_listed(same_loan)}."
    near = [by_id[name] for name in get_close_matches(alert_id, by_id, n=IDS_NAMED_MAX, cutoff=0.5)]
    if near:
        return f"Nearest: {_listed(near)}."
    return f"The most urgent ones there: {_listed(alerts)}. Is it the right folder?"


def _names_of(alert: Alert) -> set[str | None]:
    """Loans and customers by whose id somebody may ask for the alert."""
    members = alert.subject.members
    named = {alert.subject.loan_id, alert.subject.customer_id}
    return named | {member.loan_id for member in members} | {member.customer_id for member in members}


def _print_head(alert: Alert, console: Console, utc_offset_minutes: int) -> None:
    severity = glossary.SEVERITIES[alert.severity]
    title = Text(f" {glossary.MARKS[alert.severity]} {alert.severity} {severity.chinese} ", style=_STYLES[alert.severity])
    title.append(f"  {alert.typology} {legible(alert.typology_name)}  {legible(alert.typology_name_zh)}", style="bold")
    _print(console, title)
    status, kind = glossary.STATUSES[alert.status], glossary.KINDS[alert.kind]
    percentile = "" if alert.score_percentile is None else f" (percentile {alert.score_percentile:g} of its kind)"
    _print(console, Text(f"{legible(alert.alert_id)}"))
    _print(
        console,
        Text(
            f"{status.english} {status.chinese} · revision {alert.revision} · {kind.english} {kind.chinese}"
            f" · score {alert.score:.2f}{percentile}"
        ),
    )
    if status.meaning:
        _print(console, Text(f"WITHDRAWN: {status.meaning}.", style="bold"))
    _print_section(console, "Whose loan 借款", _subject_lines(alert, utc_offset_minutes))
    _print_section(console, "In one sentence 一句话", [legible(alert.sentence_en), legible(alert.sentence_zh)])
    _print(console, Text("  No customer contact before review. 审核前不得联系客户。", style="bold"))


def _subject_lines(alert: Alert, utc_offset_minutes: int) -> list[str]:
    subject = alert.subject
    amount = "amount unknown" if subject.loan_amount_minor is None else format_money(subject.loan_amount_minor, alert.currency)
    paid = f", paid out {local_time(subject.disbursed_at, utc_offset_minutes)}" if subject.disbursed_at else ""
    who = f"customer {legible(subject.customer_id or 'not named')}"
    who += f" ({in_words(subject.borrower_type)})" if subject.borrower_type else ""
    if subject.kind == "LOAN":
        lines = [f"loan {legible(subject.loan_id or 'not named')}: {amount}{paid}", who]
    else:
        lines = [legible(subject_words(alert)), *([f"together {amount}{paid}"] if subject.members else [])]
        lines += [legible(" · ".join(map(str, row))) for row in member_rows(alert, utc_offset_minutes)]
        lines += [f"{counted(subject.members_left_out, 'further loan')} not listed"] if subject.members_left_out else []
    more = (
        ("account in question", subject.account_id),
        ("contract", subject.contract_id),
        ("purpose", subject.purpose_text),
        ("purpose code", subject.purpose_code),
        ("product", subject.product_class),
        ("branch", subject.org_id),
        ("account manager", subject.account_manager_id),
    )
    lines += [f"{name} {legible(value)}" for name, value in more if value]
    return [
        *lines,
        f"last transfer counted {local_time(alert.event_time, utc_offset_minutes)}",
        f"All times are {offset_name(utc_offset_minutes)}.",
    ]


def _print_amounts(alert: Alert, console: Console) -> None:
    loan = alert.subject.loan_amount_minor
    amounts = (
        ("certain", alert.traced_min_minor, "█"),
        ("attributed", alert.traced_estimate_minor, "▓"),
        ("possible", alert.traced_max_minor, "░"),
    )
    grid = Table.grid(padding=(0, 2))
    for name, amount, mark in amounts:
        term = glossary.AMOUNTS[name]
        grid.add_row(
            f"{term.english} {term.chinese}",
            Text(format_money(amount, alert.currency), justify="right"),
            share(amount, loan),
            _bar(amount, loan, mark),
        )
    _heading(console, "How much of the loan is there 金额 (certain <= attributed <= possible)")
    console.print(Padding(grid, (0, 0, 0, 2), expand=False), highlight=False)
    fifo = f"{format_money(alert.traced_fifo_minor, alert.currency)} ({share(alert.traced_fifo_minor, loan)})"
    _print_lines(
        console,
        [
            legible(rests_on(alert)),
            f"First in, first out over all money gives {fifo}. Method: {legible(alert.method)}.",
        ],
    )


def _bar(amount_minor: int, whole_minor: int | None, mark: str) -> Text:
    filled = min(BAR_WIDTH, -(-amount_minor * BAR_WIDTH // whole_minor)) if whole_minor else 0
    return Text("[" + mark * filled + "·" * (BAR_WIDTH - filled) + "]")


def _print_path(alert: Alert, console: Console, utc_offset_minutes: int) -> None:
    loan = alert.subject.loan_amount_minor
    left_bank = "; part of the money left the accounts seen here" if alert.left_bank else ""
    _heading(
        console,
        f"The money's way 资金路径 ({counted(len(alert.path), 'payment')}, {counted(alert.hops_visible, 'hop')}{left_bank})",
    )
    paid = format_money(loan, alert.currency) if loan is not None else "amount unknown"
    if not alert.path:
        _print_lines(console, ["The alert rests on no payment of the loan's money."])
    at = local_time(alert.subject.disbursed_at, utc_offset_minutes) if alert.subject.disbursed_at else "time unknown"
    first = f" to {legible(account_name(alert.path[0].payer))}" if alert.path and alert.path[0].hop == 1 else ""
    _print_hanging(console, ("  ", "         "), [Text(f"payout {at}  {paid}{first}", style="bold")])
    links = link_steps(alert.path)
    for number, prefixes in _tree(links):
        lines = _step_lines(number, links, alert, utc_offset_minutes)
        _print_hanging(console, prefixes, lines)
    if alert.path_steps_left_out:
        _print_lines(
            console, [f"{counted(alert.path_steps_left_out, 'further payment')} that carried less: not listed in the alert."]
        )
    further = [legible(line) for line in further_evidence(alert, utc_offset_minutes)]
    if further:
        _print_section(console, "It also rests on 其他依据", further)


def _step_lines(number: int, links: list[Link], alert: Alert, utc_offset_minutes: int) -> list[Text]:
    link, step = links[number], links[number].step
    head = Text(f"#{number + 1} hop {step.hop}  {local_time(step.event_time, utc_offset_minutes)}  ")
    head.append(format_money(step.amount_minor, alert.currency), style="bold")
    of_loan = share(step.traced_minor, alert.subject.loan_amount_minor)
    if step.traced_minor == step.amount_minor:
        loan_money = f"all of it loan money ({of_loan} of the loan)"
    else:
        loan_money = f"of which loan money {format_money(step.traced_minor, alert.currency)} ({of_loan} of the loan)"
    use = "" if step.use == "OTHER" else f"{glossary.use_both(step.use)} · "
    lines = [
        head,
        Text(f"{legible(account_name(step.payer))} -> {legible(account_name(step.payee))}"),
        Text(loan_money),
        Text(f"{use}txn {legible(step.txn_id)}"),
    ]
    if link.parent is not None and _depth_of(number, links) > DEPTH_MAX:
        lines.append(Text(f"fed by #{link.parent + 1}"))
    elif len(link.feeders) > 1:
        lines.append(Text(f"fed by {', '.join(f'#{feeder + 1}' for feeder in link.feeders)}"))
    elif link.parent is None and step.hop > 1:
        lines.append(Text("the payment before it is not listed"))
    return lines


def _depth_of(number: int, links: list[Link]) -> int:
    """1 for a step that nothing in the path feeds."""
    depth, at = 1, links[number].parent
    while at is not None:
        depth, at = depth + 1, links[at].parent
    return depth


def _tree(links: list[Link]) -> Iterable[tuple[int, tuple[str, str]]]:
    """Steps in the order of the tree, each with the prefix of its first line and of its further lines."""
    shown_under: list[int | None] = []
    depths: list[int] = []
    children: dict[int | None, list[int]] = {}
    for number, link in enumerate(links):
        above = link.parent
        if above is not None and depths[above] >= DEPTH_MAX:
            above = shown_under[above]
        shown_under.append(above)
        depths.append(1 if above is None else depths[above] + 1)
        children.setdefault(above, []).append(number)
    waiting = [(number, "  ") for number in reversed(children.get(None, []))]
    while waiting:
        number, indent = waiting.pop()
        last = children[shown_under[number]][-1] == number
        further = indent + ("  " if last else "│ ")
        below = children.get(number, [])
        yield number, (indent + ("└─" if last else "├─") + ("┬ " if below else "─ "), further + ("│ " if below else "  "))
        waiting += [(child, further) for child in reversed(below)]


def _print_hanging(console: Console, prefixes: tuple[str, str], lines: list[Text]) -> None:
    """Lines folded into what the prefix leaves of the width, so that the tree's guides never break."""
    first, further = prefixes
    width = max(20, console.width - len(further))
    folded = [part for line in lines for part in line.wrap(console, width, overflow="fold")]
    for index, part in enumerate(folded):
        part.rstrip()
        _print(console, Text(further if index else first) + part)


def _print_grounds(alert: Alert, console: Console, utc_offset_minutes: int) -> None:
    _heading(console, "Measured 观测值")
    _print_table(
        console,
        ("", "observed", "expected", "threshold"),
        [measure_cells(measure, alert.currency) for measure in alert.measures],
    )
    _heading(console, "Look-alikes tested 相似情形检验")
    for item in alert.look_alikes:
        result = glossary.LOOK_ALIKE_RESULTS[item.result]
        label = glossary.LOOK_ALIKES.get(item.name, in_words(item.name))
        detail = plain(item.detail, alert.currency, utc_offset_minutes)
        _print_lines(console, [f"{result.english.upper()} {result.chinese}: {label}", f"    {detail}"])
    _heading(console, f"Score 评分 {alert.score:.2f}")
    rows = [
        (in_words(item.feature), f"{item.value:.4g}", usual(item), f"{item.weight:.4g}", f"{item.added:+.4f}")
        for item in alert.contributions
    ]
    _print_table(console, ("", "value", "usual", "weight", "adds"), rows)
    rules = alert.rule_set
    verified = "" if rules.verified else " Its legal source was not read in the original: thresholds are proposals."
    _print_section(
        console,
        "Rule set 规则集",
        [
            legible(f"{rules.rule_set_id} {rules.version}, in force from {rules.effective_from}: {rules.why}.{verified}"),
            legible(f"detector {alert.detector}, model {alert.model_version}"),
            legible(f"configuration {alert.configuration_digest}"),
            legible(f"evidence {alert.evidence_digest}"),
        ],
    )


def _print_next(alert: Alert, console: Console) -> None:
    _print_section(console, "Check 建议核查", [f"{i}. {legible(text)}" for i, text in enumerate(alert.recommended_checks, 1)])
    _print_section(
        console,
        "Measures, the mildest first 建议措施",
        [f"{i}. {legible(text)}" for i, text in enumerate(alert.recommended_measures, 1)],
    )
    _print_lines(console, ["No customer contact before review. 审核前不得联系客户。"])


def _print_history(history: AlertHistory, console: Console, utc_offset_minutes: int) -> None:
    current = history.current
    if current.prior_alerts:
        _print_section(console, "Earlier alerts on this customer 历史预警", [legible(name) for name in current.prior_alerts])
    lines = [_revision_line(item, utc_offset_minutes) for item in (*history.earlier, current)]
    _print_section(console, "Revisions 版本", [*lines[:-1], f"{lines[-1]}  <- holds"])


def _revision_line(alert: Alert, utc_offset_minutes: int) -> str:
    certain, attributed = (
        format_money(amount, alert.currency) for amount in (alert.traced_min_minor, alert.traced_estimate_minor)
    )
    amounts = f"certain {certain}, attributed {attributed}"
    return f"{alert.revision}: {local_time(alert.scored_time, utc_offset_minutes)}  {alert.status} {alert.severity}, {amounts}"


def _heading(console: Console, title: str) -> None:
    console.print()
    _print(console, Text(title, style="bold underline"))


def _print_section(console: Console, title: str, lines: list[str]) -> None:
    _heading(console, title)
    _print_lines(console, lines)


def _print_lines(console: Console, lines: list[str]) -> None:
    for line in lines:
        indent = 2 + len(line) - len(line.lstrip())
        console.print(Padding(Text(line.lstrip(), overflow="fold"), (0, 0, 0, indent), expand=False), highlight=False)


def _print_table(console: Console, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    grid = Table(box=None, padding=(0, 1), show_header=True, header_style="")
    for index, head in enumerate(heads):
        grid.add_column(head, justify="right" if index else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell, overflow="fold") for cell in row))
    console.print(Padding(grid, (0, 0, 0, 1), expand=False), highlight=False)


def _print(console: Console, text: Text) -> None:
    console.print(text, overflow="fold", highlight=False)
