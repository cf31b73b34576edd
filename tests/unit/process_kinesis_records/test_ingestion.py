"""What becomes of a batch's score events."""

import base64
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from handlers.process_kinesis_records.ingestion import Ingestor, Outcome, ScoreEvent, parse
from handlers.process_kinesis_records.payload import score_fields
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import KinesisRecord
from handlers.shared.retrying import Patience
from tests.fakes.invocation import InMemoryParking
from tests.fakes.records import InMemoryScoreRecords


def score(record_id: Any, username: Any = "jane", score: Any = 1) -> str:
    return json.dumps({"RecordID": record_id, "Username": username, "Score": score})


class Batch:
    """ProcessKinesisRecords' stores, and a way to deliver payloads to them."""

    def __init__(self) -> None:
        self.records = InMemoryScoreRecords()
        self.parking = InMemoryParking()
        self.pauses: list[float] = []

    def deliver(self, *payloads: str) -> Outcome:
        batch: list[KinesisRecord] = [
            {
                "eventID": f"shardId-000000000000:{position}",
                "eventSource": "aws:kinesis",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream",
                "kinesis": {
                    "data": base64.b64encode(payload.encode()).decode(),
                    "partitionKey": "1",
                    "sequenceNumber": str(position),
                    "approximateArrivalTimestamp": 1_795_392_000.0,
                    "kinesisSchemaVersion": "1.0",
                },
            }
            for position, payload in enumerate(payloads)
        ]
        found = {
            position: fields
            for position, payload in enumerate(payloads)
            if (fields := score_fields(payload)) is not None
        }
        patience = Patience(lambda: 10 - sum(self.pauses), self.pauses.append, lambda: 0.5)
        return Ingestor(self.records, self.parking, "F").ingest(batch, found, patience)


def test_each_score_event_is_stored_exactly_as_it_says() -> None:
    batch = Batch()

    outcome = batch.deliver("hello", score(7, "jane", 42), '{"RecordID": 8, "Username": "joe", "Score": 0.1, "x": []}')

    assert batch.records.items == {
        Decimal(7): ScoreEvent(Decimal(7), "jane", Decimal(42)),
        Decimal(8): ScoreEvent(Decimal(8), "joe", Decimal("0.1")),
    }
    assert (outcome.stored, outcome.folded, outcome.parked, outcome.unfinished) == (2, 0, 0, set())


def test_the_last_of_one_record_id_is_stored_however_the_number_is_spelled() -> None:
    batch = Batch()

    outcome = batch.deliver(score(7, score=1), score(8), score(7.0, score=2), score(7, "joe", 3))

    assert batch.records.items[Decimal(7)] == ScoreEvent(Decimal(7), "joe", Decimal(3))
    assert batch.records.requests == [2]
    assert (outcome.stored, outcome.folded) == (2, 2)


def test_a_request_has_at_most_25_items() -> None:
    batch = Batch()

    assert batch.deliver(*map(score, range(60))).stored == 60

    assert batch.records.requests == [25, 25, 10]


def test_only_what_was_left_unprocessed_is_sent_again_after_a_pause() -> None:
    batch = Batch()
    batch.records.processed = lambda events: min(10, len(events))

    outcome = batch.deliver(*map(score, range(25)))

    assert batch.records.requests == [25, 15, 5]
    assert (outcome.stored, outcome.unfinished) == (25, set())
    assert len(batch.pauses) == 2


def test_what_cannot_be_stored_in_time_is_unfinished_and_no_request_is_begun_behind_it() -> None:
    batch = Batch()

    def throttled(events: Sequence[ScoreEvent]) -> int:
        if events[0].record_id >= 25:
            raise RetryableError("ThrottlingException")
        return len(events)

    batch.records.processed = throttled
    outcome = batch.deliver(*map(score, range(80)))

    assert batch.records.items.keys() == set(map(Decimal, range(25)))
    assert outcome.unfinished == set(range(25, 80))
    assert outcome.reasons == {"ThrottlingException"}
    assert max(batch.records.requests[1:]) == 25


def test_what_aws_refuses_is_not_tried_again_and_reported_from_where_its_record_came_first() -> None:
    batch = Batch()

    def refused(events: Sequence[ScoreEvent]) -> int:
        raise RefusedError("AccessDeniedException")

    batch.records.processed = refused
    outcome = batch.deliver("hello", score(7), score(7))

    assert batch.records.requests == [1]
    assert outcome.unfinished == {1}
    assert not batch.parking.documents


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


def test_what_cannot_be_parked_is_unfinished() -> None:
    batch = Batch()

    def refused(key: str) -> None:
        raise RefusedError("AccessDenied")

    batch.parking.before = refused
    outcome = batch.deliver(score(7), score("wrong"))

    assert (outcome.stored, outcome.parked) == (0, 0)
    assert outcome.unfinished == {0, 1}


def test_a_name_that_fills_a_key_is_not_too_long() -> None:
    assert parse(score_fields(score(7, "é" * 1024)) or {}).username == "é" * 1024


def test_a_name_that_looks_like_a_number_is_a_name() -> None:
    assert parse(score_fields(score(7, "7")) or {}).username == "7"

    with pytest.raises(PoisonRecordError):
        parse(score_fields('{"RecordID": 7, "Username": 7, "Score": 1}') or {})
