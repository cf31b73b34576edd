"""The smoke test: what it sees, and what it leaves when it sees nothing."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.deploy import smoke
from scripts.deploy.smoke import RECORD_ID, USERNAME, SmokeTestFailedError
from scripts.deployment import Deployed

OUTPUTS = {
    "stream": {"name": "Demo-Stream"},
    "functions": {
        "ProcessKinesisRecords": {"name": "ProcessKinesisRecords", "live_arn": "ProcessKinesisRecords"},
    },
    "tables": {name: {"name": name} for name in ("GameScoreRecords", "GameScoresByUser")},
}


class Session(boto3.Session):
    """A session of moto's AWS, in which ProcessKinesisRecords stores scores or does not."""

    def __init__(self, *, ingests: bool) -> None:
        super().__init__()
        self._ingests = ingests

    def client(self, *arguments: Any, **options: Any) -> Any:
        if arguments[0] != "lambda":
            return super().client(*arguments, **options)
        variables = {"RECORDS_TABLE": "GameScoreRecords"} if self._ingests else {}
        configuration = {"Environment": {"Variables": variables}}
        return SimpleNamespace(get_function_configuration=lambda **_: configuration)


class Stage:
    """A stage whose two functions run when they are let: while a smoke test waits."""

    def __init__(self, *, ingests: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        session = Session(ingests=ingests)
        tables: Any = session.resource("dynamodb")
        for name, key, type_ in (("GameScoreRecords", "RecordID", "N"), ("GameScoresByUser", "Username", "S")):
            tables.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_}],
                BillingMode="PAY_PER_REQUEST",
            )
        self.records, self.totals = tables.Table("GameScoreRecords"), tables.Table("GameScoresByUser")
        self._kinesis = session.client("kinesis")
        self._kinesis.create_stream(StreamName="Demo-Stream", ShardCount=1)
        self._read = 0
        self._now = 0.0
        self.stores = self.counts = True
        self.ingests = ingests
        self.on_run: Callable[[], Any] = lambda: None
        stage: Any = SimpleNamespace(name="local", session=session)
        self.system = Deployed(stage, "1", OUTPUTS)
        monkeypatch.setattr("scripts.deploy.smoke.time.sleep", self._sleep)
        monkeypatch.setattr("scripts.deploy.smoke.time.monotonic", lambda: self._now)
        monkeypatch.setattr("scripts.deploy.smoke._what_to_do", lambda _: "See why.")

    def _sleep(self, seconds: float) -> None:
        self._now += seconds
        self.run()

    def run(self) -> None:
        """Let the functions do what they may."""
        if self.stores:
            shard = self._kinesis.list_shards(StreamName="Demo-Stream")["Shards"][0]["ShardId"]
            start = self._kinesis.get_shard_iterator(
                StreamName="Demo-Stream", ShardId=shard, ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            events = self._kinesis.get_records(ShardIterator=start)["Records"]
            for event in events[self._read :]:
                self.records.put_item(Item=json.loads(event["Data"], parse_float=Decimal))
            self._read = len(events)
        if self.counts:
            scores = [item["Score"] for item in self.records.scan()["Items"]]
            users = {USERNAME} if scores else {item["Username"] for item in self.totals.scan()["Items"]}
            for user in users:
                self.totals.put_item(Item={"Username": user, "Score": sum(scores), "RecordCount": len(scores)})
        self.on_run()

    def left(self) -> tuple[list[Any], list[Any]]:
        """The records and totals that there are."""
        return self.records.scan()["Items"], self.totals.scan()["Items"]


@pytest.fixture(params=[True, False], ids=["through the stream", "into the table"])
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with mock_aws():
        yield Stage(ingests=request.param, monkeypatch=monkeypatch)


def test_a_smoke_test_that_passes_leaves_nothing(stage: Stage) -> None:
    assert smoke.smoke(stage.system, seconds=5) > 0

    assert stage.left() == ([], [])


def test_a_score_that_is_not_counted_in_time_is_deleted_so_that_it_counts_nothing_later(stage: Stage) -> None:
    stage.counts = False

    with pytest.raises(SmokeTestFailedError, match=r"The score is deleted\. Its total, counted later, is 0"):
        smoke.smoke(stage.system, seconds=5)

    assert stage.left() == ([], [])


def test_a_score_that_is_stored_and_counted_too_late_is_replaced_and_taken_back_by_the_next_smoke_test(
    stage: Stage,
) -> None:
    if not stage.ingests:
        stage.records.put_item(Item={"RecordID": RECORD_ID, "Username": USERNAME, "Score": Decimal("0.5")})
    else:
        stage.stores = False
        with pytest.raises(SmokeTestFailedError, match=r"waits in Demo-Stream, .* until the next smoke test"):
            smoke.smoke(stage.system, seconds=5)
        stage.stores = True
    stage.run()
    records, totals = stage.left()
    assert (len(records), totals[0]["RecordCount"]) == (1, 1)

    smoke.smoke(stage.system, seconds=5)

    assert stage.left() == ([], [])


def test_another_smoke_tests_score_is_left_alone(stage: Stage) -> None:
    stage.counts = False
    others = {"RecordID": RECORD_ID, "Username": USERNAME, "Score": Decimal("0.25")}
    stage.on_run = lambda: stage.records.put_item(Item=others)

    with pytest.raises(SmokeTestFailedError, match="another smoke test has replaced it"):
        smoke.smoke(stage.system, seconds=5)

    assert stage.left() == ([others], [])


def test_a_delete_that_meets_a_transaction_is_tried_again() -> None:
    error = {"Error": {"Code": "TransactionConflictException", "Message": "Transaction is ongoing for the item"}}
    with mock_aws():
        totals: Any = boto3.resource("dynamodb", region_name="us-east-1").Table("GameScoresByUser")
        delete = totals.delete_item
        met: list[Any] = []

        def delete_item(**request: Any) -> Any:
            if not met:
                met.append(request)
                raise totals.meta.client.exceptions.TransactionConflictException(error, "DeleteItem")
            return delete(**request)

        totals.meta.client.create_table(
            TableName="GameScoresByUser",
            KeySchema=[{"AttributeName": "Username", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "Username", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        totals.put_item(Item={"Username": USERNAME, "Score": 0, "RecordCount": 0})
        totals.delete_item = delete_item

        smoke.forget(totals, USERNAME)

        assert met
        assert totals.scan()["Items"] == []
