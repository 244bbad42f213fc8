"""The money's way as a tree: which payment fed which, and where the money ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from detectors.alert_record import Alert, PathStep
from streams.people.glossary import account_name, use_name


class Link(NamedTuple):
    """A step and the step that fed it last. Numbers count from 0 in the order of the path."""

    step: PathStep
    parent: int | None  # None: from the account the loan was paid to, or the feeding step is not in the path
    feeders: tuple[int, ...]  # all earlier steps that brought money to the payer


class Destination(NamedTuple):
    """A place where the traced money ended."""

    account: str
    use: str
    traced_minor: int


def link_steps(path: Sequence[PathStep]) -> list[Link]:
    """Each step with the latest earlier one that paid its payer, one hop before it if there is such a one."""
    links: list[Link] = []
    arrivals: dict[str, list[int]] = {}
    for number, step in enumerate(path):
        fed = [] if step.hop <= 1 else arrivals.get(step.payer, [])
        next_door = [earlier for earlier in fed if path[earlier].hop == step.hop - 1]
        links.append(Link(step, (next_door or fed)[-1] if fed else None, tuple(fed)))
        arrivals.setdefault(step.payee, []).append(number)
    return links


def destinations(alert: Alert) -> list[Destination]:
    """Where the traced money ended, most first: payees of steps that fed no later step."""
    links = link_steps(alert.path)
    passed_on = {feeder for link in links for feeder in link.feeders}
    ends: dict[tuple[str, str], int] = {}
    for number, link in enumerate(links):
        if number not in passed_on:
            key = (link.step.payee, link.step.use)
            ends[key] = ends.get(key, 0) + link.step.traced_minor
    return sorted((Destination(*key, traced) for key, traced in ends.items()), key=lambda end: (-end.traced_minor, end.account))


def destination_words(alert: Alert, named_max: int = 2) -> str:
    """Where the money went, in a few words: classes of use and the accounts that got most."""
    if alert.typology == "T12" and alert.subject.account_id:
        return f"through {alert.subject.account_id}, which passed it on at once"
    ends = destinations(alert)
    if not ends:
        return "no path recorded"
    uses = list(dict.fromkeys(end.use for end in ends))
    names = [account_name(end.account) for end in ends if not end.account.startswith("~")]
    head = _heading(alert, uses)
    more = f" and {len(names) - named_max} more" if len(names) > named_max else ""
    return f"{head}: {', '.join(names[:named_max])}{more}" if names else head


def _heading(alert: Alert, uses: list[str]) -> str:
    if alert.typology == "T05":
        return "back to the borrower's side"
    if alert.typology == "T06":
        return "sent on by the entrusted payee"
    return ", ".join(use_name(use) for use in uses[:3])
