"""How many alerts a replay raised per 1,000 account-days.

Usage: ``python benchmarks/account_days.py TOPICS OUT [TOPICS OUT ...]``

``TOPICS`` is a folder that was replayed, ``OUT`` where the results are. An account counts when it has a record of its own, or
when it is the counterparty of one that states no bank code (feeds with one record for both sides); days run from the first to
the last transaction, both included. Withdrawn alerts do not count. Prints one JSON object a pair.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from detectors.events import AccountTransaction
from detectors.tracer import DAY_MS
from streams.files.readers import open_topic_files

ACCOUNT_DAYS_UNIT = 1_000


def accounts_and_days(topics: Path) -> tuple[int, int]:
    """(Accounts of the bank, days of its transactions)."""
    accounts: set[str] = set()
    days: set[int] = set()
    for source in open_topic_files([topics]):
        for block in source.blocks():
            for event_time_ms, *_, event, _ in block.rows:
                if isinstance(event, AccountTransaction):
                    days.add(event_time_ms // DAY_MS)
                    accounts.add(event.account_id)
                    if event.counterparty_account is not None and event.counterparty_bank_code is None:
                        accounts.add(event.counterparty_account)
    return len(accounts), max(days) - min(days) + 1 if days else 0


def rate(topics: Path, out: Path) -> dict[str, object]:
    """Standing alerts of one replay, and how many that is per 1,000 account-days."""
    accounts, days = accounts_and_days(topics)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    standing = sum(summary["alerts"].values()) - summary["withdrawn"]
    account_days = accounts * days
    return {
        "topics": topics.name,
        "accounts": accounts,
        "days": days,
        "standing_alerts": standing,
        "alerts_per_1000_account_days": round(ACCOUNT_DAYS_UNIT * standing / account_days, 5) if account_days else None,
    }


def main(arguments: Sequence[str] | None = None) -> list[dict[str, object]]:
    """Run from the command line; returns what was printed."""
    paths = [Path(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    if not paths or len(paths) % 2:
        raise SystemExit(__doc__)
    rates = [rate(topics, out) for topics, out in zip(paths[::2], paths[1::2], strict=True)]
    for row in rates:
        print(json.dumps(row))
    return rates


if __name__ == "__main__":
    main()
