"""What the tests of failures share: the bucket in moto, and the commands on it."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws
from typer.testing import CliRunner

from handlers.shared.parking import parked_document
from scripts.failures.redrive import Result, Target, redrive
from scripts.failures.replay import Answer, groups
from scripts.failures.store import Failure, FailureBucket, Record
from tests.fakes.discarded import KEY, dynamodb_invocation_record
from tests.fakes.stream import insert

NAME = "failures"


FUNCTION = "AggregateScoresByUser"


def record(number: int) -> Record:
    return dict(insert(number, number, "ann", "1"))


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

    def discard(self, *numbers: int, **fields: Any) -> None:
        """Put an invocation record as AWS writes it."""
        self.put(KEY, json.dumps(dynamodb_invocation_record([record(number) for number in numbers], **fields)))

    def document(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.client.get_object(Bucket=NAME, Key=key)["Body"].read()))

    def failure(self) -> Failure:
        (failure,) = self.failures()
        return failure

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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """S3's clock, which each call moves on by an hour."""
    hours = itertools.count(1)

    def move() -> None:
        now = datetime.now(UTC) + timedelta(hours=next(hours))
        monkeypatch.setattr("moto.s3.models.utcnow", lambda: now.replace(tzinfo=None))

    return move


def succeed(records: Sequence[Record]) -> Answer:
    return Answer(len(records))


def fail(records: Sequence[Record]) -> Answer:
    return Answer(0, "throttled")


class System:
    """A deployed stage, as far as the commands ask it."""

    outputs: Mapping[str, Any] = {"failure_bucket": NAME}

    def __init__(self, client: Callable[..., Any]) -> None:
        self.session = SimpleNamespace(client=client)

    def function(self, name: str) -> Mapping[str, str]:
        return {"name": name}


@pytest.fixture
def command(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command on the bucket, with this function; its exit code, and what it printed."""

    def run(main: Callable[..., None], invoke: Callable[[Sequence[Record]], Answer], *options: str) -> tuple[int, str]:
        system = System(lambda _: store.client)
        monkeypatch.setattr(f"{main.__module__}.deployed", {"a stage": system}.__getitem__)
        monkeypatch.setattr("scripts.failures.redrive.targets", {system: {FUNCTION: Target(invoke, 10)}}.__getitem__)
        app = typer.Typer()
        app.command()(main)
        done = CliRunner().invoke(app, ["--stage", "a stage", *options])
        return done.exit_code, done.stdout

    return run


Command = Callable[..., tuple[int, str]]
