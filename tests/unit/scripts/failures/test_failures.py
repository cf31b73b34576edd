"""Which failures are found in the bucket, and what a listing says of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scripts.failures.failures import as_document, as_line
from scripts.failures.failures import main as failures_command
from tests.fakes.discarded import KEY, dynamodb_invocation_record, kinesis_invocation_record
from tests.simulation.stream import kinesis_record
from tests.unit.scripts.failures.conftest import FUNCTION, Command, Store, record, succeed

DISCARDED_AT = datetime(2025, 11, 23, 10, 0, 0, 21_000, UTC)


def test_parked_records_and_discarded_batches_are_listed_with_their_functions_and_reasons(store: Store) -> None:
    store.park(1)
    store.discard(2, 3)
    store.put("redriven/parked/F/2026-11-23/old.json", "{}")

    assert [(each.function, each.reason, each.records) for each in store.failures()] == [
        (FUNCTION, "Score is missing", [record(1)]),
        (FUNCTION, "RetryAttemptsExhausted after 3 invocations: Unhandled", [record(2), record(3)]),
    ]


def test_a_discarded_batch_of_kinesis_is_read_too(store: Store) -> None:
    sent = kinesis_record("arn:aws:kinesis:us-east-1:1:stream/s", "k", "text", "7", "shardId-1", 1_795_392_000.25)
    store.put(KEY, json.dumps(kinesis_invocation_record([sent])))

    assert (store.failure().records, store.failure().oldest) == (
        [sent],
        datetime.fromtimestamp(1_795_392_000.25, UTC),
    )


def test_an_object_in_the_place_of_the_escaped_string_is_read_too(store: Store) -> None:
    store.discard(payload={"Records": [record(1)]})

    assert store.failure().records == [record(1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"responseContext": {"functionError": None}},
            "RetryAttemptsExhausted after 3 invocations: reported by the function",
        ),
        ({"requestContext": None}, "The object is neither a parked record nor an invocation record"),
    ],
)
def test_a_reason_is_found_in_every_invocation_record(store: Store, fields: dict[str, Any], reason: str) -> None:
    store.discard(1, **fields)

    assert store.failure().reason == reason


def test_what_failed_at_the_very_moment_is_among_what_failed_since(store: Store) -> None:
    key = store.park(1)

    assert [each.key for each in store.bucket.failures(since=store.failure().modified)] == [key]


def test_what_failed_before_hides_nothing_that_failed_since(store: Store, clock: Callable[[], None]) -> None:
    clock()
    store.park(1)
    since = store.failure().modified
    clock()
    clock()
    later = store.park(2)

    assert [each.key for each in store.bucket.failures(since=since + timedelta(hours=1))] == [later]


def test_every_page_of_the_bucket_is_looked_at(store: Store) -> None:
    one_a_page: Any = lambda params, **_: {**params, "MaxKeys": 1}  # noqa: E731
    store.client.meta.events.register("provide-client-params.s3.ListObjectsV2", one_a_page)
    keys = [store.park(number) for number in range(1, 4)]

    assert [each.key for each in store.bucket.failures()] == keys


def test_a_listing_counts_what_can_be_read_and_names_what_cannot(store: Store, command: Command) -> None:
    assert command(failures_command, succeed) == (0, "Nothing has failed.\n")

    store.discard(1, 2)
    assert command(failures_command, succeed)[1].endswith("\nFailed records: 2, in 1 objects.\n")

    store.put(f"{KEY}-2", "?")
    code, text = command(failures_command, succeed)
    assert code == 0
    assert text.endswith("Failed records: 2, in 2 objects.\nObjects that cannot be read, and are not counted: 1.\n")


def test_failures_can_be_narrowed_to_a_time_and_a_function(store: Store) -> None:
    store.park(1)
    now = datetime.now(UTC)

    assert len(list(store.bucket.failures(now - timedelta(hours=1), FUNCTION))) == 1
    assert list(store.bucket.failures(now + timedelta(hours=1))) == []
    assert list(store.bucket.failures(function="Other")) == []
    store.discard(2)
    assert [each.key for each in store.bucket.failures(function=FUNCTION)][1:] == [KEY]
    assert list(store.bucket.failures(function="Other")) == []


def test_a_parked_object_that_cannot_be_read_belongs_to_the_function_of_its_key(store: Store) -> None:
    store.put(f"parked/{FUNCTION}/2026-11-23/event.json", "?")

    assert [each.function for each in store.bucket.failures(function=FUNCTION)] == [FUNCTION]
    store.put(KEY, "?")
    assert [each.function for each in store.bucket.failures()] == [FUNCTION, ""], "the key of a batch says nothing"


def test_a_batch_failed_when_lambda_discarded_it_not_when_the_object_was_written(store: Store) -> None:
    store.discard(1)

    assert store.failure().failed_at == DISCARDED_AT
    assert store.failure().modified > DISCARDED_AT
    assert list(store.bucket.failures(DISCARDED_AT)) == store.failures()
    assert list(store.bucket.failures(DISCARDED_AT + timedelta(seconds=1))) == []


def test_a_listing_says_when_the_oldest_record_was_written(store: Store) -> None:
    later, earlier = record(1), record(2)
    later["dynamodb"]["ApproximateCreationDateTime"] += 60
    store.put(KEY, json.dumps(dynamodb_invocation_record([later, earlier])))

    assert as_line(store.failure()) == (
        f"2025-11-23 10:00:00  {FUNCTION}  records: 2 (oldest: 2026-11-23 00:00:00)"
        f"  RetryAttemptsExhausted after 3 invocations: Unhandled\n    {KEY}"
    )
    assert json.loads(as_document(store.failure())) == {
        "key": KEY,
        "function": FUNCTION,
        "failed_at": DISCARDED_AT.isoformat(),
        "oldest_record_at": "2026-11-23T00:00:00+00:00",
        "records": 2,
        "reason": "RetryAttemptsExhausted after 3 invocations: Unhandled",
    }
