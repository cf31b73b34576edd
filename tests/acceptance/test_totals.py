"""Totals that are exact on the deployed system, whatever is delivered twice or cannot be counted."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import boto3
import pytest

from tests.acceptance.evidence import Evidence
from tests.acceptance.players import Players, delivered_records
from tests.integration.deployment import System
from tests.waiting import eventually


def parked_records(system: System, users: str) -> list[dict[str, Any]]:
    """Return the objects of parked records whose users' names begin with `users`; other tests park theirs beside."""
    s3, bucket = boto3.client("s3"), system.outputs["failure_bucket"]
    prefix = f"parked/{system.function('AggregateScoresByUser')}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
    parked = [json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys]
    return [each for each in parked if _username(each["payload"]["Records"][0]).startswith(users)]


def _username(record: dict[str, Any]) -> str:
    return str(record["dynamodb"].get("NewImage", {}).get("Username", {}).get("S", ""))


def invoke(system: System, records: list[dict[str, Any]]) -> Any:
    """The response of AggregateScoresByUser to these records."""
    answer = boto3.client("lambda").invoke(
        FunctionName=system.function("AggregateScoresByUser"), Payload=json.dumps({"Records": records})
    )
    return json.loads(answer["Payload"].read())


def test_totals_follow_updates_renames_and_deletes(system: System) -> None:
    players = Players(system, "follow", 1000)
    players.put(1, "ann", Score=10)
    players.put(2, "ann", Score=Decimal("0.5"))
    players.put(3, "bob", Score=-7)
    players.put(1, "ann", Score=11)
    players.put(2, "bob", Score=Decimal("0.5"))
    players.delete(3)
    players.put(3, "bob", Score=1)
    players.put(4, "cid", Score=5)
    players.delete(4)

    eventually(
        lambda: players.totals() == {"follow ann": (11, 1), "follow bob": (Decimal("1.5"), 2)},
        what="exact totals",
    )


def test_what_is_delivered_again_in_any_order_and_size_changes_nothing(system: System) -> None:
    players = Players(system, "again", 2000)
    for record in range(20):
        players.put(record, f"user {record % 3}", Score=record)
    for record in range(0, 20, 2):
        players.put(record, f"user {record % 5}", Score=1)
    for record in range(0, 20, 5):
        players.delete(record)
    eventually(lambda: players.totals() and players.are_exact(), what="exact totals")
    before = players.totals()

    records = delivered_records(system)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    shuffled = random.Random(seed).sample(records, len(records))
    for batch in (records, records[3:9], records[-1:], shuffled):
        assert invoke(system, batch) == {"batchItemFailures": []}

    assert players.totals() == before


@pytest.mark.parity("DynamoDB records as a function sees them")
def test_records_that_cannot_be_counted_are_parked_with_their_payload_and_the_rest_is_counted(
    system: System, evidence: Evidence
) -> None:
    players = Players(system, "poison", 3000)
    players.put(1, "eve", Score=1)
    players.put(2, "eve")
    players.put(3, "eve", Score="many")
    players.put(4, "eve", Score=4)

    eventually(lambda: players.totals() == {"poison eve": (5, 2)}, what="the total of the other records")
    parked = eventually(lambda: found if len(found := parked_records(system, "poison ")) == 2 else None, "two records")
    assert sorted(
        (each["reason"], each["payload"]["Records"][0]["dynamodb"]["NewImage"]["RecordID"]["N"]) for each in parked
    ) == [
        ("Score is missing or is not of type N", "3002"),
        ("Score is missing or is not of type N", "3003"),
    ]
    assert {each["function"] for each in parked} == {system.function("AggregateScoresByUser")}
    [record] = parked[0]["payload"]["Records"]
    evidence.keep("stream event, DynamoDB", record)
    assert record.keys() == {
        *("eventID", "eventName", "eventVersion", "eventSource", "awsRegion", "dynamodb", "eventSourceARN")
    }
    assert (record["eventName"], record["eventVersion"], record["eventSource"]) == ("INSERT", "1.1", "aws:dynamodb")
    assert record["dynamodb"].keys() == {
        *("ApproximateCreationDateTime", "Keys", "NewImage", "SequenceNumber", "SizeBytes", "StreamViewType")
    }


def test_concurrent_replays_of_a_parked_record_count_it_once(system: System) -> None:
    players, trials = Players(system, "replays", 6000), 25
    for trial in range(trials):
        players.put(trial, f"user {trial}", Score="seven")
    parked = eventually(
        lambda: found if len(found := parked_records(system, "replays ")) == trials else None, "records"
    )
    records = [each["payload"]["Records"][0] for each in parked]
    # As a newer release would read them: four times at once, as when two people redrive twice.
    for record in records:
        record["dynamodb"]["NewImage"]["Score"] = {"N": "7"}
    with ThreadPoolExecutor(4) as threads:
        for record in records:
            answers = [threads.submit(invoke, system, [record]) for _ in range(4)]
            assert [answer.result() for answer in answers] == [{"batchItemFailures": []}] * 4

    assert players.totals() == {f"replays user {trial}": (7, 1) for trial in range(trials)}
    for trial in range(trials):
        players.put(trial, f"user {trial}", Score=7)
    eventually(players.are_exact, what="totals that the records account for")


def test_an_item_that_can_no_longer_be_counted_loses_what_it_had_counted(system: System) -> None:
    players = Players(system, "spoilt", 4000)
    players.put(1, "max", Score=1)
    players.put(2, "max", Score=2)
    players.put(1, "max", Score="none")

    eventually(lambda: players.totals() == {"spoilt max": (2, 1)}, what="the total of what can be counted")


@pytest.fixture(autouse=True)
def _nothing_given_up(system: System) -> Iterator[None]:
    """No batch of these tests may end with the event source mapping giving up."""
    yield
    given_up = f"aws/lambda/{system.outputs['functions']['AggregateScoresByUser']['mapping_uuid']}/"
    contents = boto3.client("s3").list_objects_v2(Bucket=system.outputs["failure_bucket"], Prefix=given_up)
    assert contents["KeyCount"] == 0
