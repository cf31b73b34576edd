"""A console of a stage that is not there, and one whose AWS is moto's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from flask.testing import FlaskClient
from moto import mock_aws
from werkzeug.test import TestResponse

from scripts.console.app import create_app
from scripts.console.guard import TOKEN_HEADER
from scripts.deployment import Deployed
from scripts.stage import Stage

PORT = 4580
TOKEN = "the-token-of-this-start"


@dataclass
class FixedConnection:
    """A connection to what the test says, or to an error."""

    stage: Stage
    found: Deployed | Exception
    forgotten: list[bool] = field(default_factory=list)
    """Each time; whether for its credentials."""

    def system(self) -> Deployed:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def forget(self, *, credentials: bool) -> None:
        self.forgotten.append(credentials)


class Page:
    """What the page sends: with its token, from its own origin, unless told otherwise."""

    def __init__(self, client: FlaskClient, connection: FixedConnection) -> None:
        self.connection = connection
        self.client = client

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        sent = {TOKEN_HEADER: TOKEN, "Host": f"127.0.0.1:{PORT}", **(headers or {})}
        return self.client.open(path, method=method, headers=sent, buffered=True, **options)


def stage(name: str, folder: Path) -> Stage:
    return Stage(name, "us-east-1", None, folder)


KEYS = {
    "GameScoreRecords": ("RecordID", "N"),
    "GameScoreLedger": ("RecordID", "N"),
    "GameScoresByUser": ("Username", "S"),
}


@pytest.fixture
def deployment(tmp_path: Path) -> Deployed:
    """What a stage is said to have. There is no AWS behind it."""
    outputs = {
        "stream": {"name": "Demo-Stream"},
        "tables": {each: {"name": each} for each in KEYS},
        "functions": {each: {"name": each} for each in ("ProcessKinesisRecords", "AggregateScoresByUser")},
        "failure_bucket": "failures",
    }
    return Deployed(stage("dev", tmp_path), "123456789012", outputs)


@pytest.fixture
def system(deployment: Deployed) -> Iterator[Deployed]:
    """The same in moto, with its tables, stream and failure bucket."""
    with mock_aws():
        dynamodb: Any = boto3.client("dynamodb")
        for table, (key, kind) in KEYS.items():
            dynamodb.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
                BillingMode="PAY_PER_REQUEST",
            )
        boto3.client("kinesis").create_stream(StreamName="Demo-Stream", ShardCount=2)
        boto3.client("s3").create_bucket(Bucket="failures")
        yield deployment


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Page]:
    """Makes the page of a console of what is deployed, or of an error."""

    def make(found: Deployed | Exception, *, writes: bool = True, name: str = "dev") -> Page:
        connection = FixedConnection(stage(name, tmp_path), found)
        app = create_app(connection, port=PORT, token=TOKEN, writes=writes)
        return Page(app.test_client(), connection)

    return make
