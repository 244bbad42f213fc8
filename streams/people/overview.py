"""The top of the report: the gravest alerts, the figures of the run, alerts by kind and over time, rejects."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import NamedTuple

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people import glossary
from streams.people.alert_parts import badge, table, typology
from streams.people.alert_section import four_facts
from streams.people.figures import counted, local_time
from streams.people.folder import SEVERITIES, Results, Summary
from streams.people.markup import Html, chinese, element, join
from streams.people.subjects import loans_of

CARDS_MAX = 3
"""Alerts shown in full at the very top."""

REJECT_ROWS_MAX = 50
"""Reasons of rejects listed; the rest is counted."""

RECORD_FATES = ("applied", "rejected", "duplicate")
"""What becomes of a record that is read; together they must be all of them."""

TIMELINE_BARS_MAX = 60
"""Bars of the timeline; a longer period has bars of several days each."""


class Span(NamedTuple):
    """Days of one bar of the timeline: from ``first``, so many days."""

    first: date
    days: int


def first_look(results: Results, utc_offset_minutes: int) -> Html:
    """The most urgent open alerts as cards, or the good news that there are none."""
    urgent = [(number, history.current) for number, history in enumerate(results.alerts, 1) if history.current.status == "OPEN"]
    if not urgent:
        return element("p", "There is no open alert. 没有待处理预警。", class_="good-news")
    cards = [
        element(
            "li",
            element("p", badge(alert), " ", element("a", typology(alert), href=f"#alert-{number}"), class_="card-title"),
            four_facts(alert, utc_offset_minutes),
            class_=f"card s-{alert.severity.lower()}",
        )
        for number, alert in urgent[:CARDS_MAX]
    ]
    rest = len(urgent) - len(cards)
    more = element("p", f"{rest} more open: ", element("a", "see the list", href="#alerts"), class_="note") if rest else None
    return element(
        "section", element("h2", "Look at these first ", chinese("优先关注")), element("ol", cards, class_="cards"), more
    )


def figures(results: Results, utc_offset_minutes: int) -> Html:
    """Counts of alerts, money for certain, and the accounts of the records read."""
    current = [history.current for history in results.alerts]
    opened = [alert for alert in current if alert.status == "OPEN"]
    by_severity: Counter[str] = Counter(alert.severity for alert in opened)
    tiles = [_tile(str(len(opened)), "open alerts", "待处理预警", f"{len(current) - len(opened)} withdrawn")]
    tiles += [
        _tile(
            f"{glossary.MARKS[name]} {by_severity[name]}",
            glossary.SEVERITIES[name].english,
            glossary.SEVERITIES[name].chinese,
            "",
            f"s-{name.lower()}",
        )
        for name in SEVERITIES
    ]
    loans = len({name for alert in opened for name in loans_of(alert)})
    tiles.append(_tile(str(loans), "loans concerned", "涉及贷款", f"of {len(results.risks)} with a risk state"))
    tiles += [
        _tile(
            format_money(amount, currency),
            "misused for certain",
            "可确定金额",
            "open breaches; a loan with several alerts counts once",
        )
        for currency, amount in certain_by_currency(opened).items()
    ]
    heading = element("h2", "The figures ", chinese("概览"))
    return element("section", heading, element("ul", tiles, class_="tiles"), _record_accounts(results, utc_offset_minutes))


def certain_by_currency(alerts: list[Alert]) -> dict[str, int]:
    """Money misused for certain, per currency: of each loan its largest certain amount, so that none counts twice."""
    largest: dict[tuple[str, str], int] = {}
    for alert in alerts:
        if alert.kind == "BREACH":
            key = (alert.currency, alert.subject.loan_id or alert.alert_id)
            largest[key] = max(largest.get(key, 0), alert.traced_min_minor)
    total: Counter[str] = Counter()
    for (currency, _), amount in largest.items():
        total[currency] += amount
    return dict(total)


def _tile(figure: str, english: str, zh: str, note: str, class_: str = "") -> Html:
    return element(
        "li",
        element("strong", figure),
        element("span", f"{english} ", chinese(zh)),
        element("span", note, class_="note") if note else None,
        class_=f"tile {class_}".strip(),
    )


def _record_accounts(results: Results, utc_offset_minutes: int) -> Html:
    summary = results.summary
    if not summary.records:
        missing = "The folder holds no summary.json with the counts of records, so they cannot be shown."
        return element("p", missing, class_="note")
    read, parts = summary.records.get("read", 0), sum(summary.records.get(name, 0) for name in RECORD_FATES)
    verdict = "every record is accounted for" if read == parts else f"MISMATCH: {read - parts:+,} records are not accounted for"
    sum_of = " + ".join(f"{summary.records.get(name, 0):,} {name}" for name in RECORD_FATES)
    line = element("p", f"Records: {read:,} read = {sum_of}: {verdict}.", class_="mismatch" if read != parts else None)
    return join(_period(summary, utc_offset_minutes), line, _warnings(summary))


def _period(summary: Summary, utc_offset_minutes: int) -> Html:
    if not summary.event_time_first or not summary.event_time_last:
        return Html("")
    first, last = (local_time(item, utc_offset_minutes) for item in (summary.event_time_first, summary.event_time_last))
    speed = f" Replayed in {summary.seconds:,.1f} s." if summary.seconds is not None else ""
    return element("p", f"Period covered: {first} to {last}.{speed}")


def _warnings(summary: Summary) -> Html:
    """What the reader must know before trusting that nothing is missing."""
    warnings = []
    if summary.damaged_files:
        names = ", ".join(summary.damaged_files)
        warnings.append(f"Could not be read to the end, so alerts may be missing: {names}. Fetch the files again and replay.")
    if summary.late:
        warnings.append(f"{counted(summary.late, 'record')} came late and took effect where they stood.")
    return join([element("p", warning, class_="mismatch") for warning in warnings])


def by_kind(results: Results) -> Html:
    """Open alerts per typology and severity, withdrawn ones beside."""
    counts: dict[str, Counter[str]] = {}
    names: dict[str, Alert] = {}
    for history in results.alerts:
        alert = history.current
        names.setdefault(alert.typology, alert)
        counts.setdefault(alert.typology, Counter())[alert.severity if alert.status == "OPEN" else "WITHDRAWN"] += 1
    rows: list[tuple[object, ...]] = [
        (
            typology(names[code]),
            *(counts[code][name] or "·" for name in SEVERITIES),
            sum(counts[code][name] for name in SEVERITIES),
            counts[code]["WITHDRAWN"] or "·",
        )
        for code in sorted(counts)
    ]
    heads = (
        "typology",
        *(f"{glossary.MARKS[name]} {glossary.SEVERITIES[name].english}" for name in SEVERITIES),
        "open",
        "withdrawn",
    )
    content = table(heads, rows, frozenset(range(1, 7))) if rows else element("p", "No alerts.", class_="note")
    return element("section", element("h2", "Alerts by kind of misuse ", chinese("按类型")), content, class_="kinds")


def timeline(results: Results, utc_offset_minutes: int) -> Html:
    """Open alerts per day (or several days) as stacked bars, by the time of the transfer that completed each."""
    days: Counter[tuple[date, str]] = Counter()
    for history in results.alerts:
        alert = history.current
        if alert.status == "OPEN":
            days[date.fromisoformat(local_time(alert.event_time, utc_offset_minutes, "%Y-%m-%d")), alert.severity] += 1
    if not days:
        return Html("")
    spans = _spans(sorted(day for day, _ in days))
    counts = [
        {
            name: sum(
                number
                for (day, severity), number in days.items()
                if severity == name and 0 <= (day - span.first).days < span.days
            )
            for name in SEVERITIES
        }
        for span in spans
    ]
    per = "day" if spans[0].days == 1 else f"{spans[0].days} days"
    return element(
        "section", element("h2", f"Alerts per {per} ", chinese("时间分布")), _bars(spans, counts), _severity_legend()
    )


def _spans(days: list[date]) -> list[Span]:
    length = -(-((days[-1] - days[0]).days + 1) // TIMELINE_BARS_MAX)
    number = (days[-1] - days[0]).days // length + 1
    return [Span(days[0] + timedelta(days=length * i), length) for i in range(number)]


def _bars(spans: list[Span], counts: list[dict[str, int]]) -> Html:
    width, height, left = 620, 120, 18
    step = min(48.0, (width - 2 * left) / len(spans))
    tallest = max(sum(count.values()) for count in counts)
    parts = []
    labelled = max(1, -(-len(spans) // max(1, int(width // max(step, 52)))))
    for i, (span, count) in enumerate(zip(spans, counts, strict=True)):
        x, y = left + i * step, float(height + 14)
        for name in reversed(SEVERITIES):
            tall = height * count[name] / tallest
            y -= tall
            if count[name]:
                parts.append(element("rect", x=x + 1, y=y, width=step - 2, height=tall, class_=f"s-{name.lower()}"))
        total = sum(count.values())
        if total:
            parts.append(element("text", total, x=x + step / 2, y=y - 3, text_anchor="middle", class_="when"))
        if i % labelled == 0:
            parts.append(
                element("text", f"{span.first:%m-%d}", x=x + step / 2, y=height + 28, text_anchor="middle", class_="when")
            )
    words = "; ".join(
        f"{span.first}: {sum(count.values())}" for span, count in zip(spans, counts, strict=True) if sum(count.values())
    )
    first, last = f"{spans[0].first}", f"{spans[-1].first + timedelta(days=spans[-1].days - 1)}"
    used = round(len(spans) * step + 2 * left)
    drawn = element(
        "svg",
        parts,
        viewBox=f"0 0 {max(used, 200)} {height + 34}",
        style=f"max-width:{max(used, 200)}px",
        role="img",
        aria_label=f"Open alerts by day: {words}",
    )
    return element("div", drawn, element("p", f"{first} to {last}", class_="note"), class_="timeline")


def _severity_legend() -> Html:
    items = [
        element(
            "li",
            element("span", class_=f"swatch s-{name.lower()}"),
            f"{glossary.MARKS[name]} {glossary.SEVERITIES[name].english} ",
            chinese(glossary.SEVERITIES[name].chinese),
        )
        for name in SEVERITIES
    ]
    return element("ul", items, class_="legend", aria_label="Legend")


def rejects(results: Results) -> Html:
    """Records that could not be used, by reason."""
    total = sum(group.records for group in results.rejects)
    heading = element("h2", "Records that could not be used ", chinese("拒收记录"))
    if not total:
        return element("section", heading, element("p", "None.", class_="note"))
    rows: list[tuple[object, ...]] = [
        (f"{group.records:,}", group.topic, group.field, group.reason, group.example_place, group.example_original[:120])
        for group in results.rejects[:REJECT_ROWS_MAX]
    ]
    left = len(results.rejects) - len(rows)
    more = element("p", f"{left} more reasons are in rejects.jsonl.", class_="note") if left else None
    note = element(
        "p",
        f"{total:,} records took no part in the following of money. Mend and send them again; alerts may change.",
        class_="note",
    )
    return element(
        "section",
        heading,
        note,
        table(("records", "topic", "field", "reason", "first seen", "how it read"), rows, frozenset({0})),
        more,
    )
