"""A money trail as a drawing: accounts from left to right by hop, arrows as wide as the loan money they carried.

An account stands once per hop at which it took part, so arrows always lead right. What does not fit is folded: more than
``COLUMNS`` hops continue in a further row, the smallest accounts of a hop beyond ``ACCOUNTS_PER_HOP_MAX`` share one box.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from detectors.alert_record import Alert, PathStep
from detectors.money import format_money
from streams.people.figures import counted, legible, local_time, share
from streams.people.glossary import USES, account_name, use_name
from streams.people.markup import Html, chinese, element, join

COLUMNS = 5
"""Hops side by side (one more than the payments between them)."""

ACCOUNTS_PER_HOP_MAX = 9
"""Boxes drawn at one hop; the accounts with the least loan money beyond it are drawn as one box that says how many."""

BOX_WIDTH, BOX_HEIGHT_MIN, BOX_GAP = 146, 66, 14
SWING, LABEL = 46, 134
"""Between two columns: where arrows change height, and where they run level under their label."""
SLOT = 54
"""Height kept free for one arrow and its label."""
WIDTH_MAX = 16.0
TEXT_LINE = 12.5
ID_LINE_CHARS = 19
BORROWER_SIDE = "BORROWER_SIDE"
FORWARDED = "FORWARDED"
START = "START"
PASSED_ON = "PASSED_ON"

_ROLES = {
    START: ("Loan paid out here", "放款账户"),
    PASSED_ON: ("Passed on", "过手账户"),
    BORROWER_SIDE: ("Borrower's side", "借款人一方"),
    FORWARDED: ("Final payee", "最终收款"),
}
_FOUND_BY_TYPOLOGY = {"T05": BORROWER_SIDE}


class Arrow(NamedTuple):
    """Payments from one box to another with one class of use."""

    tail: str
    head: str
    use: str
    amount_minor: int
    traced_minor: int
    payments: int
    first_time: str
    last_time: str


class Box(NamedTuple):
    """One account, or several folded into one, at one hop."""

    name: str
    accounts: tuple[str, ...]
    hop: int
    role: str  # a key of _ROLES or a class of use
    received_minor: int
    in_question: bool
    again: bool  # an account of an earlier hop


class Place(NamedTuple):
    """Where a box stands in its row."""

    x: float
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def draw_trail(alert: Alert, number: int, utc_offset_minutes: int) -> Html:
    """The alert's path as inline SVG with its legend.

    Args:
        number: makes the ids in the drawing unique on the page.
    """
    if not alert.path:
        return element("p", "The alert names no payments, so there is nothing to draw.", class_="note")
    names = _fold(alert.path)
    arrows = _arrows(alert.path, names)
    boxes = _boxes(alert, names, arrows)
    hops = max(box.hop for box in boxes.values())
    rows = [range(first, min(first + COLUMNS - 1, hops) + 1) for first in range(0, max(hops, 1), COLUMNS - 1)]
    drawn = [_row(alert, row, boxes, arrows, utc_offset_minutes) for row in rows]
    return join(_svg(alert, number, drawn), _legend(boxes, arrows))


def _fold(path: Iterable[PathStep]) -> dict[tuple[str, int], str]:
    """(account, hop) -> name of its box. A payer stands one hop before its payee."""
    carried: dict[int, dict[str, int]] = {}
    for step in path:
        payers, payees = carried.setdefault(step.hop - 1, {}), carried.setdefault(step.hop, {})
        payers.setdefault(step.payer, 0)
        payees[step.payee] = payees.get(step.payee, 0) + step.traced_minor
    names: dict[tuple[str, int], str] = {}
    for hop, accounts in carried.items():
        ordered = sorted(accounts, key=lambda account: -accounts[account])
        kept = ordered if len(ordered) <= ACCOUNTS_PER_HOP_MAX else ordered[: ACCOUNTS_PER_HOP_MAX - 1]
        for account in ordered:
            names[account, hop] = f"{hop}|{account}" if account in kept else f"{hop}|"
    return names


def _arrows(path: Iterable[PathStep], names: dict[tuple[str, int], str]) -> list[Arrow]:
    merged: dict[tuple[str, str, str], Arrow] = {}
    for step in path:
        key = (names[step.payer, step.hop - 1], names[step.payee, step.hop], step.use)
        known = merged.get(key)
        if known is None:
            merged[key] = Arrow(*key, step.amount_minor, step.traced_minor, 1, step.event_time, step.event_time)
        else:
            merged[key] = known._replace(
                amount_minor=known.amount_minor + step.amount_minor,
                traced_minor=known.traced_minor + step.traced_minor,
                payments=known.payments + 1,
                last_time=step.event_time,
            )
    return list(merged.values())


def _boxes(alert: Alert, names: dict[tuple[str, int], str], arrows: list[Arrow]) -> dict[str, Box]:
    members: dict[str, list[str]] = {}
    hops: dict[str, int] = {}
    for (account, hop), name in names.items():
        members.setdefault(name, []).append(account)
        hops[name] = hop
    paying = {arrow.tail for arrow in arrows}
    seen_until: dict[str, int] = {}
    boxes: dict[str, Box] = {}
    for name in sorted(members, key=lambda name: hops[name]):
        accounts, hop = tuple(members[name]), hops[name]
        incoming = [arrow for arrow in arrows if arrow.head == name]
        again = len(accounts) == 1 and accounts[0] in seen_until and not accounts[0].startswith("~")
        boxes[name] = Box(
            name,
            accounts,
            hop,
            _role(alert, hop, incoming, name in paying),
            sum(arrow.traced_minor for arrow in incoming),
            alert.subject.account_id in accounts,
            again,
        )
        seen_until.update(dict.fromkeys(accounts, hop))
    return boxes


def _role(alert: Alert, hop: int, incoming: list[Arrow], pays: bool) -> str:
    if hop == 0:
        return START
    if pays:
        return PASSED_ON
    uses = {arrow.use for arrow in incoming}
    if uses != {"OTHER"} and len(uses) == 1:
        return uses.pop()
    return _FOUND_BY_TYPOLOGY.get(alert.typology, FORWARDED)


def _row(
    alert: Alert, hops: range, boxes: dict[str, Box], arrows: list[Arrow], utc_offset_minutes: int
) -> tuple[Html, float, int]:
    """One row of the drawing with its height and number of columns, its upper edge at 0."""
    inside = [arrow for arrow in arrows if boxes[arrow.head].hop in hops[1:]]
    columns = [[box for box in boxes.values() if box.hop == hop] for hop in hops]
    places = _places(columns, inside)
    entries, exits = _ports(places, inside)
    parts = [_arrow(alert, arrow, places, exits[i], entries[i], utc_offset_minutes) for i, arrow in enumerate(inside)]
    parts += [_box(alert, boxes[name], place) for name, place in places.items()]
    heads = [
        element("text", _hop_title(hop), x=_column_x(i) + BOX_WIDTH / 2, y=-12, class_="hop", text_anchor="middle")
        for i, hop in enumerate(hops)
    ]
    height = max(place.y + place.height for place in places.values())
    return join(heads, parts), height, len(hops)


def _hop_title(hop: int) -> str:
    return "Payout" if hop == 0 else f"Hop {hop}"


def _column_x(column: int) -> float:
    return float(column * (BOX_WIDTH + SWING + LABEL))


def _places(columns: list[list[Box]], arrows: list[Arrow]) -> dict[str, Place]:
    """Boxes near the middle of what feeds them, then once more near the middle of what they feed; never overlapping."""
    into: dict[str, list[str]] = {}
    out_of: dict[str, list[str]] = {}
    for arrow in arrows:
        into.setdefault(arrow.head, []).append(arrow.tail)
        out_of.setdefault(arrow.tail, []).append(arrow.head)
    places: dict[str, Place] = {}
    for column, boxes in enumerate(columns):
        _stack(_column_x(column), boxes, into, into, places)
    for column, boxes in reversed(list(enumerate(columns))):
        _stack(_column_x(column), boxes, into, out_of, places)
    top = min(place.y for place in places.values())
    return {name: place._replace(y=place.y - top) for name, place in places.items()}


def _stack(
    x: float, boxes: list[Box], into: dict[str, list[str]], neighbours: dict[str, list[str]], places: dict[str, Place]
) -> None:
    """Stack one column; each box as near to the middle of its neighbours as the boxes above it allow."""

    def wanted(box: Box) -> float | None:
        around = [places[name].middle for name in neighbours.get(box.name, []) if name in places]
        if around:
            return (min(around) + max(around)) / 2
        return places[box.name].middle if box.name in places else None

    heights = {box.name: max(BOX_HEIGHT_MIN, SLOT * len(into.get(box.name, ()))) for box in boxes}
    middles = {box.name: wanted(box) for box in boxes}
    ordered = sorted(
        boxes, key=lambda box: (middles[box.name] is None, middles[box.name] or 0.0, len(box.accounts) > 1, -box.received_minor)
    )
    total = sum(heights.values()) + BOX_GAP * (len(boxes) - 1)
    known = [middle for middle in middles.values() if middle is not None]
    bottom = (min(known) + max(known)) / 2 - total / 2 if known else 0.0
    for box in ordered:
        places[box.name] = Place(x, bottom, float(heights[box.name]))
        bottom += heights[box.name] + BOX_GAP


def _ports(places: dict[str, Place], arrows: list[Arrow]) -> tuple[dict[int, float], dict[int, float]]:
    """Heights at which each arrow (by its number) enters and leaves, ordered so that arrows of one box do not cross."""
    entries: dict[int, float] = {}
    exits: dict[int, float] = {}
    for name, place in places.items():
        coming = sorted(
            (i for i, arrow in enumerate(arrows) if arrow.head == name), key=lambda i: places[arrows[i].tail].middle
        )
        going = sorted(
            (i for i, arrow in enumerate(arrows) if arrow.tail == name), key=lambda i: (places[arrows[i].head].middle, i)
        )
        for rank, i in enumerate(coming):
            entries[i] = place.middle + SLOT * (rank - (len(coming) - 1) / 2) + 6
        for rank, i in enumerate(going):
            exits[i] = place.y + place.height * (rank + 1) / (len(going) + 1)
    return entries, exits


def _arrow(alert: Alert, arrow: Arrow, places: dict[str, Place], leaves: float, enters: float, utc_offset_minutes: int) -> Html:
    whole = alert.subject.loan_amount_minor or max(step.traced_minor for step in alert.path) or 1
    width = max(2.0, min(WIDTH_MAX, WIDTH_MAX * arrow.traced_minor / whole))
    start = places[arrow.tail].x + BOX_WIDTH
    level, tip = start + SWING, places[arrow.head].x
    bend, unbend = start + SWING * 0.6, level - SWING * 0.6
    swing = f"M{start:.0f} {leaves:.1f}C{bend:.1f} {leaves:.1f} {unbend:.1f} {enters:.1f} {level:.0f} {enters:.1f}"
    half = width / 2 + 4
    head = f"M{tip - 9:.0f} {enters - half:.1f}L{tip:.0f} {enters:.1f}L{tip - 9:.0f} {enters + half:.1f}Z"
    return element(
        "g",
        element("title", _arrow_title(alert, arrow, utc_offset_minutes)),
        element("path", d=f"{swing}H{tip - 8:.0f}", class_="flow", stroke_width=width),
        element("path", d=head, class_="tip"),
        _arrow_label(alert, arrow, level + 2, enters - width / 2, enters + width / 2, utc_offset_minutes),
        class_=_colour(arrow.use),
    )


def _arrow_label(alert: Alert, arrow: Arrow, x: float, above: float, below: float, utc_offset_minutes: int) -> Html:
    figure = format_money(arrow.traced_minor, alert.currency).partition(" ")[2]
    when = local_time(arrow.first_time, utc_offset_minutes, "%m-%d %H:%M")
    lines = [
        element("text", figure, x=x, y=above - 16, class_="sum"),
        element(
            "text", f"{share(arrow.traced_minor, alert.subject.loan_amount_minor)} · {when}", x=x, y=above - 4, class_="when"
        ),
    ]
    aside = f"in {arrow.payments} payments" if arrow.payments > 1 else ""
    if not aside and arrow.amount_minor != arrow.traced_minor:
        aside = f"of {format_money(arrow.amount_minor, alert.currency).partition(' ')[2]} paid"
    return join(lines, element("text", aside, x=x, y=below + 11, class_="when") if aside else None)


def _arrow_title(alert: Alert, arrow: Arrow, utc_offset_minutes: int) -> str:
    first, last = local_time(arrow.first_time, utc_offset_minutes), local_time(arrow.last_time, utc_offset_minutes)
    when = first if first == last else f"{first} to {last}"
    return (
        f"{counted(arrow.payments, 'payment')}, {format_money(arrow.amount_minor, alert.currency)}, of which loan money "
        f"{format_money(arrow.traced_minor, alert.currency)}; {when}; {use_name(arrow.use)}"
    )


def _box(alert: Alert, box: Box, place: Place) -> Html:
    names = [legible(account_name(account)) for account in box.accounts]
    title = names[0] if len(names) == 1 else f"{len(names)} accounts: {', '.join(names)}"
    english, zh = role_name(box.role)
    ids = (
        (["no account named"] if box.accounts[0].startswith("~") else _id_lines(names[0]))
        if len(names) == 1
        else [f"{len(names)} more accounts", "(all in the list)"]
    )
    foot = "the account in question" if box.in_question else "same account as before" if box.again else ""
    said = [(english, "role"), (zh, "role"), *((line, "id") for line in ids), (foot, "when")]
    said = [(text, class_) for text, class_ in said if text]
    top = place.middle - TEXT_LINE * (len(said) - 1) / 2 + 4
    lines = [
        element("text", text, x=place.x + 11, y=top + TEXT_LINE * i, class_=class_) for i, (text, class_) in enumerate(said)
    ]
    frame = element("rect", x=place.x, y=place.y, width=BOX_WIDTH, height=place.height, rx=7, class_="box")
    stripe = element("rect", x=place.x, y=place.y, width=5, height=place.height, rx=2, class_="stripe")
    marked = " in-question" if box.in_question else ""
    return element("g", element("title", title), frame, stripe, lines, class_=_colour(box.role) + marked)


def role_name(role: str) -> tuple[str, str]:
    """What a box or arrow stands for: (English, Chinese)."""
    if role in _ROLES:
        return _ROLES[role]
    if role in USES:
        return USES[role].english.capitalize(), USES[role].chinese
    return use_name(role), ""


def _id_lines(name: str) -> list[str]:
    """An id in at most two lines; of a longer one the middle is left out, its beginning and end tell it apart."""
    if len(name) <= ID_LINE_CHARS:
        return [name]
    account, _, owner = name.partition(" (")
    if owner and max(len(account), len(owner) + 1) <= ID_LINE_CHARS:
        return [account, f"({owner}"]
    if len(name) <= 2 * ID_LINE_CHARS:
        return [name[:ID_LINE_CHARS], name[ID_LINE_CHARS:]]
    return [name[: ID_LINE_CHARS - 1] + "…", "…" + name[-(ID_LINE_CHARS - 1) :]]


def _colour(role: str) -> str:
    known = role in _ROLES or role in USES
    return f"c-{role.lower().replace('_', '-')}" if known else "c-other"


def _svg(alert: Alert, number: int, rows: list[tuple[Html, float, int]]) -> Html:
    gap, top = 46, 26
    columns = max(row[2] for row in rows)
    width = columns * BOX_WIDTH + (columns - 1) * (SWING + LABEL) + 4
    y, parts = float(top), []
    for drawn, height, _ in rows:
        parts.append(element("g", drawn, transform=f"translate(2 {y:.1f})"))
        y += height + gap
    title, text = f"t{number}", f"d{number}"
    extent = f"{counted(len(alert.path), 'payment')} over {counted(alert.hops_visible, 'hop')}"
    described = f"{extent}; the list of payments below holds the same facts."
    svg = element(
        "svg",
        element("title", f"Money trail of alert {alert.alert_id}", id=title),
        element("desc", described, id=text),
        parts,
        viewBox=f"0 0 {width} {y - gap + 10:.0f}",
        style=f"max-width:{width}px;min-width:{round(width * 0.72)}px",
        role="img",
        aria_labelledby=f"{title} {text}",
    )
    more = element("p", "Read each row from left to right; the last column of a row is the first of the next.", class_="note")
    return join(
        element("div", svg, class_="trail", tabindex=0, role="group", aria_label="Money trail, scrollable"),
        more if len(rows) > 1 else None,
    )


def _legend(boxes: dict[str, Box], arrows: list[Arrow]) -> Html:
    roles = dict.fromkeys([*(box.role for box in boxes.values()), *(arrow.use for arrow in arrows if arrow.use != "OTHER")])
    items = [
        element("li", element("span", class_=f"swatch {_colour(role)}"), role_name(role)[0], " ", chinese(role_name(role)[1]))
        for role in roles
    ]
    widths = element(
        "li",
        "Arrow: the wider, the more of this loan's money. Figures: loan money in the payment, its share of the loan, time",
    )
    return element("ul", items, widths, class_="legend", aria_label="Legend")
