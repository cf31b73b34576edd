"""A console of a stage that is not there, and one whose AWS is moto's."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from flask.testing import EnvironBuilder, FlaskClient
from moto import mock_aws
from werkzeug.test import TestResponse

from scripts.console.app import create_app
from scripts.console.session import NONCE_HEADER, SIGNATURE_HEADER, Session
from scripts.deployment import Deployed
from scripts.stage import Stage

PORT = 4580
UUID = "12345678-1234-1234-1234-123456789012"


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


class ConsoleClient:
    """What the page sends: signed, from its own origin, unless told otherwise."""

    def __init__(self, client: FlaskClient, connection: FixedConnection, session: Session) -> None:
        self.connection = connection
        self.client = client
        self.session = session

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        host = {"Host": f"127.0.0.1:{PORT}"}
        builder = EnvironBuilder(
            self.client.application, path, method=method, headers={**host, **(headers or {})}, **options
        )
        nonce = builder.headers.setdefault(NONCE_HEADER, secrets.token_hex(16))
        uri = builder.get_environ()["REQUEST_URI"]
        builder.headers.setdefault(SIGNATURE_HEADER, self.session.signature(method, uri, nonce))
        return self.client.open(builder, buffered=True)


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
        "tables": {each: {"name": each, "hash_key": {"name": key, "type": kind}} for each, (key, kind) in KEYS.items()},
        "functions": {
            each: {
                "name": each,
                "log_group": f"/aws/lambda/{each}",
                "live_arn": each,
                "mapping_uuid": UUID,
                "event_source_arn": "",
            }
            for each in ("ProcessKinesisRecords", "AggregateScoresByUser")
        },
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
def serve(tmp_path: Path) -> Callable[..., ConsoleClient]:
    """Makes the page of a console of what is deployed, or of an error."""

    def make(found: Deployed | Exception, *, writes: bool = True, name: str = "dev") -> ConsoleClient:
        connection = FixedConnection(stage(name, tmp_path), found)
        session = Session()
        app = create_app(connection, names={f"127.0.0.1:{PORT}"}, session=session, writes=writes)
        return ConsoleClient(app.test_client(), connection, session)

    return make
