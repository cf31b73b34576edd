"""The function as Lambda calls it, its stores in moto."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Key
from moto import mock_aws

from handlers.aggregate_scores_by_user import handler as module
from tests.fakes.stream import LABEL, TABLE_ARN, insert, modify, stream_record
from tests.unit.conftest import load


class Context:
    aws_request_id = "request"
    function_name = "AggregateScoresByUser"

    def __init__(self, remaining_ms: int = 60_000) -> None:
        self._remaining_ms = remaining_ms

    def get_remaining_time_in_millis(self) -> int:
        return self._remaining_ms


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "TOTALS_TABLE": "totals",
        "LEDGER_TABLE": "ledger",
        "RECORDS_TABLE_ARN": TABLE_ARN,
        "FAILURE_BUCKET": "failures",
        "CONCURRENCY": "1",  # moto copies whole tables, and not under a lock
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    module._aggregator.cache_clear()
    with mock_aws():
        client = boto3.client("dynamodb")
        for table, key, type_ in ("totals", "Username", "S"), ("ledger", "RecordID", "N"):
            client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_}],  # type: ignore[typeddict-item]
                BillingMode="PAY_PER_REQUEST",
            )
        boto3.client("s3").create_bucket(Bucket="failures")
        yield
    module._aggregator.cache_clear()


def test_a_batch_reaches_the_tables_and_the_bucket(stores: None, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    batch = [insert(i, i, f"user-{i % 3}", "1.5", ApproximateCreationDateTime=now) for i in range(1, 300)]
    batch += [modify(1, 300, "ann", "7"), stream_record("?", 301, 301, ApproximateCreationDateTime=now)]

    response = module.handler({"Records": batch}, Context())

    assert response == {"batchItemFailures": []}
    items = boto3.resource("dynamodb").Table("totals").scan()["Items"]
    assert {item["Username"]: (str(item["Score"]), item["RecordCount"]) for item in items} == {
        "ann": ("7", 1),
        "user-0": ("148.5", 99),
        "user-1": ("148.5", 99),
        "user-2": ("150.0", 100),
    }
    (entry,) = boto3.resource("dynamodb").Table("ledger").query(KeyConditionExpression=Key("RecordID").eq(1))["Items"]
    assert entry["Version"] == f"{LABEL}#{300:040}", "a change of the table's stream, not a test event"
    day = datetime.fromtimestamp(now, UTC).date()
    parked = boto3.client("s3").get_object(Bucket="failures", Key=f"parked/AggregateScoresByUser/{day}/event-301.json")
    assert json.loads(parked["Body"].read())["payload"]["Records"] == batch[-1:]
    summary: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["message"] == "Successfully processed 301 records."
    assert [each["Namespace"] for each in summary["_aws"]["CloudWatchMetrics"]] == ["GameScores"]


def test_as_many_calls_run_at_once_as_the_environment_says(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCURRENCY", "7")
    aggregator, _ = module._aggregator("Function")
    together = Barrier(7)
    assert aggregator.ledger._client.meta.config.max_pool_connections == 7  # type: ignore[attr-defined]

    # Each waits for the others, so fewer than seven threads would break the barrier.
    assert sorted(aggregator.workers.map(lambda _: together.wait(timeout=10), range(7))) == list(range(7))


def test_a_tombstone_lives_for_45_days(stores: None) -> None:
    now, lifetime = time.time(), 45 * 24 * 60 * 60
    changes = [
        insert(1, 1, "ann", "1", ApproximateCreationDateTime=now),
        stream_record("REMOVE", 1, 2, ApproximateCreationDateTime=now),
    ]

    module.handler({"Records": changes}, Context())

    (tombstone,) = boto3.resource("dynamodb").Table("ledger").scan()["Items"]
    assert now + lifetime - 1 <= int(str(tombstone["ExpiresAt"])) <= time.time() + lifetime


def test_a_record_is_as_old_as_the_clock_says(stores: None) -> None:
    old = time.time() - 36 * 24 * 60 * 60

    module.handler({"Records": [insert(1, 1, "ann", "1", ApproximateCreationDateTime=old)]}, Context())

    assert not boto3.resource("dynamodb").Table("totals").scan()["Items"]
    assert boto3.client("s3").list_objects_v2(Bucket="failures")["KeyCount"] == 1


def test_a_tombstone_lives_from_when_it_is_written(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    module._aggregator(Context.function_name)  # as an earlier invocation has left it
    later = time.time() + 10 * 24 * 60 * 60
    monkeypatch.setattr(time, "time", lambda: later)

    module.handler({"Records": [stream_record("REMOVE", 1, 2, ApproximateCreationDateTime=later)]}, Context())

    (tombstone,) = boto3.resource("dynamodb").Table("ledger").scan()["Items"]
    assert int(str(tombstone["ExpiresAt"])) == int(later) + 45 * 24 * 60 * 60


@pytest.mark.parametrize(("remaining_ms", "failed"), [(4_900, [{"itemIdentifier": "1"}]), (5_100, [])])
def test_no_call_begins_in_the_last_seconds_of_an_invocation(
    remaining_ms: int, failed: list[dict[str, str]], stores: None
) -> None:
    change = insert(1, 1, "ann", "1", ApproximateCreationDateTime=time.time())

    assert module.handler({"Records": [change]}, Context(remaining_ms)) == {"batchItemFailures": failed}

    assert bool(failed) == (not boto3.resource("dynamodb").Table("totals").scan()["Items"])


@pytest.mark.parametrize("event", [{"key1": "value1"}, {"Records": None}, {"Records": "text"}, [], None, "text"])
def test_an_event_that_is_no_batch_is_reported_as_failed(
    event: Any, stores: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert module.handler(event, Context()) == {"batchItemFailures": [{"itemIdentifier": ""}]}

    logged = json.loads(capsys.readouterr().out)
    assert (logged["level"], logged["message"]) == (
        "ERROR",
        "The event is not a batch of records: it has no list of Records. Nothing was processed.",
    )


def test_loading_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    load(module)

    logged = json.loads(capsys.readouterr().out)
    assert (logged["level"], logged["message"]) == ("INFO", "Loading function")


def test_the_function_loads_without_an_environment_and_without_boto3() -> None:
    program = (
        "import sys, handlers.aggregate_scores_by_user.handler;"
        "sys.exit(', '.join({'boto3', 's3transfer'} & set(sys.modules)) or 0)"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert json.loads(loaded.stdout)["message"] == "Loading function"
