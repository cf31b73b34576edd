"""What becomes of a batch's score events."""

import base64
import json
from decimal import Decimal
from random import Random
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.process_kinesis_records.ingestion import Ingestor, Outcome, ScoreEvent, parse, position
from handlers.process_kinesis_records.payload import score_fields
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import KinesisRecord
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads, Workers
from tests.fakes.invocation import InMemoryParking, ShuffledWorkers
from tests.fakes.records import InMemoryScoreRecords
from tests.property.strategies import nested


def score(record_id: Any, username: Any = "jane", score: Any = 1) -> str:
    return json.dumps({"RecordID": record_id, "Username": username, "Score": score})


STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"
ELSEWHERE = "arn:aws:kinesis:us-east-1:123456789012:stream/another"


def kinesis_record(payload: str, sequence_number: str, arn: str = STREAM) -> KinesisRecord:
    return {
        "eventID": f"shardId-000000000000:{sequence_number}",
        "eventSource": "aws:kinesis",
        "eventSourceARN": arn,
        "kinesis": {
            "data": base64.b64encode(payload.encode()).decode(),
            "partitionKey": "1",
            "sequenceNumber": sequence_number,
            "approximateArrivalTimestamp": 1_795_392_000.0,
            "kinesisSchemaVersion": "1.0",
        },
    }


class Batch:
    """ProcessKinesisRecords' stores, and a way to deliver payloads to them."""

    def __init__(self, seed: int = 0, workers: Workers | None = None) -> None:
        self.records = InMemoryScoreRecords()
        self.parking = InMemoryParking()
        self.pauses: list[float] = []
        self._ingestor = Ingestor(self.records, self.parking, workers or ShuffledWorkers(Random(seed)), "F", STREAM)

    def deliver(self, *payloads: str, first: int = 0) -> Outcome:
        """Deliver payloads whose sequence numbers follow each other."""
        return self.deliver_records(*(kinesis_record(each, str(first + at)) for at, each in enumerate(payloads)))

    def deliver_records(self, *batch: KinesisRecord) -> Outcome:
        """Deliver records."""
        payloads = [base64.b64decode(record["kinesis"]["data"]).decode() for record in batch]
        found = {at: fields for at, each in enumerate(payloads) if (fields := score_fields(each)) is not None}
        patience = Patience(lambda: 10 - sum(self.pauses), self.pauses.append, lambda: 0.5)
        return self._ingestor.ingest(batch, found, patience)

    def stored(self, record_id: int) -> tuple[str, int]:
        """Whose score an item holds, and which."""
        event = self.records.items[Decimal(record_id)]
        return event.username, int(event.score)


def test_each_score_event_is_stored_exactly_as_it_says() -> None:
    batch = Batch()

    outcome = batch.deliver("hello", score(7, "jane", 42), '{"RecordID": 8, "Username": "joe", "Score": 0.1, "x": []}')

    assert batch.records.items == {
        Decimal(7): ScoreEvent(Decimal(7), "jane", Decimal(42), "001:1"),
        Decimal(8): ScoreEvent(Decimal(8), "joe", Decimal("0.1"), "001:2"),
    }
    assert (outcome.stored, outcome.folded, outcome.parked, outcome.unfinished) == (2, 0, 0, set())


def test_the_last_of_one_record_id_is_stored_however_the_number_is_spelled() -> None:
    batch = Batch()

    outcome = batch.deliver(score(7, score=1), score(8), score(7.0, score=2), score(7, "joe", 3))

    assert batch.stored(7) == ("joe", 3)
    assert len(batch.records.puts) == 2
    assert (outcome.stored, outcome.folded) == (2, 2)


def test_the_last_is_the_one_with_the_greatest_sequence_number_wherever_it_is_in_the_batch() -> None:
    batch = Batch()

    batch.deliver_records(
        kinesis_record(score(7, score=1), "99"),
        kinesis_record(score(7, score=2), "100"),
        kinesis_record(score(7, score=3), "00000000000000098"),
    )

    assert batch.stored(7) == ("jane", 2)


def test_an_older_event_replaces_nothing_and_fails_nothing() -> None:
    batch = Batch()
    batch.deliver(score(7, score=2), first=10)

    outcome = batch.deliver(score(7, score=1), first=9)

    assert batch.stored(7) == ("jane", 2)
    assert (outcome.stored, outcome.outdated, outcome.unfinished) == (0, 1, set())


def test_a_batch_that_is_delivered_again_changes_nothing_and_takes_a_write_unit_an_event() -> None:
    batch = Batch()
    events = [score(7), score(8), score(9)]
    batch.deliver(*events)
    before = dict(batch.records.items)

    outcome = batch.deliver(*events)

    assert batch.records.items == before
    assert (outcome.stored, outcome.outdated) == (0, 3)
    assert len(batch.records.puts) == 6


def test_an_item_that_a_user_wrote_is_replaced_by_the_next_event() -> None:
    batch = Batch()
    batch.records.write("7", "joe", "5")

    batch.deliver(score(7, "jane", 1))

    assert batch.stored(7) == ("jane", 1)


@pytest.mark.parametrize("sequence_number", ["9" * 56, "9" * 129, "9" * 130, "1", "", "x", "-1", "\ud800"])
def test_a_test_event_never_outlasts_an_event_of_the_stream(sequence_number: str) -> None:
    batch = Batch()

    outcome = batch.deliver_records(kinesis_record(score(7, "test", 1), sequence_number, ELSEWHERE))
    assert batch.stored(7) == ("test", 1)
    assert outcome.stored == 1

    batch.deliver(score(7, "jane", 2))
    assert batch.stored(7) == ("jane", 2)

    outcome = batch.deliver_records(kinesis_record(score(7, "test", 3), sequence_number, ELSEWHERE))
    assert batch.stored(7) == ("jane", 2)
    assert outcome.outdated == 1


@pytest.mark.parametrize("sequence_number", [None, 7, "", "x", "٣", "9" * 130])
def test_a_record_without_a_sequence_number_is_a_test_event(sequence_number: Any) -> None:
    record: Any = {"eventSourceARN": STREAM, "kinesis": {"sequenceNumber": sequence_number}}

    assert position(record, STREAM) == "#"
    assert position({}, STREAM) == "#"
    assert position({"kinesis": {"sequenceNumber": "7"}}, STREAM) == "#001:7", "it does not say from which stream"


def test_the_streams_name_in_another_account_is_another_stream() -> None:
    assert position(kinesis_record("", "1", STREAM.replace("123456789012", "210987654321")), STREAM).startswith("#")


@given(st.integers(0, 10**129 - 1), st.integers(0, 10**129 - 1))
def test_positions_compare_as_sequence_numbers_do(one: int, other: int) -> None:
    first, second = (position(kinesis_record("", str(number)), STREAM) for number in (one, other))

    assert (first < second) == (one < other)
    assert (first == second) == (one == other)
    assert position(kinesis_record("", str(other), ELSEWHERE), STREAM) < first


@pytest.mark.parametrize("seed", range(10))
def test_what_cannot_be_stored_in_time_is_unfinished_and_no_put_begins_after_it(seed: int) -> None:
    batch = Batch(seed)
    refused: list[ScoreEvent] = []

    def throttled(event: ScoreEvent) -> None:
        if event.record_id >= 25:
            refused.append(event)
            raise RetryableError("ThrottlingException")
        assert not refused, "no put begins after one was given up"

    batch.records.before = throttled
    outcome = batch.deliver(*map(score, range(80)))

    stored = {int(record_id) for record_id in batch.records.items}
    assert stored <= set(range(25))
    assert outcome.unfinished == set(range(80)) - stored
    assert outcome.reasons == {"ThrottlingException"}
    assert {event.record_id for event in refused} == {refused[0].record_id}
    assert len(refused) > 1, "it was tried again"


def test_a_put_that_fails_for_a_moment_is_tried_again_after_a_pause() -> None:
    batch = Batch()
    answers = [RetryableError("ThrottlingException"), RetryableError("TransactionConflictException")]

    def throttled(_: ScoreEvent) -> None:
        if answers:
            raise answers.pop()

    batch.records.before = throttled
    outcome = batch.deliver(*map(score, range(5)))

    assert (outcome.stored, outcome.unfinished) == (5, set())
    assert len(batch.pauses) == 2


def test_a_put_whose_answer_is_lost_is_done_once() -> None:
    batch = Batch()
    lost = [RetryableError("ReadTimeoutError")]

    def lose(_: ScoreEvent) -> None:
        if lost:
            raise lost.pop()

    batch.records.after = lose
    outcome = batch.deliver(score(7))

    assert batch.stored(7) == ("jane", 1)
    assert (outcome.stored, outcome.outdated, outcome.unfinished) == (0, 1, set())


def test_what_aws_refuses_is_reported_and_not_tried_again() -> None:
    batch = Batch()
    asked: list[ScoreEvent] = []

    def refused(event: ScoreEvent) -> None:
        asked.append(event)
        raise RefusedError("AccessDeniedException")

    batch.records.before = refused
    outcome = batch.deliver("hello", score(7), score(7))

    assert len(asked) == 1
    assert outcome.unfinished == {1, 2}, "the table may yet refuse the later event of the record, and not the older"
    assert outcome.folded == 0
    assert not batch.parking.documents


def test_an_event_that_dynamodb_can_never_store_is_parked_and_the_one_before_it_is_stored() -> None:
    batch = Batch()

    def invalid(event: ScoreEvent) -> None:
        if event.username == "bad":
            raise PoisonRecordError("DynamoDB refuses the item: ValidationException")

    batch.records.before = invalid
    outcome = batch.deliver(
        score(7, "jane", 1), score(8), score(7, "jane", 2), score(7, "bad"), score(9, "bad"), score(8, "bad")
    )

    assert (batch.stored(7), batch.stored(8)) == (("jane", 2), ("jane", 1))
    assert sorted(key.rpartition(":")[2] for key in batch.parking.documents) == ["3.json", "4.json", "5.json"]
    assert {json.loads(document)["reason"] for document in batch.parking.documents.values()} == {
        "DynamoDB refuses the item: ValidationException"
    }
    assert (outcome.stored, outcome.folded, outcome.parked, outcome.unfinished) == (2, 1, 3, set())


def test_an_event_that_can_neither_be_stored_nor_parked_is_unfinished() -> None:
    batch = Batch()

    def invalid(event: ScoreEvent) -> None:
        raise PoisonRecordError("DynamoDB refuses the item: ValidationException")

    def refused(key: str) -> None:
        raise RefusedError("NoSuchBucket")

    batch.records.before, batch.parking.before = invalid, refused
    outcome = batch.deliver("hello", score(7))

    assert (outcome.unfinished, outcome.parked) == ({1}, 0)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (score("7"), "RecordID is not a number"),
        (score(True), "RecordID is not a number"),
        (score(7, None), "Username is not a string"),
        (score(7, 7), "Username is not a string"),
        (score(7, ""), "Username is empty"),
        (score(7, "\ud800"), "Username is not text"),
        (score(7, "é" * 1025), "Username is too long for a key"),
        (score(7, score="42"), "Score is not a number"),
        (score(7, score=float("nan")), "Score is not a number"),
        (score(7, score=10**38 + 1), "Score does not fit a DynamoDB number"),
        ('{"RecordID": 7, "Username": "jane", "Score": 1e9999999999999999999}', "Score does not fit a DynamoDB number"),
        ('{"RecordID": 1e126, "Username": "jane", "Score": 1}', "RecordID does not fit a DynamoDB number"),
    ],
)
def test_a_score_event_that_is_wrong_is_parked_with_its_whole_record_and_the_rest_is_stored(
    payload: str, reason: str
) -> None:
    batch = Batch()

    outcome = batch.deliver(payload, score(8))

    ((key, document),) = batch.parking.documents.items()
    assert key == "parked/F/2026-11-23/shardId-000000000000:0.json"
    parked = json.loads(document)
    assert parked["reason"] == reason
    assert base64.b64decode(parked["payload"]["Records"][0]["kinesis"]["data"]).decode() == payload
    assert batch.records.items.keys() == {Decimal(8)}
    assert (outcome.parked, outcome.poison, outcome.unfinished) == (1, {reason: 1}, set())


def test_poison_is_parked_several_records_at_a_time() -> None:
    """One at a time, thousands would take longer than the invocation may."""
    batch = Batch(workers=Threads(4))
    together = Barrier(4, timeout=10)

    def wait(_: str) -> None:
        together.wait()

    batch.parking.before = wait

    outcome = batch.deliver(*[score(7, score="x")] * 4)

    assert (outcome.parked, outcome.unfinished) == (4, set())


def test_what_cannot_be_parked_is_unfinished() -> None:
    batch = Batch()

    def refused(key: str) -> None:
        raise RefusedError("AccessDenied")

    batch.parking.before = refused
    outcome = batch.deliver(score(7), score("wrong"))

    assert (outcome.stored, outcome.parked) == (0, 0)
    assert outcome.unfinished == {0, 1}


def test_a_record_that_cannot_be_written_as_json_is_reported_and_not_parked() -> None:
    batch = Batch()
    record: Any = kinesis_record(score("wrong"), "5")
    record["eventID"] = nested(100_000)

    outcome = batch.deliver_records(record)

    assert outcome.unfinished == {0}
    assert not batch.parking.documents
    assert "cannot be written as JSON" in outcome.reasons.pop()


def test_a_name_that_fills_a_key_is_not_too_long() -> None:
    assert parse(score_fields(score(7, "é" * 1024)) or {}, "#").username == "é" * 1024


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    assert parse(score_fields(score(7, "7")) or {}, "#").username == "7"

    with pytest.raises(PoisonRecordError):
        parse(score_fields('{"RecordID": 7, "Username": 7, "Score": 1}') or {}, "#")
