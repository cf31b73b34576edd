"""Every implementation of the ports, each to be put through the same tests."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from moto import mock_aws

from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import Entry, Ledger
from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
from handlers.process_kinesis_records.ingestion import ScoreEvent, ScoreRecords
from handlers.shared import aws
from handlers.shared.parking import FailureBucket, Parking
from localcloud.cloud import LocalCloud
from tests.fakes.invocation import InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.records import InMemoryScoreRecords
from tests.waiting import free_port

EXPIRES_AT = 1_796_601_600


@dataclass(frozen=True)
class LedgerUnderTest:
    """A ledger, and a way to see what it wrote."""

    ledger: Ledger
    entry: Callable[[str], Entry | None]
    total: Callable[[str], tuple[Decimal, int] | None]


@dataclass(frozen=True)
class ParkingUnderTest:
    """A parking, and a way to see what is parked."""

    parking: Parking
    document: Callable[[str], str]


@dataclass(frozen=True)
class RecordsUnderTest:
    """Score records, a way to see what is stored, and one to put an item as a user does, without a position."""

    records: ScoreRecords
    stored: Callable[[str], ScoreEvent | None]
    write: Callable[[str, str, str], None]


@pytest.fixture(scope="session")
def live_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A local cloud of these tests' own."""
    port, cloud = free_port(), LocalCloud(tmp_path_factory.mktemp("contract"))
    try:
        cloud.up(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        cloud.down()


@pytest.fixture(params=["memory", "moto", "local cloud"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the stores are; unless in memory, an AWS that clients find in the environment."""
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    place: str = request.param
    with ExitStack() as stack:
        if place == "moto":
            stack.enter_context(mock_aws())
        if place == "local cloud":
            monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("live_endpoint"))
        yield place


@pytest.fixture
def ledger_under_test(place: str) -> Iterator[LedgerUnderTest]:
    """The fake that other tests trust, or the adapter with tables of its own."""
    if place == "memory":
        ledger = InMemoryLedger()
        yield LedgerUnderTest(ledger, ledger.entries.get, ledger.totals.get)
    else:
        yield from _dynamodb_ledger()


@pytest.fixture
def parking_under_test(place: str) -> Iterator[ParkingUnderTest]:
    """The fake that other tests trust, or the adapter with a bucket of its own."""
    if place == "memory":
        parking = InMemoryParking()
        yield ParkingUnderTest(parking, parking.documents.__getitem__)
    else:
        yield from _failure_bucket()


@pytest.fixture
def records_under_test(place: str) -> Iterator[RecordsUnderTest]:
    """The fake that other tests trust, or the adapter with a table of its own."""
    if place == "memory":
        records = InMemoryScoreRecords()
        yield RecordsUnderTest(records, lambda record_id: records.items.get(Decimal(record_id)), records.write)
    else:
        yield from _dynamodb_records()


def _create_table(client: Any, table: str, key: str, type_: str) -> None:
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=table)


def _dynamodb_records() -> Iterator[RecordsUnderTest]:
    client = aws.client("dynamodb", connections=1)
    table = f"contract-records-{uuid4()}"
    _create_table(client, table, "RecordID", "N")

    def stored(record_id: str) -> ScoreEvent | None:
        item = client.get_item(TableName=table, Key={"RecordID": {"N": record_id}}).get("Item")
        return item and ScoreEvent(
            record_id=Decimal(item["RecordID"]["N"]),
            username=item["Username"]["S"],
            score=Decimal(item["Score"]["N"]),
            position=item.get("EventPosition", {"S": ""})["S"],
        )

    def write(record_id: str, username: str, score: str) -> None:
        item = {"RecordID": {"N": record_id}, "Username": {"S": username}, "Score": {"N": score}}
        client.put_item(TableName=table, Item=item)

    try:
        yield RecordsUnderTest(DynamoDBScoreRecords(client, table), stored, write)
    finally:
        client.delete_table(TableName=table)


def _dynamodb_ledger() -> Iterator[LedgerUnderTest]:
    client = aws.client("dynamodb", connections=1)
    names = {key: f"contract-{key}-{uuid4()}" for key in ("RecordID", "Username")}
    for (key, table), type_ in zip(names.items(), ("N", "S"), strict=True):
        _create_table(client, table, key, type_)

    def entry(record_id: str) -> Entry | None:
        item = client.get_item(TableName=names["RecordID"], Key={"RecordID": {"N": record_id}}).get("Item")
        if item is None:
            return None
        if "ExpiresAt" in item:
            assert item["ExpiresAt"] == {"N": str(EXPIRES_AT)}
            assert item.keys() == {"RecordID", "Version", "ExpiresAt"}
            return Entry(item["Version"]["S"], None, Decimal(0))
        return Entry(item["Version"]["S"], item["Username"]["S"], Decimal(item["Score"]["N"]))

    def total(username: str) -> tuple[Decimal, int] | None:
        item = client.get_item(TableName=names["Username"], Key={"Username": {"S": username}}).get("Item")
        return item and (Decimal(item["Score"]["N"]), int(item["RecordCount"]["N"]))

    ledger = DynamoDBLedger(
        client,
        ledger_table=names["RecordID"],
        totals_table=names["Username"],
        expires_at=lambda: EXPIRES_AT,
    )
    try:
        yield LedgerUnderTest(ledger, entry, total)
    finally:
        for table in names.values():
            client.delete_table(TableName=table)


def _failure_bucket() -> Iterator[ParkingUnderTest]:
    client = aws.client("s3", connections=1)
    bucket = f"contract-{uuid4()}"
    client.create_bucket(Bucket=bucket)
    keys: set[str] = set()

    def document(key: str) -> str:
        keys.add(key)
        text: str = client.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        return text

    try:
        yield ParkingUnderTest(FailureBucket(lambda: client, bucket), document)
    finally:
        for key in keys:
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)
