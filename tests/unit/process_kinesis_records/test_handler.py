"""ProcessKinesisRecords."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier
from typing import Any

import boto3
import pytest
from moto import mock_aws

from handlers.process_kinesis_records import handler as module
from handlers.process_kinesis_records.handler import handler
from handlers.shared.environment import SettingsError
from handlers.shared.lambda_types import KinesisEvent, LambdaContext
from scripts.traffic.invoke import EVENTS
from tests.property.strategies import nested
from tests.unit.conftest import Context, load

STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"


def event_of(*data: str) -> KinesisEvent:
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "eventSource": "aws:kinesis",
                "eventSourceARN": STREAM,
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


def test_an_event_id_that_is_no_text_is_not_logged(context: LambdaContext, capsys: pytest.CaptureFixture[str]) -> None:
    event = event_of("not base64")
    event["Records"][0]["eventID"] = 7  # type: ignore[typeddict-item]

    handler(event, context)

    assert logged(capsys)[0]["eventID"] is None


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


def test_a_long_payload_is_logged_whole(context: LambdaContext, capsys: pytest.CaptureFixture[str]) -> None:
    handler(payloads("x" * 100_000), context)

    assert logged(capsys)[0]["message"] == "Decoded payload: " + "x" * 100_000


def test_an_empty_payload_is_an_empty_text(context: LambdaContext, capsys: pytest.CaptureFixture[str]) -> None:
    handler(event_of(""), context)

    assert logged(capsys)[0]["message"] == "Decoded payload: "


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RECORDS_TABLE", "records")
    monkeypatch.setenv("FAILURE_BUCKET", "failures")
    monkeypatch.setenv("STREAM_ARN", STREAM)
    module._ingestor.cache_clear()
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName="records",
            KeySchema=[{"AttributeName": "RecordID", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "RecordID", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
        )
        boto3.client("s3").create_bucket(Bucket="failures")
        yield
    module._ingestor.cache_clear()


@pytest.mark.parametrize("variables", [{}, {"FAILURE_BUCKET": "failures", "STREAM_ARN": STREAM}])
def test_without_a_table_to_store_in_score_events_are_only_logged(
    variables: dict[str, str],
    stores: None,
    context: LambdaContext,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Terraform deploys it with `ingest_scores = false`."""
    for name in "RECORDS_TABLE", "FAILURE_BUCKET", "STREAM_ARN":
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    right, wrong = (f'{{"RecordID": 7, "Username": "jane", "Score": {score}}}' for score in ("1", "null"))

    response = handler(payloads(right, wrong), context)

    assert response == {"batchItemFailures": []}
    assert [line["message"] for line in logged(capsys)] == [
        f"Decoded payload: {right}",
        f"Decoded payload: {wrong}",
        "Successfully processed 2 records.",
    ]
    assert not boto3.client("dynamodb").scan(TableName="records")["Items"]
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="failures")
    assert module._ingestor.cache_info().misses == 0


def test_a_batch_that_is_delivered_again_late_does_not_replace_newer_scores(
    stores: None, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    event = payloads(*(f'{{"RecordID": 7, "Username": "jane", "Score": {score}}}' for score in (1, 2)))
    handler(event, context)

    response = handler({"Records": event["Records"][:1]}, context)

    assert response == {"batchItemFailures": []}
    (item,) = boto3.client("dynamodb").scan(TableName="records")["Items"]
    assert item["Score"] == {"N": "2"}
    assert logged(capsys)[-1]["Outdated"] == 1


@pytest.mark.parametrize("event", [None, [], "Records", 7, {}, {"Records": None}, {"Records": {}}, {"records": []}])
def test_an_event_that_is_no_batch_fails_as_a_whole_and_the_log_says_why(
    event: Any, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    response = handler(event, context)

    assert response == {"batchItemFailures": [{"itemIdentifier": ""}]}
    (line,) = logged(capsys)
    assert line["level"] == "ERROR"
    assert "no list of Records" in line["message"]


@pytest.mark.parametrize(
    "record", [None, "text", {}, {"kinesis": None}, {"kinesis": {"data": 7}}, {"eventID": "\ud800"}]
)
def test_a_record_without_data_is_logged_whole_and_fails_nothing(
    record: Any, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    event: Any = {"Records": [record, *payloads("hello")["Records"]]}

    response = handler(event, context)

    assert response == {"batchItemFailures": []}
    lines = logged(capsys)
    assert [(line["level"], line["message"]) for line in lines] == [
        ("WARN", f"Found a record without data: {json.dumps(record)}"),
        ("INFO", "Decoded payload: hello"),
        ("INFO", "Successfully processed 2 records."),
    ]


def test_the_first_of_several_that_fail_is_reported(
    stores: None, context: LambdaContext, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDS_TABLE", "no-such-table")
    deep: Any = {"kinesis": {"sequenceNumber": "5", "data": nested(100_000)}}

    response = handler(
        {"Records": [deep, *payloads('{"RecordID": 7, "Username": "jane", "Score": 1}')["Records"]]}, context
    )

    assert response == {"batchItemFailures": [{"itemIdentifier": "5"}]}
    assert "Stopped at record 1 of 2" in [line["message"] for line in logged(capsys)]


def test_a_table_without_a_name_is_not_taken_for_none(context: LambdaContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDS_TABLE", "")
    module._ingestor.cache_clear()

    with pytest.raises(SettingsError, match="RECORDS_TABLE is missing"):
        handler(payloads('{"RecordID": 7, "Username": "jane", "Score": 1}'), context)


@pytest.mark.parametrize(("number", "identifier"), [("5", "5"), (None, ""), ("\ud800", "")])
def test_a_record_that_cannot_even_be_logged_is_reported(
    number: Any, identifier: str, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    deep: Any = {"kinesis": {"sequenceNumber": number, "data": nested(100_000)}}
    event: Any = {"Records": [*payloads("hello")["Records"], deep]}

    response = handler(event, context)

    assert response == {"batchItemFailures": [{"itemIdentifier": identifier}]}
    assert [(line["level"], line["message"]) for line in logged(capsys)] == [
        ("INFO", "Decoded payload: hello"),
        ("ERROR", "Record 2 of 2 has no data, and cannot be logged"),
        ("INFO", "Successfully processed 1 records."),
    ]


def payloads(*texts: str) -> KinesisEvent:
    return event_of(*(base64.b64encode(text.encode()).decode() for text in texts))


def test_score_events_reach_the_table_and_wrong_ones_the_bucket(
    stores: None, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = (f'{{"RecordID": 7, "Username": "jane", "Score": {score}}}' for score in ("0.1", "null"))

    response = handler(payloads("hello", right, wrong), context)

    assert response == {"batchItemFailures": []}
    items = boto3.client("dynamodb").scan(TableName="records")["Items"]
    assert items == [
        {
            "RecordID": {"N": "7"},
            "Username": {"S": "jane"},
            "Score": {"N": "0.1"},
            "EventPosition": {"S": "001:1"},
        }
    ]
    (parked,) = boto3.client("s3").list_objects_v2(Bucket="failures")["Contents"]
    assert parked["Key"] == "parked/Function/1970-01-01/shardId-000000000000:2.json"
    lines = logged(capsys)
    assert [line["message"] for line in lines] == [
        "Decoded payload: hello",
        f"Decoded payload: {right}",
        f"Decoded payload: {wrong}",
        "Found score events that can never be stored",
        "Successfully processed 3 records.",
    ]
    assert lines[3]["reasons"] == {"Score is not a number": 1}
    assert {name: lines[-1][name] for name in ("Stored", "Outdated", "Folded", "Parked", "Failed")} == {
        "Stored": 1,
        "Outdated": 0,
        "Folded": 0,
        "Parked": 1,
        "Failed": 0,
    }
    assert lines[-1]["FunctionName"] == "Function"
    (published,) = lines[-1]["_aws"]["CloudWatchMetrics"]
    assert {metric["Unit"] for metric in published["Metrics"]} == {"Count"}
    assert (published["Namespace"], published["Dimensions"]) == ("GameScores", [["FunctionName"]])


def test_reasons_are_counted(stores: None, context: LambdaContext, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [f'{{"RecordID": {number}, "Username": "jane", "Score": null}}' for number in range(2)]

    handler(payloads(*wrong, '{"RecordID": 7, "Username": 1, "Score": 1}'), context)

    assert logged(capsys)[-2]["reasons"] == {"Score is not a number": 2, "Username is not a string": 1}


def test_as_many_calls_run_at_once_as_the_environment_says(stores: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONCURRENCY", "7")
    ingestor, _ = module._ingestor("Function")

    together = Barrier(7)
    assert sorted(ingestor.workers.map(lambda _: together.wait(timeout=10), range(7))) == list(range(7))
    assert ingestor.records._client.meta.config.max_pool_connections == 7  # type: ignore[attr-defined]


@pytest.mark.parametrize(("remaining_ms", "failed"), [(4_900, [{"itemIdentifier": "0"}]), (5_100, [])])
def test_no_call_begins_in_the_last_seconds_of_an_invocation(
    remaining_ms: int, failed: list[dict[str, str]], stores: None
) -> None:
    event = payloads('{"RecordID": 7, "Username": "jane", "Score": 1}')

    assert handler(event, Context(remaining_ms=remaining_ms)) == {"batchItemFailures": failed}

    assert bool(failed) == (not boto3.client("dynamodb").scan(TableName="records")["Items"])


def test_the_first_record_that_is_not_stored_is_reported_and_all_are_logged(
    stores: None, context: LambdaContext, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDS_TABLE", "no-such-table")

    response = handler(payloads("hello", '{"RecordID": 7, "Username": "jane", "Score": 1}', "bye"), context)

    assert response == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    lines = logged(capsys)[2:]
    messages = [line["message"] for line in lines]
    assert messages == ["Decoded payload: bye", "Stopped at record 2 of 3", "Successfully processed 1 records."]
    (reason,) = lines[1]["reasons"]
    assert reason.startswith("ResourceNotFoundException: ")


def test_what_is_not_configured_is_told_after_the_payloads_are_logged(
    context: LambdaContext, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDS_TABLE", "records")
    module._ingestor.cache_clear()

    with pytest.raises(SettingsError, match=r"^FAILURE_BUCKET is missing; STREAM_ARN is missing$"):
        handler(payloads('{"RecordID": 7, "Username": "jane", "Score": 1}'), context)

    assert logged(capsys)[0]["message"].startswith("Decoded payload: {")


def test_loading_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    load(module)

    (line,) = logged(capsys)
    assert line.keys() == {"timestamp", "level", "message"}
    assert (line["level"], line["message"]) == ("INFO", "Loading function")


@pytest.mark.parametrize("environment", [{}, {"RECORDS_TABLE": "records", "FAILURE_BUCKET": "failures"}])
def test_what_only_logs_loads_nothing_that_talks_to_aws(environment: dict[str, str]) -> None:
    program = """
import sys
from handlers.process_kinesis_records.handler import handler
class Context: aws_request_id = "1"
handler({"Records": [{"kinesis": {"data": "e30="}}]}, Context())
sys.exit(", ".join({"boto3", "botocore", "decimal", "random"} & set(sys.modules)) or 0)
"""

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": "src", **environment},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [json.loads(line)["message"] for line in done.stdout.splitlines()] == [
        "Loading function",
        "Decoded payload: {}",
        "Successfully processed 1 records.",
    ]
