"""The repairs of the emulator end it loudly when it is no longer the one they were made for."""

import time
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from localcloud import emulator


def test_a_version_that_renames_its_pollers_does_not_start() -> None:
    renamed = ModuleType("lambda_svc")

    with pytest.raises(SystemExit) as end:
        emulator.stop_stream_pollers(renamed)

    assert "has no _poll_kinesis, _poll_dynamodb_streams in lambda_svc" in str(end.value)
    assert emulator.PINNED in str(end.value)


@pytest.mark.parametrize(
    "repair",
    [
        emulator.keep_stream_settings,
        emulator.keep_closed_shards,
        emulator.expire_from_the_front,
        emulator.take_the_account_for_its_services,
        partial(emulator.rights_of_roles, iam=ModuleType("iam")),
        partial(emulator.refuse_mappings_that_a_role_cannot_serve, may=lambda *_: True),
        partial(emulator.lose_logs_that_a_role_may_not_write, cloudwatch_logs=ModuleType("logs"), may=lambda *_: True),
    ],
)
def test_every_repair_asks_for_what_it_is_built_on(repair: object) -> None:
    assert callable(repair)

    with pytest.raises(SystemExit):
        repair(ModuleType("renamed"))


STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
TABLE_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-11-23T00:00:00.000"
BUCKET, QUEUE, TOPIC = "arn:aws:s3:::b", "arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:sns:us-east-1:000000000000:t"
CALLS = "The function execution role does not have permissions to call"


@pytest.mark.parametrize(
    ("source", "destination", "lacking", "refusal"),
    [
        *((STREAM, "", (f"kinesis:{action}", STREAM), "Cannot access stream") for action in emulator.READ_STREAM),
        *(
            (TABLE_STREAM, "", (f"dynamodb:{action}", TABLE_STREAM), "Cannot access stream")
            for action in emulator.READ_TABLE_STREAM
        ),
        (
            TABLE_STREAM,
            "",
            ("dynamodb:ListStreams", "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/*"),
            "Cannot access stream",
        ),
        (STREAM, BUCKET, ("s3:ListBucket", BUCKET), f"{CALLS} ListBucket on S3"),
        (STREAM, BUCKET, ("s3:PutObject", f"{BUCKET}/*"), f"{CALLS} PutObject on S3"),
        (STREAM, QUEUE, ("sqs:SendMessage", QUEUE), f"{CALLS} SendMessage on SQS"),
        (STREAM, TOPIC, ("sns:Publish", TOPIC), f"{CALLS} Publish on SNS"),
    ],
)
def test_a_mapping_is_refused_for_each_right_that_its_role_lacks(
    source: str, destination: str, lacking: tuple[str, str], refusal: str
) -> None:
    assert emulator.missing_right(lambda *_: True, "role", source, destination) == ""

    answer = emulator.missing_right(lambda _, *asked: asked != lacking, "role", source, destination)

    assert answer.startswith(refusal)


def test_an_iterator_points_at_the_same_record_when_older_ones_expire() -> None:
    old, new = time.time() - 90_000, time.time()
    place = {"stream": "s", "shard_id": "a", "position": 3}
    records = [{"ApproximateArrivalTimestamp": arrived} for arrived in (old, old, new, new)]
    closed = {"records": [], "closed_at": old}
    stream: dict[str, Any] = {
        "StreamName": "s",
        "RetentionPeriodHours": 24,
        "shards": {"a": {"records": records}, "b": closed},
    }
    kinesis = SimpleNamespace(_shard_iterators={"i": place}, _expire_records=None, __name__="kinesis")
    emulator.expire_from_the_front(kinesis)

    kinesis._expire_records(stream)

    assert stream["shards"] == {"a": {"records": records[2:]}}
    assert place["position"] == 1
