"""ProcessKinesisRecords."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from handlers.process_kinesis_records.handler import handler
from handlers.shared.lambda_types import KinesisEvent, LambdaContext

EVENTS = Path(__file__).resolve().parents[2] / "scripts" / "events"


def event_of(*data: str) -> KinesisEvent:
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "eventSource": "aws:kinesis",
                "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream",
                "kinesis": {
                    "data": each,
                    "partitionKey": "1",
                    "sequenceNumber": str(number),
                    "approximateArrivalTimestamp": 0.0,
                    "kinesisSchemaVersion": "1.0",
                },
            }
            for number, each in enumerate(data)
        ]
    }


def logged(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_labs_sample_event_is_decoded_and_logged(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    event = json.loads((EVENTS / "stream.json").read_text())

    response = handler(event, context)

    assert response == {"batchItemFailures": []}
    assert [line["message"] for line in logged(capsys)] == [
        "Decoded payload: Hello, this is a test 123.",
        "Successfully processed 1 records.",
    ]


def test_a_payload_that_is_not_utf_8_is_logged_as_such_and_fails_nothing(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    not_utf_8 = base64.b64encode(b"\xff\xfe").decode()
    text = base64.b64encode("grüße".encode()).decode()

    response = handler(event_of(not_utf_8, text), context)

    assert response == {"batchItemFailures": []}
    lines = logged(capsys)
    assert [(line["level"], line["message"]) for line in lines] == [
        ("WARN", f"Payload is not UTF-8: {not_utf_8}"),
        ("INFO", "Decoded payload: grüße"),
        ("INFO", "Successfully processed 2 records."),
    ]
    assert lines[0]["eventID"] == "shardId-000000000000:0"


def test_data_that_is_not_base64_is_logged_as_such_and_fails_nothing(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    response = handler(event_of("not base64", "ünicode"), context)

    assert response == {"batchItemFailures": []}
    assert [line["message"] for line in logged(capsys)][:2] == [
        "Payload is not base64: not base64",
        "Payload is not base64: ünicode",
    ]


def test_every_line_is_json_in_lambdas_own_format_even_when_the_payload_has_line_breaks(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(event_of(base64.b64encode(b'two\nlines, "quoted"').decode()), context)

    first = logged(capsys)[0]
    assert first["message"] == 'Decoded payload: two\nlines, "quoted"'
    assert first["requestId"] == "request-1"
    assert set(first) == {"timestamp", "level", "message", "requestId"}


def test_an_empty_payload_is_an_empty_text(context: LambdaContext, capsys: pytest.CaptureFixture[str]) -> None:
    handler(event_of(""), context)

    assert logged(capsys)[0]["message"] == "Decoded payload: "
