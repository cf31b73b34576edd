"""Totals that are exact on the deployed system, whatever is delivered twice, cannot be counted, or fails on the way."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.deployment import System
from tests.integration.faults import faults_before_dynamodb, fired
from tests.waiting import eventually

Totals = dict[str, tuple[Decimal | int, int]]
"""The score and the number of records of each user."""


class Players:
    """The users of one test, whose names begin with its own, and their records."""

    def __init__(self, system: System, name: str, first_record: int) -> None:
        tables: Any = boto3.resource("dynamodb")
        self._name = name
        self._first_record = first_record
        self._records = tables.Table(system.table("GameScoreRecords"))
        self._totals = tables.Table(system.table("GameScoresByUser"))

    def put(self, record: int, user: str, **attributes: Any) -> None:
        """Create or replace a record; without `Score`, say, when it is to be wrong."""
        key = {"RecordID": self._first_record + record}
        self._records.put_item(Item={**key, "Username": f"{self._name} {user}", **attributes})

    def delete(self, record: int) -> None:
        """Delete a record."""
        self._records.delete_item(Key={"RecordID": self._first_record + record})

    def totals(self) -> Totals:
        """What the totals are; a user without records, who reads 0, is left out."""
        totals: Totals = {
            item["Username"]: (item["Score"], int(item["RecordCount"]))
            for item in self._totals.scan(ConsistentRead=True)["Items"]
            if item["Username"].startswith(self._name)
        }
        return {user: total for user, total in totals.items() if total != (0, 0)}

    def owed(self) -> Totals:
        """What the totals should be: the sums over the users' records that hold a number."""
        sums: Totals = defaultdict(lambda: (Decimal(0), 0))
        for item in self._records.scan(ConsistentRead=True)["Items"]:
            if item["Username"].startswith(self._name) and isinstance(item.get("Score"), Decimal):
                score, records = sums[item["Username"]]
                sums[item["Username"]] = (score + item["Score"], records + 1)
        return sums

    def are_exact(self) -> bool:
        """Whether every total is what it should be."""
        return self.totals() == self.owed()


def delivered_records(system: System) -> list[dict[str, Any]]:
    """Every record of the stream of GameScoreRecords, as Lambda delivers them."""
    streams = boto3.client("dynamodbstreams")
    arn = system.outputs["tables"]["GameScoreRecords"]["stream_arn"]
    records: list[dict[str, Any]] = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator: str | None = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                created = record["dynamodb"]["ApproximateCreationDateTime"].timestamp()
                body = {**record["dynamodb"], "ApproximateCreationDateTime": created}
                records.append({**record, "eventSourceARN": arn, "dynamodb": body})
            iterator = page.get("NextShardIterator") if page["Records"] else None
    return records


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


def test_records_that_cannot_be_counted_are_parked_with_their_payload_and_the_rest_is_counted(system: System) -> None:
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


def test_totals_stay_exact_while_dynamodb_throttles_fails_times_out_and_loses_acknowledgements(
    system: System, tmp_path: Path
) -> None:
    players = Players(system, "faults", 5000)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)

    with faults_before_dynamodb(system, tmp_path) as proxy:
        for _ in range(400):
            record, user = dice.randrange(60), f"user {dice.randrange(8)}"
            if dice.random() < 0.15:
                players.delete(record)
            else:
                players.put(record, user, Score=dice.randrange(-50, 100))
        eventually(players.are_exact, what="exact totals", seconds=120)
        happened = fired(proxy)

    assert {"error", "response", "reset", "timeout"} <= happened, "a fault that has not happened proves nothing"


@pytest.fixture(autouse=True)
def _nothing_given_up(system: System) -> Iterator[None]:
    """No batch of these tests may end with the event source mapping giving up."""
    yield
    given_up = f"aws/lambda/{system.outputs['functions']['AggregateScoresByUser']['mapping_uuid']}/"
    contents = boto3.client("s3").list_objects_v2(Bucket=system.outputs["failure_bucket"], Prefix=given_up)
    assert contents["KeyCount"] == 0
