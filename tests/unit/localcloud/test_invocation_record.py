"""Invocation records: the engine's have the shape of AWS's, and the reader reads either form of the payload."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from handlers.shared.parking import parked_document
from localcloud.engine.aws import AwsDestinations, Threads
from localcloud.engine.delivery import Batch
from localcloud.engine.invocation_record import (
    InvocationRecord,
    UnreadableError,
    discarded_at,
    function_name,
    invocation_record,
    parse,
    reason,
    records,
    with_records,
)
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Invocation
from localcloud.engine.record import Record
from localcloud.engine.rights import FunctionRights
from tests.fakes import discarded
from tests.fakes.discarded import dynamodb_invocation_record, kinesis_invocation_record

KINESIS = Mapping(
    uuid="m",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
    starting_position="TRIM_HORIZON",
    on_failure="arn:aws:s3:::failures",
)
DYNAMODB = replace(KINESIS, source_arn="arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/l")
BATCH = Batch(
    [Record("1", "k", 1_763_900_000.123, b'{"n":1}'), Record("2", "k", 1_763_900_001.5, b'{"n":2}')],
    invokes=3,
)
RECORD_ID = UUID("f7ceef11-0000-4000-8000-000000000000")
NOW = 1_763_900_010.25
FAILED = Invocation("r", "$LATEST", "Unhandled", b"")


def described(mapping: Mapping = KINESIS, invocation: Invocation | None = None) -> InvocationRecord:
    """The engine's invocation record of the batch."""
    return invocation_record(mapping, "shardId-000000000000", BATCH, NOW, invocation, RECORD_ID)


def kinds(value: Any) -> Any:
    """The shape of a document: its fields, and the type of each; what is JSON in a string, too."""
    if isinstance(value, dict):
        return {key: kinds(each) for key, each in value.items()}
    if isinstance(value, str) and value.startswith("{"):
        return ("JSON in a string", sorted(json.loads(value)))
    return type(value).__name__


@pytest.mark.parametrize(
    ("mapping", "of_aws"),
    [(KINESIS, kinesis_invocation_record([{"n": 1}])), (DYNAMODB, dynamodb_invocation_record([{"n": 1}]))],
)
def test_the_object_of_a_bucket_has_the_shape_of_aws(mapping: Mapping, of_aws: dict[str, Any]) -> None:
    ours = json.loads(described(mapping, FAILED).with_payload())

    assert kinds(ours) == kinds(of_aws)
    assert list(ours) == list(of_aws)


def test_exhausted_retries_describe_the_last_invocation() -> None:
    assert described(invocation=FAILED).metadata == {
        "requestContext": {
            "requestId": "r",
            "functionArn": KINESIS.function_arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2025-11-23T12:13:30.250Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": "2025-11-23T12:13:20.123Z",
            "approximateArrivalOfLastRecord": "2025-11-23T12:13:21.500Z",
            "batchSize": 2,
            "streamArn": KINESIS.source_arn,
        },
    }


def test_reported_failures_have_no_function_error() -> None:
    assert described(invocation=Invocation("r", "3", None, b"")).metadata["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "3",
        "functionError": None,
    }


def test_records_that_grew_too_old_have_no_response() -> None:
    metadata = described().metadata

    assert metadata["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in metadata


def test_arrival_times_of_dynamodb_have_no_milliseconds() -> None:
    info = described(DYNAMODB).metadata["DDBStreamBatchInfo"]

    assert info["approximateArrivalOfFirstRecord"] == "2025-11-23T12:13:20Z"
    assert info["approximateArrivalOfLastRecord"] == "2025-11-23T12:13:21Z"


class RecordedClient:
    """S3, SNS and SQS, as far as a destination calls them; keeps what it was given."""

    class meta:  # noqa: N801  boto3's name
        endpoint_url = "http://127.0.0.1"

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def put_object(self, **parameters: Any) -> None:
        """Keep the call."""
        self.calls.append(parameters)

    publish = send_message = put_object


class OpenRights:
    """Rights that hand out one client."""

    def __init__(self, client: RecordedClient) -> None:
        self._client = client

    @contextmanager
    def client(self, _service: str, _function_arn: str) -> Iterator[RecordedClient]:
        """The client, whatever the service."""
        yield self._client


def delivered(destination: str) -> dict[str, Any]:
    """The call that delivers the invocation record to a destination."""
    client = RecordedClient()
    destinations = AwsDestinations(cast(FunctionRights, OpenRights(client)), Threads(1, "test"))
    asyncio.run(destinations.deliver(replace(KINESIS, on_failure=destination), described(invocation=FAILED)))
    [call] = client.calls
    return call


def test_a_bucket_gets_the_event_as_an_escaped_json_string_under_a_key_of_its_day() -> None:
    call = delivered("arn:aws:s3:::failures")

    assert call["Bucket"] == "failures"
    assert call["Key"] == f"aws/lambda/m/shardId-000000000000/2025/11/23/2025-11-23T12.13.30-{RECORD_ID}"
    document = json.loads(call["Body"])
    assert document.pop("payload") == '{"Records":[{"n":1},{"n":2}]}'
    assert document == described(invocation=FAILED).metadata


@pytest.mark.parametrize(
    ("destination", "field"),
    [
        ("arn:aws:sns:us-east-1:000000000000:topic", "Message"),
        ("arn:aws:sqs:us-east-1:000000000000:queue", "MessageBody"),
    ],
)
def test_a_topic_or_a_queue_gets_the_metadata_alone(destination: str, field: str) -> None:
    assert json.loads(delivered(destination)[field]) == described(invocation=FAILED).metadata


def test_keys_have_the_form_of_those_of_aws() -> None:
    ours, theirs = described().key.split("/"), discarded.KEY.split("/")

    assert ours[:2] == theirs[:2]
    assert [len(part) for part in ours[4:]] == [len(part) for part in theirs[4:]]


def test_records_are_read_from_what_the_engine_writes() -> None:
    document = parse(described().with_payload().encode())

    assert records(document) == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("document", [dynamodb_invocation_record([{"n": 1}]), kinesis_invocation_record([{"n": 1}])])
def test_records_are_read_from_what_aws_writes(document: dict[str, Any]) -> None:
    assert records(document) == [{"n": 1}]
    assert function_name(document) == "AggregateScoresByUser"
    assert reason(document) == "RetryAttemptsExhausted after 3 invocations: Unhandled"
    assert discarded_at(document) == datetime(2025, 11, 23, 10, 0, 0, 21_000, UTC)


def test_records_are_read_from_what_a_function_parks_and_from_objects_in_the_place_of_the_string() -> None:
    parked = json.loads(parked_document("f", {"n": 1}, "because"))

    assert records(parked) == [{"n": 1}]
    assert records(dynamodb_invocation_record([], payload={"Records": [{"n": 1}]})) == [{"n": 1}]


@pytest.mark.parametrize("payload", ['{"Records": [1, 2], "window": 3}', {"Records": [1, 2], "window": 3}])
def test_fewer_records_leave_the_payload_in_its_form(payload: Any) -> None:
    document = with_records({"version": "1.0", "payload": payload}, [2])

    assert type(document["payload"]) is type(payload)
    event = json.loads(document["payload"]) if isinstance(payload, str) else document["payload"]
    assert event == {"Records": [2], "window": 3}
    assert (document["version"], records(document)) == ("1.0", [2])


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ('{"Records": [tr', "the payload is not JSON"),
        ("[" * 100_000, "the payload is not JSON"),
        ("", "the payload is not JSON"),
        (None, "the payload is not an event with Records"),
        ([], "the payload is not an event with Records"),
        ({}, "the payload is not an event with Records"),
        ('"{}"', "the payload is not an event with Records"),
        ({"Records": "none"}, "the Records of the payload are not a list"),
    ],
)
def test_a_payload_that_cannot_be_read_says_why(payload: Any, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        records({"payload": payload})


def test_a_document_without_a_payload_as_a_queue_gets_it_cannot_be_read() -> None:
    with pytest.raises(UnreadableError, match="no payload"):
        records(described().metadata)


@pytest.mark.parametrize(
    ("body", "why"),
    [(b"?", "not JSON"), (b"\xff", "not JSON"), (b"[1]", "not a JSON object"), (b"[" * 100_000, "not JSON")],
)
def test_an_object_that_is_not_a_document_says_so(body: bytes, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        parse(body)


@pytest.mark.parametrize("document", [{}, {"requestContext": None}, {"requestContext": {"functionArn": "f"}}])
def test_what_a_document_does_not_say_is_not_known(document: dict[str, Any]) -> None:
    assert (function_name(document), reason(document), discarded_at(document)) == ("", "", None)


@pytest.mark.parametrize("timestamp", [None, 7, "yesterday", ""])
def test_a_timestamp_that_is_not_one_is_not_known(timestamp: Any) -> None:
    assert discarded_at({"timestamp": timestamp}) is None
