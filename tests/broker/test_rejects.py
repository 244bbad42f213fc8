"""`fundtrail rejects` shows what was refused, and redrive sends it again in order and once, also when it is killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from detectors.events import Fault
from streams.cli import app
from streams.codec import ORIGINAL_BYTES_MAX
from streams.commands.leaving import DONE, WORLD_FAILED, WRONG_USE
from streams.live.connection import connection_of, consumer_of, producer_of
from streams.live.log import Entry, Stored
from streams.live.reading import reader_of
from streams.live.redrive import REDRIVE_GROUP, Planned, Redrive, Redriven
from streams.live.reject_shelf import RejectShelf, Selection
from streams.live.rejects import LiveReject, entry_of, live_reject
from streams.settings import load_settings
from tests.broker.journal_sample import feed, fold_of, in_order, make_topics, messages, pages, produce, settings_file
from tests.broker.live_run import LiveRun, wait_until
from tests.broker.shared import Reached
from tests.unit.feed_sample import jsonl, transfer, write

RUNNER = CliRunner()
TRANSACTIONS = "account-transactions"
FAULT = Fault("amount_minor", "expected a whole number of minor units; found 75.5")
OF_OLD = b"account-transactions/1/4711"
"""Of a record that was itself sent again, long ago."""


def good(number: int) -> bytes:
    return jsonl([transfer(number)]).strip()


def header(stored: Stored, name: str) -> bytes | None:
    return dict(stored.headers).get(name)


class Bank:
    """Source records, and their rejects as intake would write them."""

    def __init__(self, bootstrap: str, prefix: str, folder: Path) -> None:
        self.bootstrap, self.prefix, self.folder = bootstrap, prefix, folder
        self.config = settings_file(folder, prefix)
        make_topics(bootstrap, prefix, {TRANSACTIONS: 2, "party-links": 2, "rejects": 2})

    def reject(
        self, value: bytes, partition: int = 0, topic: str = TRANSACTIONS, fault: Fault = FAULT, **more: Any
    ) -> LiveReject:
        headers = more.pop("headers", ())
        stage = more.pop("stage", "intake")
        (offset,) = produce(self.bootstrap, self.prefix + topic, [Entry(b"key", value, headers)], partition)
        what = {"timestamp_ms": 1_767_607_200_000, "key": b"key", "headers": headers} if stage == "intake" else {}
        reject = live_reject(topic, partition, offset, stage, fault, value, **what)
        self.put(reject, partition)
        return reject

    def put(self, reject: LiveReject, partition: int) -> None:
        produce(self.bootstrap, f"{self.prefix}rejects", [entry_of(reject)], partition)

    def source(self, partition: int = 0, topic: str = TRANSACTIONS) -> list[Stored]:
        return messages(self.bootstrap, self.prefix + topic, partition)

    def say(self, *arguments: object) -> tuple[int, str, str]:
        words = ["rejects", *(str(argument) for argument in arguments), "--config", str(self.config)]
        result = RUNNER.invoke(app, [*words, "--bootstrap", self.bootstrap])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def redriven(self, partition: int = 0, topic: str = TRANSACTIONS) -> list[tuple[str, bytes]]:
        """What was sent again, in order: of which record, with which value."""
        found = [(header(stored, "fundtrail-redrive-of"), stored.value) for stored in self.source(partition, topic)]
        return [(of.decode(), value) for of, value in found if of not in (None, OF_OLD)]


@pytest.fixture
def bank(broker: Reached, prefix: str, tmp_path: Path) -> Bank:
    return Bank(broker.bootstrap, prefix, tmp_path)


def test_rejects_are_listed_once_by_reason_and_in_the_order_of_their_sources(bank: Bank) -> None:
    late = bank.reject(b"not json at all", 1, fault=Fault("$", "the JSON is malformed; found 'not'"))
    first = bank.reject(b'{"amount_minor": 75.5}')
    bank.reject(b'{"amount_minor": 0.5}', fault=Fault("amount_minor", "expected a whole number of minor units; found 0.5"))
    bank.put(first, 0)  # written twice by an intake that crashed
    code, said, complaints = bank.say("list")
    assert (code, complaints) == (DONE, "")
    text = said.splitlines()
    assert text[1].split()[:2] == ["2", "2"], "the commonest reason first"
    assert "amount_minor: expected a whole number of minor units" in text[1]
    assert "75.5" not in text[1], "what was found does not make another reason"
    places = [line.split()[0] for line in text if line.startswith(TRANSACTIONS)]
    assert places == [first.coordinates, f"{TRANSACTIONS}/0/1", late.coordinates]
    assert first.coordinates not in bank.say("list", "--reason", "MALFORMED")[1]
    assert late.coordinates in bank.say("list", "--reason", "MALFORMED")[1]
    assert "No rejects like that." in bank.say("list", "--stage", "detect")[1]
    assert "No rejects like that." in bank.say("list", "--topic", "party-links")[1]
    assert "No rejects like that." in bank.say("list", "--since", "2100-01-01T00:00:00Z")[1]


def test_a_reject_is_shown_whole_and_its_bytes_come_back_exactly(bank: Bank) -> None:
    nasty = b'\xff\x00\x1b[31m"half'
    reject = bank.reject(nasty, headers=(("trace", b"abc"), ("raw", b"\xff")))
    code, said, _ = bank.say("show", reject.coordinates)
    assert code == DONE
    assert "trace = abc" in said
    assert "raw = base64 /w==" in said
    assert reject.original_sha256 in said
    assert "\x1b" not in said
    assert "ff 00 1b" in said
    result = RUNNER.invoke(
        app, ["rejects", "show", reject.coordinates, "--raw", "--config", str(bank.config), "--bootstrap", bank.bootstrap]
    )
    assert result.stdout_bytes == nasty
    assert bank.say("show", f"{TRANSACTIONS}/0/99")[0] == WRONG_USE
    assert bank.say("show", "nonsense")[0] == WRONG_USE


def test_a_cut_reject_is_completed_from_the_source_as_long_as_it_is_there(bank: Bank) -> None:
    from kafka import TopicPartition
    from kafka.admin import KafkaAdminClient

    long = b'{"memo": "' + b"x" * (2 * ORIGINAL_BYTES_MAX) + b'"}'
    reject = bank.reject(long)
    words = ["rejects", "show", reject.coordinates, "--raw", "--config", str(bank.config), "--bootstrap", bank.bootstrap]
    assert RUNNER.invoke(app, words).stdout_bytes == long
    assert bank.say("redrive", "--unchecked")[0] == DONE
    assert bank.redriven() == [(reject.coordinates, long)]
    with KafkaAdminClient(bootstrap_servers=bank.bootstrap) as admin:
        admin.delete_records({TopicPartition(bank.prefix + TRANSACTIONS, 0): 2})
    result = RUNNER.invoke(app, words)
    assert (result.exit_code, result.stdout_bytes) == (WORLD_FAILED, long[:ORIGINAL_BYTES_MAX])
    assert "only 65,536 of 131,084 bytes are kept" in result.stderr
    code, _, complaints = bank.say("redrive", "--again", "--unchecked")
    assert code == WORLD_FAILED
    assert "is not sent: only 65,536" in complaints
    assert bank.redriven() == []


def test_a_redrive_sends_the_originals_in_order_to_their_partitions_once(bank: Bank) -> None:
    headers = (("trace", b"abc"), ("fundtrail-order", b"5"), ("fundtrail-redrive-of", OF_OLD))
    third = bank.reject(good(3), 1, headers=headers)
    first = bank.reject(good(1), headers=headers)
    second = bank.reject(good(2))
    code, said, complaints = bank.say("redrive", "--dry-run")
    assert code == DONE
    assert "3 would be redriven" in said
    assert bank.redriven() == []
    code, said, complaints = bank.say("redrive")
    assert (code, complaints) == (DONE, "")
    assert "3 redriven" in said
    assert bank.redriven(0) == [(first.coordinates, good(1)), (second.coordinates, good(2))]
    assert bank.redriven(1) == [(third.coordinates, good(3))]
    sent = bank.source(1)[-1]
    assert sent.key == b"key"
    assert header(sent, "trace") == b"abc"
    assert [name for name, _ in sent.headers].count("fundtrail-redrive-of") == 1
    code, said, _ = bank.say("redrive")
    assert "3 were redriven before" in said
    assert len(bank.redriven(0)) == 2
    assert "No rejects" in bank.say("list")[1]
    assert f"[redriven to {TRANSACTIONS}/0/2]" in bank.say("list", "--all")[1]
    assert bank.say("redrive", first.coordinates, "--again")[0] == DONE
    assert [of for of, _ in bank.redriven(0)] == [first.coordinates, second.coordinates, first.coordinates]


def test_an_old_order_number_does_not_put_a_redriven_record_before_others(bank: Bank) -> None:
    bank.reject(good(1), headers=(("fundtrail-order", b"5"), ("fundtrail-follows", b"4")))
    unordered = bank.reject(good(2), 1, headers=(("fundtrail-order", b"6"),))
    produce(bank.bootstrap, bank.prefix + TRANSACTIONS, [Entry(None, good(9), (("fundtrail-order", b"900"),))], 0)
    produce(bank.bootstrap, bank.prefix + TRANSACTIONS, [Entry(None, good(8))], 1)
    assert bank.say("redrive")[0] == DONE
    assert header(bank.source(0)[-1], "fundtrail-order") == b"900", "behind what stands there, in the same kind of order"
    assert header(bank.source(0)[-1], "fundtrail-follows") is None, "its old predecessor is long gone"
    assert header(bank.source(1)[-1], "fundtrail-order") is None
    assert bank.redriven(1)[0][0] == unordered.coordinates


def test_what_would_be_rejected_again_is_not_sent_unless_told_to(bank: Bank) -> None:
    bad, fine = bank.reject(b'{"amount_minor": 75.5}'), bank.reject(good(1))
    code, said, complaints = bank.say("redrive")
    assert code == WORLD_FAILED
    assert "1 redriven" in said
    assert f"{bad.coordinates} is not sent: it would be rejected again" in complaints
    assert bank.redriven() == [(fine.coordinates, good(1))]
    assert bank.say("redrive", "--unchecked")[0] == DONE
    assert bank.redriven()[1][0] == bad.coordinates


def test_mended_records_go_in_place_of_the_originals(bank: Bank) -> None:
    bad = bank.reject(jsonl([transfer(1, amount_minor=75.5)]).strip(), headers=(("fundtrail-decoder", b"avro"),))
    other = bank.reject(good(2))
    mended_file = bank.folder / "fixed.jsonl"
    lines = [json.loads(line) for line in bank.say("list", "--json", bad.coordinates)[1].splitlines()]
    assert [line["of"] for line in lines] == [bad.coordinates]
    write(mended_file, jsonl(lines))
    code, _, complaints = bank.say("redrive", "--from", mended_file)
    assert code == WRONG_USE, "it was not mended"
    assert "line 1" in complaints
    assert "would be rejected again" in complaints
    lines[0]["value"]["amount_minor"] = 7550
    write(mended_file, jsonl(lines))
    assert bank.say("redrive", "--from", mended_file)[0] == DONE
    ((of, value),) = bank.redriven()
    assert of == bad.coordinates
    assert json.loads(value)["amount_minor"] == 7550
    assert header(bank.source()[-1], "fundtrail-decoder") == b"json", "the mended record is JSON, whatever the original was"
    assert other.coordinates in bank.say("list")[1], "only what the file names is sent"
    write(mended_file, jsonl([{"of": f"{TRANSACTIONS}/0/77", "value": transfer(1)}]))
    assert bank.say("redrive", "--from", mended_file)[0] == WRONG_USE


def test_what_detect_rejected_is_sent_as_the_json_it_is(bank: Bank) -> None:
    reject = bank.reject(good(1), stage="detect")
    assert bank.say("redrive")[0] == DONE
    assert bank.redriven() == [(reject.coordinates, good(1))]
    assert header(bank.source()[-1], "fundtrail-decoder") == b"json"


class _Killed(Exception):
    """The process is gone here."""


def interrupted_redrive(bank: Bank, monkeypatch: pytest.MonkeyPatch, die_before: str) -> None:
    """A run that dies in the named step of its first batch."""

    def die(self: Redrive, *_: object) -> list[Redriven]:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Redrive, die_before, die)
        with pytest.raises(_Killed):
            whole_redrive(bank)


def whole_redrive(bank: Bank) -> None:
    connection = connection_of(load_settings(bank.config).live.kafka, bank.bootstrap)
    with (
        reader_of(connection) as reader,
        RejectShelf() as shelf,
        producer_of(connection) as producer,
        consumer_of(connection, group_id=bank.prefix + REDRIVE_GROUP) as notes,
    ):
        run = Redrive(reader, shelf.fill(reader), {}, "json", bank.prefix)
        planned = [one for one in run.plan(shelf.selected(Selection())) if isinstance(one, Planned)]
        list(run.run(producer, notes, planned))


@pytest.mark.parametrize("die_before", ["note", "send", "mark"])
def test_a_redrive_that_dies_anywhere_is_finished_by_the_next_and_sends_nothing_twice(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, die_before: str
) -> None:
    rejects = [bank.reject(good(number)) for number in range(4)]
    interrupted_redrive(bank, monkeypatch, die_before)
    assert len(bank.redriven()) == (4 if die_before == "mark" else 0)
    produce(bank.bootstrap, bank.prefix + TRANSACTIONS, [Entry(None, good(99))])  # the feed goes on meanwhile
    code, said, _ = bank.say("redrive", rejects[0].coordinates)
    assert code == DONE
    if die_before == "mark":
        assert "4 had been sent by a run that was interrupted" in said, "also those that were not asked for now"
    assert bank.say("redrive")[0] == DONE
    assert bank.redriven() == [(reject.coordinates, good(number)) for number, reject in enumerate(rejects)]
    assert "No rejects" in bank.say("list")[1]


def test_a_mark_keeps_the_whole_reject_and_survives_a_repetition_of_it(bank: Bank) -> None:
    reject = bank.reject(good(1))
    assert bank.say("redrive")[0] == DONE
    marks = [json.loads(stored.value) for stored in messages(bank.bootstrap, f"{bank.prefix}rejects")]
    assert marks[1] == {**marks[0], "redriven_to": f"{TRANSACTIONS}/0/1"}, "so a compacted topic loses nothing"
    bank.put(reject, 0)
    assert "1 were redriven before" in bank.say("redrive")[1]


def test_a_mended_record_gives_the_alerts_it_would_have_given_at_once(broker: Reached, prefix: str, tmp_path: Path) -> None:
    """Through real workers: a broken record, its reject, the mended one, the alert."""
    records = in_order(feed(tmp_path / "in"))
    telling = next(record for record in reversed(records) if b"SECURITIES_TRANSFER" in record.value)
    good_order = [*(record for record in records if record is not telling), telling]
    broken = [*good_order[:-1], telling._replace(value=telling.value.replace(b"900000,", b"900000.5,"))]
    assert broken[-1] != telling
    run = LiveRun(broker.bootstrap, prefix, tmp_path / "live")
    run.send((record.topic, record.value) for record in broken)
    expected = [said.entry.value for said in fold_of(pages(good_order)) if said.topic == "alerts"]
    reach = ("--bootstrap", broker.bootstrap, "--prefix", prefix)
    with run.running() as worker:
        wait_until(lambda: any(key.startswith(telling.topic) for key in run.rejects()), "the reject")
        mended = RUNNER.invoke(app, ["rejects", "list", "--stage", "intake", "--json", *reach]).stdout.replace(
            "900000.5", "900000"
        )
        write(tmp_path / "mended.jsonl", mended.encode())
        before = run.alerts()
        assert len(before) < len(expected)
        done = RUNNER.invoke(app, ["rejects", "redrive", "--from", str(tmp_path / "mended.jsonl"), *reach])
        assert (done.exit_code, done.stdout.strip()) == (DONE, "1 redriven")
        run.until_alerts(len(expected), worker)
    assert run.alerts() == expected
    run.close()
