"""The published schemas: JSON Schema 2020-12 made from the record types, one file each in ``docs/schemas``.

``python -m streams.schemas`` writes them; ``--check`` only says which differ, and ends with 1 when one does.

What JSON Schema cannot say stays with the types and ``fault_of``: that a payer differs from its payee, that ``valid_until``
follows ``valid_from``, that a day exists in its month and lies between 1970 and 2100, that a whole number is not
written ``1.0``.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from detectors.alert_record import Alert, LoanRisk, PortfolioShare
from detectors.events import EVENT_TYPES, AccountTransaction, Disposition, Event, ListEntry, LoanDisbursement
from detectors.money import EXPONENTS
from streams.codec import SOURCE_SEQ_MAX
from streams.files.rejects import Reject
from streams.live.rejects import LiveReject

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path("docs") / "schemas"

OUTPUT_TYPES: dict[str, type[msgspec.Struct]] = {
    "alert": Alert,
    "loan-risk": LoanRisk,
    "portfolio": PortfolioShare,
    "reject": Reject,
    "live-reject": LiveReject,
}
"""File stem -> type of the records that fundtrail writes."""

INSTANT_PATTERN = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])$"
)
"""``format: date-time`` is only a remark to most validators; the pattern makes a missing offset an error in all of them."""


def schemas() -> dict[str, Schema]:
    """File name -> schema, for every record type that enters or leaves."""
    events = {f"{topic}.json": event_schema(f"{topic}.json", event) for topic, event in EVENT_TYPES.items()}
    outputs = {f"{stem}.json": record_schema(f"{stem}.json", record) for stem, record in OUTPUT_TYPES.items()}
    return events | outputs


def record_schema(file_name: str, record: type[msgspec.Struct]) -> Schema:
    """The schema of one type as msgspec reads it, standing at the top of its own file."""
    (reference,), components = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    own_name = reference["$ref"].rpartition("/")[2]
    top = components.pop(own_name)
    schema: Schema = {"$schema": DIALECT, "$id": file_name, **top}
    if components:
        schema["$defs"] = components
    return {key: _spelled_out(value) for key, value in schema.items()}


def event_schema(file_name: str, event: type[Event]) -> Schema:
    """The schema of an event as a feed sends it: ``record`` may be left out, since the topic names the type."""
    schema = record_schema(file_name, event)
    schema["required"] = [name for name in schema["required"] if name != "record"]
    schema["properties"]["source_seq"]["anyOf"][0] |= {"minimum": -SOURCE_SEQ_MAX, "maximum": SOURCE_SEQ_MAX}
    if issubclass(event, (AccountTransaction, LoanDisbursement)):
        schema["properties"]["currency"]["enum"] = sorted(EXPONENTS)
        schema["allOf"] = _exponent_rules()
    if issubclass(event, ListEntry):
        schema["anyOf"] = [_given("account_id"), _given("party_id")]
    if issubclass(event, Disposition):
        schema["oneOf"] = [_given("alert_id"), _given("txn_id"), _given("loan_id")]
    return schema


def _given(name: str) -> Schema:
    return {"required": [name], "properties": {name: {"type": "string"}}}


def _exponent_rules() -> list[Schema]:
    """An exponent, where one is sent, is the one of the currency."""
    currencies: dict[int, list[str]] = defaultdict(list)
    for currency, exponent in sorted(EXPONENTS.items()):
        currencies[exponent].append(currency)
    return [
        {
            "if": {"required": ["currency"], "properties": {"currency": {"enum": names}}},
            "then": {"properties": {"amount_exponent": {"enum": [exponent, None]}}},
        }
        for exponent, names in sorted(currencies.items())
    ]


def _spelled_out(node: Any) -> Any:
    """The same schema with every instant's pattern beside its format."""
    if isinstance(node, list):
        return [_spelled_out(item) for item in node]
    if not isinstance(node, dict):
        return node
    spelled = {key: _spelled_out(value) for key, value in node.items()}
    return spelled | {"pattern": INSTANT_PATTERN} if node.get("format") == "date-time" else spelled


def text_of(schema: Schema) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def differences(folder: Path) -> list[str]:
    """The files of ``folder`` that are missing, stale, or left over from a type that is gone; sorted."""
    wanted = {name: text_of(schema) for name, schema in schemas().items()}
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def write(folder: Path) -> list[str]:
    """Make ``folder`` hold exactly the schemas of the types; returns the files that changed."""
    changed = differences(folder)
    wanted = schemas()
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(text_of(wanted[name]), encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed


def main(arguments: list[str]) -> int:
    """Write or check ``docs/schemas`` of the folder the command runs in; returns the exit status."""
    if arguments not in ([], ["--check"]):
        print("usage: python -m streams.schemas [--check]", file=sys.stderr)
        return 2
    changed = differences(FOLDER) if arguments else write(FOLDER)
    for name in changed:
        print(f"{FOLDER / name}: {'differs from the types; run make schemas' if arguments else 'written'}")
    return 1 if arguments and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
