"""HTML and SVG that escape by construction: whatever is not :class:`Html` already is escaped when it becomes a child."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from streams.people.figures import legible


class Html(str):
    """Text that is markup already; only :func:`element` and :func:`join` make it."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[str | int | None] | None"

_VOID = frozenset({"br", "hr", "input", "link", "meta"})


def element(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Html:
    """An element. Attribute names lose a trailing underscore and turn inner ones into hyphens; None and False leave one out.

    >>> element("p", "a < b", class_="x", data_y='"')
    '<p class="x" data-y="&quot;">a &lt; b</p>'
    """
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    if name in _VOID:
        return Html(opened)
    return Html(f"{opened}{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    """Children one after the other, each escaped unless it is markup."""
    return Html("".join(_flat(child) for child in children))


def chinese(text: str) -> Html:
    """A Chinese text, marked as such for fonts and screen readers."""
    return element("span", text, lang="zh")


def _flat(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return escape(legible(child))
    if isinstance(child, int):
        return str(child)
    return "".join(_flat(item) for item in child)


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    spelled = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {spelled}"
    text = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
    return f' {spelled}="{escape(legible(text))}"'
