"""Pieces of an alert that appear in several places of the report: badges, amounts, the bar of the three amounts."""

from __future__ import annotations

from detectors.alert_record import Alert
from detectors.money import format_money
from streams.people import glossary
from streams.people.figures import share
from streams.people.markup import Html, chinese, element, join


def badge(alert: Alert) -> Html:
    """The severity as a word with its own shape and colour."""
    term = glossary.SEVERITIES[alert.severity]
    words = (element("span", glossary.MARKS[alert.severity], aria_hidden="true"), f" {term.english} ", chinese(term.chinese))
    return element("span", words, class_=f"badge s-{alert.severity.lower()}")


def status(alert: Alert) -> Html:
    """Open or withdrawn, in both languages."""
    term = glossary.STATUSES[alert.status]
    return element("span", f"{term.english} ", chinese(term.chinese), class_=f"status {alert.status.lower()}")


def typology(alert: Alert) -> Html:
    """The kind of misuse: code, English name in words, Chinese name."""
    return join(f"{alert.typology} {alert.typology_name.replace('_', ' ').lower()} ", chinese(alert.typology_name_zh))


def money(alert: Alert, amount_minor: int) -> str:
    """An amount with its share of the loan."""
    return f"{format_money(amount_minor, alert.currency)} ({share(amount_minor, alert.subject.loan_amount_minor)})"


def amount_bar(alert: Alert) -> Html:
    """The three amounts as one bar over the loan, with the figures beside their samples."""
    whole = alert.subject.loan_amount_minor or alert.traced_max_minor or 1
    amounts = {"possible": alert.traced_max_minor, "attributed": alert.traced_estimate_minor, "certain": alert.traced_min_minor}
    layers = [
        element("span", class_=f"layer {name}", style=f"width:{_percent(amount, whole)}%") for name, amount in amounts.items()
    ]
    fifo = element("span", class_="fifo", style=f"left:{_percent(alert.traced_fifo_minor, whole)}%")
    rows = [
        element(
            "div",
            element(
                "dt",
                element("span", class_=f"swatch {name}"),
                f"{glossary.AMOUNTS[name].english} ",
                chinese(glossary.AMOUNTS[name].chinese),
            ),
            element("dd", money(alert, amounts[name])),
        )
        for name in reversed(amounts)
    ]
    rows.append(
        element(
            "div",
            element("dt", element("span", class_="swatch fifo-mark"), "first in, first out ", chinese("先进先出")),
            element("dd", money(alert, alert.traced_fifo_minor)),
        )
    )
    bar = element("div", layers, fifo, class_="bar", role="img", aria_label=_bar_words(alert))
    loan = alert.subject.loan_amount_minor
    scale = (
        f"whole bar = the loan, {format_money(loan, alert.currency)}"
        if loan
        else "loan amount unknown: whole bar = the possible amount"
    )
    return element("div", bar, element("p", scale, class_="scale"), element("dl", rows, class_="amounts"), class_="bounds")


def _bar_words(alert: Alert) -> str:
    return (
        f"certain {money(alert, alert.traced_min_minor)}, attributed {money(alert, alert.traced_estimate_minor)}, "
        f"possible {money(alert, alert.traced_max_minor)}"
    )


def _percent(part_minor: int, whole_minor: int) -> str:
    tenths = min(1000, max(0, 1000 * part_minor // whole_minor))
    return f"{tenths // 10}.{tenths % 10}"


def rests_on(alert: Alert) -> str:
    """What the bounds presuppose and whether they are exact, as a sentence."""
    reasons = "; ".join(alert.bounds_rest_on) or "nothing stated"
    if alert.bounds_exact:
        return f"The bounds are exact for what is known: {reasons}."
    cut = "a limit or a late record cut the picture, so they err on the wide side"
    return f"The bounds are not exact: {cut}. They rest on: {reasons}."


def table(heads: tuple[str, ...], rows: list[tuple[object, ...]], numeric: frozenset[int] = frozenset()) -> Html:
    """A plain table; columns named in ``numeric`` stand right-aligned."""
    head = element("tr", [element("th", text, scope="col", class_=_number_class(i, numeric)) for i, text in enumerate(heads)])
    body = [
        element("tr", [element("td", _cell(cell), class_=_number_class(i, numeric)) for i, cell in enumerate(row)])
        for row in rows
    ]
    return element(
        "div",
        element("table", element("thead", head), element("tbody", body)),
        class_="wide",
        tabindex=0,
        role="group",
        aria_label=heads[0] or "table",
    )


def _cell(cell: object) -> str:
    return cell if isinstance(cell, str) else str(cell)


def _number_class(column: int, numeric: frozenset[int]) -> str | None:
    return "number" if column in numeric else None
