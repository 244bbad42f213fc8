"""`fundtrail report`: a result folder as one HTML file that needs no network, no server and no explanation by somebody.

The page carries its own styles and one small script; a content security policy lets nothing else run or load, and names
the script by its digest, so that a text from the data could not run even if it were not escaped. Without the script the
page is complete, only not sortable.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from detectors.money import EXPONENTS, format_money
from streams.people import glossary, overview
from streams.people.alert_parts import badge, status, typology
from streams.people.alert_section import alert_section
from streams.people.figures import UTC_OFFSET_MINUTES, counted, local_time, offset_name, share
from streams.people.folder import SEVERITIES, AlertHistory, Results, read_results
from streams.people.markup import Html, chinese, element, join
from streams.people.subjects import subject_words

ALERTS_DRAWN_MAX = 200
"""Alerts with a section and a drawn trail of their own, the most urgent; the others stand in the list only, and the page
says how many. About 20 kB of page each."""


def write_report(folder: Path, out: Path | None = None, utc_offset_minutes: int = UTC_OFFSET_MINUTES) -> Path:
    """Write the report of a result folder and return where it is.

    Args:
        out: the file to write; ``report.html`` in the folder when not given. An existing file is replaced as a whole.
        utc_offset_minutes: times are shown at this offset from UTC.

    Raises:
        FolderMistake: the folder is no result folder.
    """
    results = read_results(folder)
    target = out if out is not None else folder / "report.html"
    unfinished = target.with_name(f"{target.name}.part")
    with unfinished.open("w", encoding="utf-8", newline="\n") as page:
        page.writelines(_page(results, utc_offset_minutes))
    unfinished.replace(target)
    return target


def _page(results: Results, utc_offset_minutes: int) -> Iterator[str]:
    """The page in pieces, so that a long one is never held twice."""
    style, script = _part("report.css"), _part("report.js")
    title = f"Loan money report: {results.path.resolve().name}"
    yield "<!DOCTYPE html>\n"
    yield '<html lang="en">'
    yield element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", style),
    )
    yield "\n<body>"
    yield element("a", "Skip to the list of alerts", href="#alerts", class_="skip")
    yield _masthead(title, utc_offset_minutes)
    yield "<main>"
    yield overview.first_look(results, utc_offset_minutes)
    yield overview.figures(results, utc_offset_minutes)
    yield element("div", overview.by_kind(results), overview.timeline(results, utc_offset_minutes), class_="two")
    yield _how_to_read()
    yield from _alert_list(results.alerts, utc_offset_minutes)
    yield element("h2", "The alerts one by one ", chinese("逐条说明"), id="one-by-one")
    yield _not_drawn_note(results.alerts)
    for number, history in enumerate(results.alerts[:ALERTS_DRAWN_MAX], start=1):
        yield alert_section(history, number, results.risks.get(history.current.subject.loan_id or ""), utc_offset_minutes)
        yield "\n"
    yield overview.rejects(results)
    yield _glossary()
    yield "</main>"
    yield element("script", script)
    yield "</body></html>\n"


def _part(name: str) -> Html:
    """A file of this package that goes into the page as it is: it holds no data."""
    return Html(files("streams.people").joinpath(name).read_text(encoding="utf-8"))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _masthead(title: str, utc_offset_minutes: int) -> Html:
    links = (("#alerts", "alerts"), ("#one-by-one", "one by one"), ("#how-to-read", "how to read"), ("#glossary", "glossary"))
    nav = element("nav", [element("a", text, href=href) for href, text in links], aria_label="Sections")
    say = f"Which loans' money went where it should not, and how sure that is. All times are {offset_name(utc_offset_minutes)}."
    return element("header", element("h1", title, " ", chinese("贷款资金流向报告")), element("p", say), nav, class_="masthead")


def _how_to_read() -> Html:
    amounts = [
        element(
            "div",
            element("dt", element("span", class_=f"swatch {key}"), f"{term.english} ", chinese(term.chinese)),
            element("dd", term.meaning),
        )
        for key, term in glossary.AMOUNTS.items()
    ]
    why = element(
        "p",
        "Money on an account is mixed: nobody can see which yuan paid for what. So three figures are given instead of one. "
        "If an account held 10,000 of its own and 100,000 of the loan, and 90,000 went to a broker, then at least 80,000 of it "
        "was the loan's (certain), the ledger says 90,000 (attributed), and no more than 90,000 can have been (possible).",
    )
    severities = [
        element(
            "div",
            element("dt", f"{glossary.MARKS[name]} {term.english} ", chinese(term.chinese), class_=f"s-{name.lower()} ink"),
            element("dd", term.meaning),
        )
        for name, term in glossary.SEVERITIES.items()
    ]
    results = [
        element("div", element("dt", f"{term.english} ", chinese(term.chinese)), element("dd", term.meaning))
        for term in glossary.LOOK_ALIKE_RESULTS.values()
    ]
    look = element(
        "p",
        "An honest borrower can leave the same picture. Each such innocent explanation was tested against the records; "
        "one that could not be tested is the first thing to ask about.",
    )
    return element(
        "section",
        element("h2", "How to read this ", chinese("阅读说明"), id="how-to-read"),
        element(
            "div",
            element("div", element("h3", "The three amounts"), why, element("dl", amounts)),
            element("div", element("h3", "Severity"), element("dl", severities)),
            element("div", element("h3", "Look-alikes"), look, element("dl", results)),
            class_="three",
        ),
    )


_COLUMNS = (
    "severity",
    "kind of misuse, alert",
    "loan",
    "customer",
    "certain",
    "attributed",
    "possible",
    "score",
    "when",
)
_NUMERIC = frozenset({"certain", "attributed", "possible", "score"})


def _alert_list(alerts: list[AlertHistory], utc_offset_minutes: int) -> Iterator[str]:
    yield '<section class="list">'
    yield element("h2", "All alerts ", chinese("预警清单"), id="alerts")
    yield _filters(alerts)
    yield element("p", counted(len(alerts), "alert"), id="count", role="status", class_="note")
    yield '<div class="wide" tabindex="0" role="group" aria-label="All alerts"><table id="alert-table"><thead>'
    yield element("tr", [element("th", name, scope="col", class_="number" if name in _NUMERIC else None) for name in _COLUMNS])
    yield "</thead><tbody>"
    for number, history in enumerate(alerts, start=1):
        yield _list_row(history, number, utc_offset_minutes)
    yield "</tbody></table></div></section>"


def _list_row(history: AlertHistory, number: int, utc_offset_minutes: int) -> Html:
    alert = history.current
    subject = alert.subject
    key = element("code", alert.alert_id)
    link = element("a", key, href=f"#alert-{number}") if number <= ALERTS_DRAWN_MAX else key
    withdrawn = join(element("br"), status(alert)) if alert.status == "WITHDRAWN" else None
    amounts = (alert.traced_min_minor, alert.traced_estimate_minor, alert.traced_max_minor)
    cells = (
        _cell(join(badge(alert), withdrawn), SEVERITIES.index(alert.severity)),
        _cell(join(typology(alert), element("br"), link), alert.typology, "kind"),
        _cell(subject.loan_id or subject_words(alert), None, "id"),
        _cell(subject.customer_id or "—", None, "id"),
        *(
            _cell(
                join(
                    format_money(amount, alert.currency),
                    element("br"),
                    element("small", share(amount, subject.loan_amount_minor)),
                ),
                f"{amount * 10 ** (4 - EXPONENTS.get(alert.currency, 0))}",
                "number",
            )
            for amount in amounts
        ),
        _cell(f"{alert.score:.2f}", f"{alert.score:.4f}", "number"),
        _cell(local_time(alert.event_time, utc_offset_minutes, "%Y-%m-%d %H:%M"), alert.event_time, "time"),
    )
    return element(
        "tr",
        cells,
        data_severity=alert.severity,
        data_typology=alert.typology,
        data_status=alert.status,
        class_="is-withdrawn" if alert.status == "WITHDRAWN" else None,
    )


def _cell(content: str, order: str | int | None = None, class_: str | None = None) -> Html:
    return element("td", content, data_order=order, class_=class_)


def _filters(alerts: list[AlertHistory]) -> Html:
    """Shown by the script only, since it is what makes them work."""
    codes = sorted({(history.current.typology, history.current.typology_name.replace("_", " ").lower()) for history in alerts})
    selects = (
        ("severity", [(name, glossary.SEVERITIES[name].english) for name in SEVERITIES]),
        ("typology", [(code, f"{code} {name}") for code, name in codes]),
        ("status", [(name, term.english) for name, term in glossary.STATUSES.items()]),
    )
    fields = [
        element(
            "label",
            f"{name} ",
            element(
                "select",
                element("option", "all", value=""),
                [element("option", text, value=value) for value, text in options],
                data_filter=name,
            ),
        )
        for name, options in selects
    ]
    search = element(
        "label", "loan, customer, alert or any word ", element("input", type="search", data_filter="words", autocomplete="off")
    )
    return element(
        "div",
        search,
        fields,
        element("button", "show all", type="button", id="reset"),
        class_="filters",
        id="filters",
        hidden=True,
    )


def _not_drawn_note(alerts: list[AlertHistory]) -> Html:
    left = len(alerts) - ALERTS_DRAWN_MAX
    if left <= 0:
        return element("p", "The most urgent first; withdrawn ones stand last.", class_="note")
    return element(
        "p",
        f"Drawn are the {ALERTS_DRAWN_MAX} most urgent of {len(alerts)}. The other {left} stand in the list above only; ",
        element("code", "fundtrail explain"),
        " shows each of them in full.",
        class_="note",
        id="not-drawn",
    )


def _glossary() -> Html:
    terms = [
        element("div", element("dt", f"{term.english} ", chinese(term.chinese)), element("dd", term.meaning))
        for term in glossary.GLOSSARY
    ]
    return element(
        "section", element("h2", "Glossary ", chinese("术语"), id="glossary"), element("dl", terms, class_="glossary")
    )
