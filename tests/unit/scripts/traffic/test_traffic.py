"""What the producers send, and how."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.cli import UserError
from scripts.deployment import Deployed
from scripts.stage import resolve
from scripts.traffic.put_events import events
from scripts.traffic.put_scores import Via, Write, parse_mix, produce, writes
from scripts.traffic.sender import Event, batches, send_all

MIX = {"insert": 60, "update": 30, "delete": 10}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time that passes only in sleep."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("scripts.traffic.sender.time.monotonic", lambda: now[0])
    monkeypatch.setattr("scripts.traffic.sender.time.sleep", sleep)
    return now


@pytest.fixture
def system() -> Iterator[Deployed]:
    with mock_aws():
        boto3.client("kinesis").create_stream(StreamName="Demo-Stream", ShardCount=1)
        boto3.client("dynamodb").create_table(
            TableName="GameScoreRecords",
            KeySchema=[{"AttributeName": "RecordID", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "RecordID", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )
        outputs = {
            "stream": {"name": "Demo-Stream"},
            "tables": {"GameScoreRecords": {"name": "GameScoreRecords"}},
        }
        yield Deployed(resolve("dev", {"AWS_REGION": "us-east-1"}), "123456789012", outputs)


def made_up(n: int, seed: int = 1) -> list[Write]:
    return list(writes(n, users=5, mix=MIX, seed=seed, first_record=100))


def test_the_same_seed_makes_the_same_scores_and_another_makes_others() -> None:
    assert made_up(500) == made_up(500)
    assert made_up(500) != made_up(500, seed=2)
    assert list(events(9, users=3, seed=1)) == list(events(9, users=3, seed=1))


def test_updates_and_deletes_hit_records_that_are_there() -> None:
    there: set[int] = set()
    kinds: Counter[str] = Counter()
    for write in made_up(5000):
        if write.username is None:
            there.remove(write.record_id)
            kinds["delete"] += 1
        else:
            kinds["update" if write.record_id in there else "insert"] += 1
            there.add(write.record_id)

    assert {kind: round(count / 500) for kind, count in kinds.items()} == {"insert": 6, "update": 3, "delete": 1}


@pytest.mark.parametrize("text", ["", "insert", "insert:-1", "insert:1,", "upsert:1", "insert:0", "insert:1;delete:1"])
def test_a_mix_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is not a mix"):
        parse_mix(text)


def test_a_mix_is_read() -> None:
    assert parse_mix("insert:80,update:15,delete:5") == {"insert": 80, "update": 15, "delete": 5}


def test_a_request_is_full_unless_a_key_comes_again() -> None:
    keys = "abcdabc"

    cut = list(batches([Event(key, b"") for key in keys], 5))

    assert ["".join(event.key for event in batch) for batch in cut] == ["abcd", "abc"]
    assert list(map(len, batches([Event(str(n), b"") for n in range(12)], 5))) == [5, 5, 2]


def test_what_was_not_taken_is_sent_again_before_anything_else() -> None:
    seen: list[str] = []
    counts: list[tuple[int, int]] = []
    refuse = itertools.cycle([1, 0])

    def destination(items: Sequence[Event]) -> Sequence[Event]:
        taken = items[next(refuse) :]
        seen.extend(item.key for item in taken)
        return items[: len(items) - len(taken)]

    send_all(
        [Event(str(n), b"") for n in range(6)],
        destination,
        request_items=3,
        on_sent=lambda sent, again: counts.append((sent, again)),
    )

    assert seen == ["1", "2", "0", "4", "5", "3"]
    assert counts == [(2, 1), (1, 0), (2, 1), (1, 0)]


def test_what_is_refused_for_a_minute_is_given_up_in_one_line(clock: list[float]) -> None:
    with pytest.raises(UserError, match="AWS has refused 1 items for 60 s: choose a lower RATE"):
        send_all([Event("1", b"")], lambda items: items, request_items=500)

    assert 50 < clock[0] <= 60


@pytest.mark.parametrize(("rate", "largest"), [(5, 1), (100, 10), (100_000, 500)])
def test_a_rate_is_kept_without_bursts(rate: float, largest: int, clock: list[float]) -> None:
    sizes: list[int] = []

    def destination(items: Sequence[Event]) -> Sequence[Event]:
        sizes.append(len(items))
        return []

    send_all((Event(str(n), b"") for n in range(1001)), destination, request_items=500, rate=rate)

    assert max(sizes) == largest
    assert clock[0] == pytest.approx((1001 - sizes[-1]) / rate)


def test_scores_through_the_stream_are_score_events_in_the_order_of_their_record(system: Deployed) -> None:
    scores = list(writes(700, users=5, mix={"insert": 1, "update": 1}, seed=1, first_record=100))

    produce(system, scores, via=Via.STREAM)

    kinesis = boto3.client("kinesis")
    (shard,) = kinesis.list_shards(StreamName="Demo-Stream")["Shards"]
    start = kinesis.get_shard_iterator(
        StreamName="Demo-Stream", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    records = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    stored = [json.loads(record["Data"], parse_float=Decimal) for record in records]
    assert [(each["RecordID"], each["Username"], each["Score"]) for each in stored] == [
        (score.record_id, score.username, score.score) for score in scores
    ]
    assert {record["PartitionKey"] for record in records} == {score.key for score in scores}


def test_scores_straight_to_the_table_leave_what_the_last_write_of_each_record_says(system: Deployed) -> None:
    scores = made_up(300)

    produce(system, scores, via=Via.TABLE)

    expected = {score.record_id: (score.username, score.score) for score in scores}
    items: list[dict[str, Any]] = boto3.resource("dynamodb").Table("GameScoreRecords").scan()["Items"]
    assert {item["RecordID"]: (item["Username"], item["Score"]) for item in items} == {
        record_id: write for record_id, write in expected.items() if write[0] is not None
    }


@pytest.mark.parametrize("write", [Write(7, None), Write(7, "jane", Decimal("0.10"))])
def test_an_unprocessed_write_is_told_from_the_processed_ones(write: Write, system: Deployed) -> None:
    real = boto3.client("dynamodb")
    requests: list[int] = []

    class Throttled:
        def batch_write_item(self, RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # noqa: N803
            ((table, writes),) = RequestItems.items()
            requests.append(len(writes))
            left = writes[:1] if len(requests) == 1 else []
            real.batch_write_item(RequestItems={table: writes[len(left) :]})
            return {"UnprocessedItems": {table: left} if left else {}}

    stage: Any = SimpleNamespace(session=SimpleNamespace(client=lambda _: Throttled()))

    produce(replace(system, stage=stage), [write, Write(8, "joe", Decimal(1))], via=Via.TABLE)

    assert requests == [2, 1]


def test_a_stream_takes_no_deletes(system: Deployed) -> None:
    with pytest.raises(UserError, match="VIA=table"):
        produce(system, [Write(1, None)], via=Via.STREAM)
