"""The scenario notation: a short readable text becomes records and expectations. README.md beside it is its reference.

A scenario is parsed into steps in the order of the file, which is the order of arrival: :class:`Record` is one record of a
topic as plain JSON data, :class:`Expectation` one ``expect`` line. Mistakes raise :class:`NotationError` with file and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from detectors.money import EXPONENTS

ZONE = timezone(timedelta(hours=8))
FIRST_DAY = datetime(2026, 1, 5, tzinfo=ZONE)

TYPES = {
    "securities": "SECURITIES_TRANSFER", "wealth": "WEALTH_INVEST", "card": "PURCHASE", "payroll": "PAYROLL_AGENCY",
    "agency": "AGENCY_PAYMENT", "interest": "INTEREST", "batch": "BATCH",
}  # fmt: skip
TEXTS = {
    "memo": "memo", "mcc": "counterparty_mcc", "industry": "counterparty_industry", "named": "counterparty_name",
    "party": "counterparty_party_id",
    "bank": "counterparty_bank_code", "e2e": "end_to_end_id", "channel": "channel", "exponent": "amount_exponent",
}  # fmt: skip
LOAN_TEXTS = {
    "contract": "contract_sign_date", "product": "product_class", "borrower": "borrower_type", "purpose": "purpose_code",
    "customer": "customer_id", "manager": "account_manager_id", "exponent": "amount_exponent", "branch": "org_id",
    "collection": "collection_account", "purpose-text": "purpose_text", "borrower-industry": "borrower_industry",
}  # fmt: skip
OUTSIDE = ("cash", "nobody")  # names that are no accounts
LEG_WORDS = frozenset({"no balance", "one record", "credit leg first", "debit leg only", "credit leg only"})
LOAN_WORDS = frozenset({"credit first", "credit only", "record only", "credit names no loan"})

_TIME = re.compile(r"^(?:day (?P<day>-?\d+) )?(?P<h>\d\d):(?P<m>\d\d)(?::(?P<s>\d\d))?(?P<rest>\s.*|)$")
_DAY = re.compile(r"^day (?P<day>-?\d+)$")
_MOVE = re.compile(r"^(?P<payer>\S+) -> (?P<payee>\S+) (?P<amount>\S+)(?: (?P<currency>[A-Z]{3}))?(?P<options>(?:, .*)?)$")
_REPAY = re.compile(
    r"^(?P<payer>\S+) repays (?:(?P<interest>interest of) )?(?P<loan>\S+) (?P<amount>[\d.,]+)(?P<options>(?:, .*)?)$"
)
_LOAN = re.compile(
    r"^loan (?P<loan>\S+) to (?P<account>\S+) (?P<amount>\S+)(?: (?P<currency>[A-Z]{3}))?(?P<options>(?:, .*)?)$"
)
_ACCOUNT = re.compile(r"^account (?P<account>\S+)(?P<rest>.*)$")
_REVERSE = re.compile(r"^reverse (?P<what>payout )?(?P<label>\S+)(?: (?P<amount>[\d.,]+))?(?P<options>(?:, .*)?)$")
_LINK = re.compile(r"^link (?P<party>\S+) (?P<role>[A-Z_]+) (?P<other>\S+)(?P<rest>.*)$")
_LIST = re.compile(r"^list (?P<kind>account |party )?(?P<who>\S+) (?P<list>[A-Z_]+)(?P<rest>[^,]*)(?P<options>(?:, .*)?)$")
_NOTICE = re.compile(
    r"^notice (?P<party>\S+) (?P<category>[A-Z]+) (?P<action>[A-Z]+)(?: (?P<code>[A-Z_]+))?(?P<options>(?:, .*)?)$"
)
_NAMED = re.compile(r'^named "(?P<name>[^"]*)" at (?P<bank>\S+)$')
_VALID = re.compile(r"^(?: from day (?P<since>\d+))?(?: until day (?P<until>\d+))?$")
_SETTING = re.compile(r"^settings (?P<section>\w+)\.(?P<name>\w+) = (?P<value>-?\d+(?:\.\d+)?)$")
_CLAUSES = re.compile(
    r",? (?:of (?P<customer>[^\s,]+)|has (?P<has>-?[\d.,]*\d)|(?P<unknown>unknown balance)|kind (?P<kind>[A-Z_]+)|"
    r"(?P<away>at another bank)|(?P<nobody>owner not stated)|(?P<seen>seen before))(?=,? |$)"
)
_AMOUNT = re.compile(r"^-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?$")


class NotationError(ValueError):
    """A scenario that cannot be read; the message starts with ``file:line:``."""


@dataclass
class Record:
    """One record on its way in. ``again``: it repeats an earlier one, byte for byte."""

    line: int
    topic: str
    data: dict[str, Any]
    again: bool = False
    states_balance: bool = True


@dataclass
class Expectation:
    """One ``expect`` line: what it says, and the day that bare times in it mean."""

    line: int
    text: str
    day: int
    currency: str


@dataclass
class Owner:
    """What the notation knows of an account."""

    customer: str | None
    opening_minor: int | None = 0
    kind: str | None = None
    away: bool = False


@dataclass
class Scenario:
    """One parsed scenario. ``settings`` are overrides of limits, ``known_bug`` says why it is expected to fail."""

    path: Path
    line: int
    title: str
    steps: list[Record | Expectation] = field(default_factory=list)
    settings: dict[str, dict[str, int | float]] = field(default_factory=dict)
    known_bug: str = ""

    @property
    def records(self) -> list[Record]:
        """Its records in the order of arrival."""
        return [step for step in self.steps if isinstance(step, Record)]


def parse_file(path: Path) -> list[Scenario]:
    """The scenarios of a file. What stands before the first ``scenario`` line belongs to each of them."""
    preamble: list[tuple[int, str]] = []
    blocks: list[tuple[int, str, list[tuple[int, str]]]] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = raw.split("#", 1)[0].strip()
        if not text:
            continue
        if text.startswith("scenario "):
            blocks.append((number, text.removeprefix("scenario ").strip(), []))
        else:
            (blocks[-1][2] if blocks else preamble).append((number, text))
    if not blocks:
        raise NotationError(f"{path}:1: no scenario line")
    return [_Reader(Scenario(path, number, title)).read([*preamble, *lines]) for number, title, lines in blocks]


def amount_minor(text: str, currency: str) -> int:
    """``1,000.00`` in minor units of the currency; ValueError when it is no such amount."""
    if not _AMOUNT.match(text):
        raise ValueError(f"{text!r} is not an amount such as 1,000.00")
    exponent = EXPONENTS.get(currency, 2)
    whole, _, fraction = text.replace(",", "").partition(".")
    if len(fraction) > exponent:
        raise ValueError(f"{text!r} has more decimals than {currency} has ({exponent})")
    sign = -1 if whole.startswith("-") else 1
    unit: int = 10**exponent
    return sign * (abs(int(whole)) * unit + int(fraction.ljust(exponent, "0") or 0))


def instant(day: int, hour: int, minute: int, second: int = 0) -> datetime:
    """A moment of the scenario; day 1 is :data:`FIRST_DAY`."""
    return FIRST_DAY + timedelta(days=day - 1, hours=hour, minutes=minute, seconds=second)


def in_utc(moment: datetime) -> str:
    """As alerts write it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def split_time(text: str, day: int) -> tuple[datetime, str] | None:
    """A leading time and what follows it; None when the text does not start with a time."""
    found = _TIME.match(text)
    if found is None:
        return None
    day = int(found["day"] or day)
    return instant(day, int(found["h"]), int(found["m"]), int(found["s"] or 0)), found["rest"].strip()


class _Reader:
    """Reads the lines of one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.number = scenario.line
        self.day = 1
        self.now = instant(1, 9, 0)
        self.currency = "CNY"
        self.owners: dict[str, Owner] = {}
        self.labels: dict[str, list[Record]] = {}
        self.loans: dict[str, Record] = {}

    def read(self, lines: list[tuple[int, str]]) -> Scenario:
        for self.number, text in lines:
            try:
                self._line(text)
            except (ValueError, KeyError) as error:
                raise NotationError(f"{self.scenario.path}:{self.number}: {error.args[0]}") from error
        self._state_balances()
        return self.scenario

    def _line(self, text: str) -> None:
        word = text.split(" ", 1)[0]
        named: dict[str, Callable[[str], None]] = {
            "expect": self._expect, "known": self._known_bug, "settings": self._settings, "currency": self._set_currency,
            "account": self._account,
        }  # fmt: skip
        if word in named:
            named[word](text)
        elif _DAY.match(text):
            self.day = int(text.split()[1])
            self.now = instant(self.day, 9, 0)
        else:
            timed = split_time(text, self.day)
            if timed is not None:
                self.now, text = timed
                self.day = (self.now - FIRST_DAY).days + 1
            self._event(text)

    def _event(self, text: str) -> None:
        makers: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], None]], ...] = (
            (_LOAN, self._loan), (_REVERSE, self._reverse), (_LINK, self._link), (_LIST, self._list), (_NOTICE, self._notice),
            (_REPAY, self._repay),
            (_MOVE, self._move),
        )  # fmt: skip
        for pattern, make in makers:
            found = pattern.match(text)
            if found is not None:
                make(found)
                return
        word, _, rest = text.partition(" ")
        if word == "again":
            for record in self._labelled(rest):
                self.scenario.steps.append(Record(self.number, record.topic, record.data, again=True))
        elif word == "tick":
            self._add("ticks", {})
        elif word == "outcome":
            self._outcome(rest)
        else:
            raise ValueError(f"cannot read {text!r}")

    def _outcome(self, text: str) -> None:
        """``T01 of L1 OUTCOME``, ``loan L1 OUTCOME`` or ``payment txn OUTCOME``, each perhaps with ``correcting OUTCOME``."""
        text, _, corrects = text.partition(" correcting ")
        subject, outcome = text.rsplit(" ", 1)
        kind, _, name = subject.partition(" ")
        field, name = {"loan": ("loan_id", name), "payment": ("txn_id", name)}.get(kind, ("alert_id", subject))
        self._add("dispositions", {field: name, "outcome": outcome} | ({"corrects": corrects} if corrects else {}))

    # --- lines that are no events -----------------------------------------------------------------------------------

    def _expect(self, text: str) -> None:
        self.scenario.steps.append(Expectation(self.number, text.removeprefix("expect").strip(), self.day, self.currency))

    def _known_bug(self, text: str) -> None:
        if not text.startswith("known bug: "):
            raise ValueError("only 'known bug: why' starts with 'known'")
        self.scenario.known_bug = text.removeprefix("known bug: ")

    def _settings(self, text: str) -> None:
        found = _need(_SETTING, text, "settings section.name = number")
        number = float(found["value"]) if "." in found["value"] else int(found["value"])
        self.scenario.settings.setdefault(found["section"], {})[found["name"]] = number

    def _set_currency(self, text: str) -> None:
        self.currency = text.split()[1]

    def _account(self, text: str) -> None:
        found = _need(_ACCOUNT, text, "account NAME ...")
        owner, rest, seen = self._owner(found["account"]), found["rest"], False
        while rest:
            clause = _CLAUSES.match(rest)
            if clause is None:
                raise ValueError(f"account {found['account']}: cannot read {rest.strip()!r}")
            rest = rest[clause.end() :]
            seen = seen or bool(clause["seen"])
            self._clause(owner, clause)
        if seen:
            self._seen_before(found["account"])

    def _seen_before(self, account: str) -> None:
        """One yuan in and out in cash at eight on the first day: the account and its owner are known when the story begins."""
        for minute, direction, kind in ((0, "CREDIT", "CASH_DEPOSIT"), (1, "DEBIT", "CASH_WITHDRAWAL")):
            fields = {"txn_type": kind}
            self._leg(f"{account}-{kind}", account, direction, 100, self.currency, fields, instant(1, 8, minute))

    def _clause(self, owner: Owner, clause: re.Match[str]) -> None:
        if clause["customer"]:
            owner.customer = clause["customer"]
        elif clause["has"]:
            owner.opening_minor = amount_minor(clause["has"], self.currency)
        elif clause["unknown"]:
            owner.opening_minor = None
        elif clause["kind"]:
            owner.kind = clause["kind"]
        elif clause["away"]:
            owner.away = True
        elif clause["nobody"]:
            owner.customer = None

    def _owner(self, account: str) -> Owner:
        if account not in self.owners:
            self.owners[account] = Owner(account)
        return self.owners[account]

    # --- loans ------------------------------------------------------------------------------------------------------

    def _loan(self, found: re.Match[str]) -> None:
        account, currency = found["account"], found["currency"] or self.currency
        amount = amount_minor(found["amount"], currency)
        ledger: dict[str, Any] = {
            "loan_id": found["loan"], "amount_minor": amount, "currency": currency, "disburse_account": account,
            "customer_id": self._owner(account).customer,
        }  # fmt: skip
        words, credited = self._loan_options(ledger, found["options"], currency)
        credit = {"txn_type": "LOAN_CREDIT", "related_loan_id": found["loan"]}
        if "credit names no loan" in words:
            del credit["related_loan_id"]
        first = len(self.scenario.steps)
        if "credit only" not in words:
            self.loans[found["loan"]] = self._add("loan-disbursements", ledger)
        if "record only" not in words:
            record = self._leg(f"{found['loan']}-credit", account, "CREDIT", amount, currency, credit, credited or self.now)
            self.labels[f"{found['loan']}-credit"] = [record]
        if "credit first" in words:
            self.scenario.steps[first:] = reversed(self.scenario.steps[first:])

    def _loan_options(self, ledger: dict[str, Any], text: str, currency: str) -> tuple[set[str], datetime | None]:
        words: set[str] = set()
        credited = None
        for option in _options(text):
            word, _, rest = option.partition(" ")
            if option in LOAN_WORDS:
                words.add(option)
            elif word in LOAN_TEXTS:
                ledger[LOAN_TEXTS[word]] = int(rest) if word == "exponent" else rest.strip('"')
            elif option.startswith("credit at "):
                credited = self._moment(option.removeprefix("credit at "))
            elif word == "occurs":
                ledger["occur_type"], _, old = rest.partition(" of ")
                ledger["refinanced_loan_ids"] = old.split()
            elif word in ("guarantor", "collateral"):
                ledger["guarantor_party_ids" if word == "guarantor" else "collateral_ids"] = rest.split()
            elif word == "entrusted":
                payee, amount = rest.split()
                ledger.setdefault("entrusted_payments", []).append(
                    {"payee_account": payee, "amount_minor": amount_minor(amount, currency)}
                )
            else:
                raise ValueError(f"loan option {option!r} is not known")
        return words, credited

    # --- money moves ------------------------------------------------------------------------------------------------

    def _move(self, found: re.Match[str]) -> None:
        currency = found["currency"] or self.currency
        fields: dict[str, Any] = {}
        payer, payee = found["payer"], found["payee"]
        if payee == "cash":
            fields["txn_type"] = "CASH_WITHDRAWAL"
        elif payer == "cash":
            fields["txn_type"] = "CASH_DEPOSIT"
        self._transfer(payer, payee, amount_minor(found["amount"], currency), currency, fields, found["options"])

    def _repay(self, found: re.Match[str]) -> None:
        fields = {"txn_type": "LOAN_INTEREST" if found["interest"] else "LOAN_PRINCIPAL"}
        if found["loan"] != "something":
            fields["related_loan_id"] = found["loan"]
        self._transfer(
            found["payer"], "nobody", amount_minor(found["amount"], self.currency), self.currency, fields, found["options"]
        )

    def _transfer(self, payer: str, payee: str, amount: int, currency: str, fields: dict[str, Any], text: str) -> None:
        label, words, credited = f"t{self.number}", set(), self.now
        for option in _options(text):
            word, _, rest = option.partition(" ")
            if option in LEG_WORDS:
                words.add(option)
            elif option in TYPES:
                fields["txn_type"] = TYPES[option]
            elif word in TEXTS:
                fields[TEXTS[word]] = int(rest) if word == "exponent" else rest.strip('"')
            elif option.startswith("credit at "):
                credited = self._moment(option.removeprefix("credit at "))
            elif word == "as":
                label = rest
            elif word == "id":
                fields["txn_id"] = rest
            else:
                raise ValueError(f"option {option!r} is not known")
        if label in self.labels:
            raise ValueError(f"label {label!r} is taken")
        if fields.get("txn_type") in ("SECURITIES_TRANSFER", "WEALTH_INVEST"):
            firm = payer if payee in self.owners else payee
            self.owners.setdefault(firm, Owner(firm, away=True))
        legs = self._legs(label, payer, payee, amount, currency, fields, words, credited)
        if not legs:
            raise ValueError(f"no record would show {payer} -> {payee}: neither has an account at this bank")
        self.labels[label] = legs

    def _legs(
        self, label: str, payer: str, payee: str, amount: int, currency: str, fields: dict[str, Any], words: set[str],
        credited: datetime,
    ) -> list[Record]:  # fmt: skip
        """The records of one transfer: the legs of the accounts at this bank, as far as the options leave them."""
        sides = [("DEBIT", payer, payee, self.now, label), ("CREDIT", payee, payer, credited, f"{label}+")]
        sides = [side for side in sides if side[1] not in OUTSIDE and not self._owner(side[1]).away]
        if "credit leg first" in words:
            sides.reverse()
        only = {"one record": "", "debit leg only": "DEBIT", "credit leg only": "CREDIT"}
        for word in words & only.keys():
            sides = [side for side in sides if side[0] == only[word] or not only[word]][:1]
            if word == "one record":
                self._silent(sides[0], amount, currency)
        legs = []
        for direction, account, other, at, txn_id in sides:
            named = {} if other in OUTSIDE else {"counterparty_account": other}
            legs.append(self._leg(txn_id, account, direction, amount, currency, {**named, **fields}, at))
            legs[-1].states_balance = "no balance" not in words
        return legs

    def _silent(self, side: tuple[str, str, str, datetime, str], amount: int, currency: str) -> None:
        """The other account's balance moves although no record of its own says so."""
        direction, _, other, at, _ = side
        if other not in OUTSIDE and not self._owner(other).away:
            data = {"account_id": other, "direction": "CREDIT" if direction == "DEBIT" else "DEBIT", "amount_minor": amount,
                    "currency": currency, "event_time": at.isoformat()}  # fmt: skip
            self.scenario.steps.append(Record(self.number, "", data))

    def _leg(
        self, txn_id: str, account: str, direction: str, amount: int, currency: str, fields: dict[str, Any], at: datetime
    ) -> Record:
        owner = self._owner(account)
        data = {"txn_id": txn_id, "account_id": account, "direction": direction, "amount_minor": amount, "currency": currency,
                "customer_id": owner.customer, "account_kind": owner.kind, **fields}  # fmt: skip
        return self._add("account-transactions", data, at)

    def _reverse(self, found: re.Match[str]) -> None:
        if found["what"]:
            self._reverse_payout(found)
            return
        for record in self._labelled(found["label"]):
            data = record.data
            if found["options"] not in ("", ", one record"):
                raise ValueError(f"cannot read {found['options']!r}: a reversal may be 'one record'")
            amount = amount_minor(found["amount"], data["currency"]) if found["amount"] else data["amount_minor"]
            direction = "CREDIT" if data["direction"] == "DEBIT" else "DEBIT"
            kept: dict[str, Any] = {
                key: data[key] for key in ("counterparty_account", "txn_type", "related_loan_id") if key in data
            }
            fields = {**kept, "reversal_flag": True, "reverses_txn_id": data["txn_id"]}
            suffix = f"{amount}" if found["amount"] else ""
            legs = self._leg(
                f"{data['txn_id']}-back{suffix}", data["account_id"], direction, amount, data["currency"], fields, self.now
            )
            self.labels.setdefault(f"{found['label']}-back", []).append(legs)
            if ", one record" in found["options"]:
                break

    def _reverse_payout(self, found: re.Match[str]) -> None:
        """The loan ledger's record of a reversed payout, and the deposit debit that names the credit."""
        label = found["label"]
        if label not in self.loans:
            raise ValueError(f"{label!r} is no loan above")
        ledger = {**self.loans[label].data, "event_type": "REVERSED"}
        if found["amount"]:
            ledger["amount_minor"] = amount_minor(found["amount"], ledger["currency"])
        options = set(_options(found["options"]))
        if unknown := options - {"record only", "debit only"}:
            raise ValueError(f"option {min(unknown)!r} is not known")
        if "debit only" not in options:
            self._add("loan-disbursements", ledger)
        if "record only" in options:
            return
        fields = {
            "txn_type": "LOAN_CREDIT",
            "related_loan_id": label,
            "reversal_flag": True,
            "reverses_txn_id": f"{label}-credit",
        }
        self._leg(
            f"{label}-debit", ledger["disburse_account"], "DEBIT", ledger["amount_minor"], ledger["currency"], fields, self.now
        )

    # --- parties ----------------------------------------------------------------------------------------------------

    def _link(self, found: re.Match[str]) -> None:
        data = {"party_id": found["party"], "other_party_id": found["other"], "role": found["role"]}
        self._add("party-links", {**data, **_validity(found["rest"])})

    def _list(self, found: re.Match[str]) -> None:
        key = "party_id" if found["kind"] == "party " else "account_id"
        data = {"list_name": found["list"], key: found["who"], **_validity(found["rest"])}
        for option in _options(found["options"]):
            data |= _bearer(option)
        self._add("list-entries", data)
        if key == "account_id" and found["who"] not in self.owners:
            self.owners[found["who"]] = Owner(found["who"], away=True)

    def _notice(self, found: re.Match[str]) -> None:
        data = {"party_id": found["party"], "category": found["category"], "action": found["action"], "code": found["code"]}
        for option in _options(found["options"]):
            word, _, rest = option.partition(" ")
            if word in ("occurred", "published", "fetched"):
                day = _need(_DAY, rest, f"{word} day 3")["day"]
                data[f"{word}_at"] = instant(int(day), 0, 0).isoformat()
            else:
                data |= _bearer(option)
        self._add("party-events", data)

    # --- leaves -----------------------------------------------------------------------------------------------------

    def _add(self, topic: str, data: dict[str, Any], at: datetime | None = None) -> Record:
        stated = {key: value for key, value in data.items() if value is not None}
        record = Record(self.number, topic, {**stated, "event_time": (at or self.now).isoformat()})
        self.scenario.steps.append(record)
        return record

    def _labelled(self, label: str) -> list[Record]:
        if label in self.labels:
            return self.labels[label]
        if label in self.loans:
            return [self.loans[label]]
        raise ValueError(f"{label!r} is no label of a line above")

    def _moment(self, text: str) -> datetime:
        timed = split_time(text, self.day)
        if timed is None or timed[1]:
            raise ValueError(f"{text!r} is not a time such as 10:40 or day 3 10:40")
        return timed[0]

    def _state_balances(self) -> None:
        """Each record states its account's balance as the bank's books have it: in the order of event times, not of arrival."""
        records = [
            record for record in self.scenario.records if record.topic in ("account-transactions", "") and not record.again
        ]
        balances: dict[tuple[str, str], int | None] = {}
        for record in sorted(records, key=lambda record: str(record.data["event_time"])):
            data = record.data
            key = (str(data["account_id"]), str(data["currency"]))
            before = balances.get(key, self._owner(key[0]).opening_minor)
            if before is not None:
                after = before + (data["amount_minor"] if data["direction"] == "CREDIT" else -data["amount_minor"])
                balances[key] = after
                if record.states_balance:
                    data["balance_after_minor"] = after
            else:
                balances[key] = None
        self.scenario.steps = [step for step in self.scenario.steps if not (isinstance(step, Record) and not step.topic)]


def _need(pattern: re.Pattern[str], text: str, form: str) -> re.Match[str]:
    found = pattern.match(text)
    if found is None:
        raise ValueError(f"cannot read {text!r}: the form is '{form}'")
    return found


def _options(text: str) -> Iterator[str]:
    """The options after an amount: separated by a comma and a space, quoted text kept whole."""
    for option in re.findall(r', ((?:[^,"]|"[^"]*"|,(?! ))+)', text):
        yield option.strip()


def _bearer(option: str) -> dict[str, str]:
    found = _NAMED.match(option)
    if found is None:
        raise ValueError(f"option {option!r} is not known")
    return {"name": found["name"], "bank_code": found["bank"]}


def _validity(text: str) -> dict[str, str]:
    found = _VALID.match(text)
    if found is None:
        raise ValueError(f"cannot read {text.strip()!r}: the form is 'from day 3 until day 9'")
    days = {"valid_from": found["since"], "valid_until": found["until"]}
    return {key: instant(int(day), 0, 0).isoformat() for key, day in days.items() if day is not None}
