"""The documents that OnFailure destinations are given: exactly those of the AWS guide."""

from dataclasses import replace
from uuid import UUID

from localcloud.engine.delivery import Piece
from localcloud.engine.envelope import dead_letter
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Invocation
from localcloud.engine.record import Record

KINESIS = Mapping(
    uuid="m",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
    starting_position="TRIM_HORIZON",
)
DYNAMODB = replace(KINESIS, source_arn="arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/l")
PIECE = Piece(
    [Record("1", "k", 1_763_900_000.123, b'{"n":1}'), Record("2", "k", 1_763_900_001.5, b'{"n":2}')],
    invokes=3,
)
LETTER = UUID("f7ceef11-0000-4000-8000-000000000000")
NOW = 1_763_900_010.25


def test_retries_exhausted_tells_of_the_last_invocation() -> None:
    invocation = Invocation("r", "$LATEST", "Unhandled", b"")

    letter = dead_letter(KINESIS, "shardId-000000000000", PIECE, NOW, invocation, LETTER)

    assert letter.metadata == {
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
    letter = dead_letter(KINESIS, "s", PIECE, NOW, Invocation("r", "3", None, b""), LETTER)

    assert letter.metadata["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "3",
        "functionError": None,
    }


def test_records_grown_too_old_have_no_response() -> None:
    letter = dead_letter(KINESIS, "s", PIECE, NOW, None, LETTER)

    assert letter.metadata["requestContext"]["condition"] == "RecordAgeExceeded"
    assert "responseContext" not in letter.metadata


def test_arrival_times_of_dynamodb_have_no_milliseconds() -> None:
    info = dead_letter(DYNAMODB, "s", PIECE, NOW, None, LETTER).metadata["DDBStreamBatchInfo"]

    assert info["approximateArrivalOfFirstRecord"] == "2025-11-23T12:13:20Z"
    assert info["approximateArrivalOfLastRecord"] == "2025-11-23T12:13:21Z"


def test_a_bucket_is_given_the_event_under_a_key_of_its_day() -> None:
    letter = dead_letter(KINESIS, "s", PIECE, NOW, None, LETTER)

    assert letter.event == b'{"Records":[{"n":1},{"n":2}]}'
    assert letter.key == f"aws/lambda/m/s/2025/11/23/2025-11-23T12.13.30-{LETTER}"
