"""Redriving: every record ends up done and set aside, or failing and kept, whatever happens meanwhile."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers.shared.parking import parked_document
from scripts.command import UserError
from scripts.failure_bucket import Failure, FailureBucket, Record
from scripts.redrive import Result, Target, Verdict, redrive
from scripts.replay import Answer, groups, interpret, replay
from scripts.since import since
from tests.fakes.stream import insert

NAME = "failures"
FUNCTION = "AggregateScoresByUser"
GIVEN_UP = "aws/lambda/uuid/shardId-1/2026/11/23/2026-11-23T10.00.00-uuid"
REPORTED = "The function reported it as failed; its log says why"


def record(number: int) -> Record:
    return dict(insert(number, number, "ann", "1"))


def given_up(records: Sequence[Record], **fields: Any) -> dict[str, Any]:
    return {
        "requestContext": {
            "requestId": "c9b8fa9f",
            "functionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "payload": {"Records": records},
    } | fields


class Store:
    """The bucket, as the function and AWS write to it."""

    def __init__(self) -> None:
        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=NAME)
        self.client.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
        self.bucket = FailureBucket(self.client, NAME)

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket=NAME, Key=key, Body=text.encode())

    def park(self, number: int, reason: str = "Score is missing") -> str:
        key = f"parked/{FUNCTION}/2026-11-23/event-{number}.json"
        self.put(key, parked_document(FUNCTION, record(number), reason))
        return key

    def failures(self) -> list[Failure]:
        return list(self.bucket.failures())

    def names(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=NAME).get("Contents", [])]

    def redrive(self, invoke: Callable[[Sequence[Record]], Answer], batch_size: int = 100) -> list[Result]:
        target = Target(invoke, batch_size)
        return [
            result for group in groups(self.failures(), batch_size) for result in redrive(group, self.bucket, target)
        ]


@pytest.fixture
def store() -> Iterator[Store]:
    with mock_aws():
        yield Store()


def succeed(records: Sequence[Record]) -> Answer:
    return Answer(len(records))


def fail(records: Sequence[Record]) -> Answer:
    return Answer(0, "throttled")


def crash_on(*numbers: int) -> Callable[[Sequence[Record]], Answer]:
    """A function that crashes whenever it meets one of these records."""
    bad = {str(number) for number in numbers}

    def invoke(records: Sequence[Record]) -> Answer:
        if any(each["dynamodb"]["SequenceNumber"] in bad for each in records):
            return Answer(0, "Error: bad", crashed=True)
        return Answer(len(records))

    return invoke


def verdicts(results: Sequence[Result]) -> list[tuple[Verdict, str]]:
    return [(result.verdict, result.reason) for result in results]


def test_parked_records_and_given_up_batches_are_listed_with_their_functions_and_reasons(store: Store) -> None:
    store.park(1)
    store.put(GIVEN_UP, json.dumps(given_up([record(2), record(3)])))
    store.put("redriven/parked/F/2026-11-23/old.json", "{}")

    assert [(each.function, each.reason, len(each.records)) for each in store.failures()] == [
        (FUNCTION, "Score is missing", 1),
        (FUNCTION, "RetryAttemptsExhausted after 3 invocations: Unhandled", 2),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"responseContext": {"functionError": None}},
            "RetryAttemptsExhausted after 3 invocations: reported by the function",
        ),
        ({"payload": None, "requestContext": None}, "The object is no failure that this command knows"),
    ],
)
def test_a_reason_is_told_from_every_envelope(store: Store, fields: dict[str, Any], reason: str) -> None:
    store.put(GIVEN_UP, json.dumps(given_up([], **fields)))

    assert [each.reason for each in store.failures()] == [reason]


def test_an_object_that_is_no_json_is_listed_and_left_alone(store: Store) -> None:
    store.put(GIVEN_UP, "?")

    assert verdicts(store.redrive(succeed)) == [(Verdict.SKIPPED, "The object holds no records")]
    assert store.names() == [GIVEN_UP]


def test_failures_can_be_narrowed_to_a_time_and_a_function(store: Store) -> None:
    store.park(1)
    now = datetime.now(UTC)

    assert len(list(store.bucket.failures(now - timedelta(hours=1), FUNCTION))) == 1
    assert list(store.bucket.failures(now + timedelta(hours=1))) == []
    assert list(store.bucket.failures(function="Other")) == []


def test_what_succeeds_is_set_aside(store: Store) -> None:
    key = store.park(1)
    store.put(GIVEN_UP, json.dumps(given_up([record(2), record(3)])))

    results = store.redrive(succeed)

    assert verdicts(results) == [(Verdict.REDRIVEN, "")] * 2
    assert store.names() == [f"redriven/{GIVEN_UP}", f"redriven/{key}"]
    assert store.redrive(succeed) == []


def test_what_fails_stays_with_its_new_reason_and_only_the_records_that_still_fail(store: Store) -> None:
    store.put(GIVEN_UP, json.dumps(given_up([record(number) for number in range(1, 6)])))

    results = store.redrive(crash_on(2, 5))

    assert verdicts(results) == [(Verdict.FAILING, "Error: bad")]
    (failure,) = store.failures()
    assert (failure.records, failure.reason, failure.function) == ([record(2), record(5)], "Error: bad", FUNCTION)


def test_parked_records_share_an_invocation(store: Store) -> None:
    for number in range(1, 6):
        store.park(number)
    sizes: list[int] = []

    def invoke(records: Sequence[Record]) -> Answer:
        sizes.append(len(records))
        return Answer(len(records))

    store.redrive(invoke, batch_size=3)

    assert sizes == [3, 2]


@pytest.mark.parametrize("reason", ["Score is missing", "Username is missing"])
def test_a_record_that_the_function_parks_again_is_failing_still(store: Store, reason: str) -> None:
    key = store.park(1)

    def park_again(records: Sequence[Record]) -> Answer:
        store.park(1, reason)
        return Answer(1)

    assert verdicts(store.redrive(park_again)) == [(Verdict.FAILING, reason)]
    assert store.names() == [key]


def test_of_two_redrives_at_once_the_later_one_changes_nothing(store: Store) -> None:
    store.park(1)
    store.park(2)

    def be_overtaken(records: Sequence[Record]) -> Answer:
        store.redrive(succeed)
        return Answer(1) if len(records) == 2 else Answer(0, "throttled")

    assert [result.verdict for result in store.redrive(be_overtaken)] == [Verdict.OVERTAKEN] * 2
    assert all(key.startswith("redriven/") for key in store.names())


def test_an_object_that_has_changed_is_not_overwritten(store: Store) -> None:
    key = store.park(1)

    def be_overtaken(records: Sequence[Record]) -> Answer:
        store.put(key, parked_document(FUNCTION, record(1), "newer"))
        return fail(records)

    assert [result.verdict for result in store.redrive(be_overtaken)] == [Verdict.OVERTAKEN]
    assert [failure.reason for failure in store.failures()] == ["newer"]


def test_an_interrupt_between_the_copy_and_the_delete_loses_nothing(store: Store) -> None:
    key = store.park(1)
    (failure,) = store.failures()
    store.client.copy_object(Bucket=NAME, Key=f"redriven/{key}", CopySource={"Bucket": NAME, "Key": key})

    assert store.bucket.set_aside(failure)
    assert store.names() == [f"redriven/{key}"]


def test_progress_is_kept_and_the_rest_is_tried_again() -> None:
    records = [record(number) for number in range(4)]
    calls: list[int] = []

    def one_at_a_time(records: Sequence[Record]) -> Answer:
        calls.append(len(records))
        return Answer(1, "slow") if len(records) > 1 else Answer(1)

    assert replay(records, one_at_a_time, batch_size=3) == [None] * 4
    assert calls == [3, 2, 1, 1]


def test_no_progress_ends_a_batch_but_not_the_next() -> None:
    records = [record(number) for number in range(4)]

    assert replay(records, fail, batch_size=2) == ["throttled"] * 4
    assert replay([], fail, batch_size=2) == []


def test_a_batch_is_cut_to_what_an_invocation_takes() -> None:
    large = [{"data": "x" * 2_500_000} for _ in range(3)]
    sizes: list[int] = []

    def invoke(records: Sequence[Record]) -> Answer:
        sizes.append(len(records))
        return Answer(len(records))

    replay(large, invoke, batch_size=100)

    assert sizes == [2, 1]


@pytest.mark.parametrize(
    ("payload", "error", "answer"),
    [
        (b'{"batchItemFailures": []}', None, Answer(3)),
        (b"null", None, Answer(3)),
        (b"{}", None, Answer(3)),
        (b'""', None, Answer(3)),
        (b'{"batchItemFailures": null}', None, Answer(3)),
        (b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}', None, Answer(1, REPORTED)),
        (b'{"batchItemFailures": [{"itemIdentifier": ""}]}', None, Answer(0, REPORTED)),
        (b'{"batchItemFailures": [{"itemIdentifier": "9"}]}', None, Answer(0, REPORTED)),
        (b'{"batchItemFailures": [{"item": "2"}]}', None, Answer(0, REPORTED)),
        (b'{"errorType": "KeyError", "errorMessage": "x"}', "Unhandled", Answer(0, "KeyError: x", crashed=True)),
        (b"Killed", "Unhandled", Answer(0, "Unhandled: ", crashed=True)),
    ],
)
def test_an_answer_means_what_it_means_to_a_stream_mapping(payload: bytes, error: str | None, answer: Answer) -> None:
    assert interpret(payload, error, [record(1), record(2), record(3)]) == answer


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 23, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:00+01:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
    ],
)
def test_since_is_an_age_or_a_time(text: str, moment: datetime) -> None:
    assert since(text, datetime(2026, 11, 23, 12, tzinfo=UTC)) == moment


@pytest.mark.parametrize("text", ["yesterday", "2", "2w", "99999999999d"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(UserError, match="is no time"):
        since(text, datetime(2026, 11, 23, 12, tzinfo=UTC))
