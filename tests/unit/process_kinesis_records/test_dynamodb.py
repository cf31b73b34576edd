"""What the contract suite cannot ask of an emulator: the answers of a DynamoDB in trouble."""

import json
from decimal import Decimal
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError

EVENT = ScoreEvent(Decimal(7), "jane", Decimal("1.50"), "001:9")


class Answering:
    """Score records whose DynamoDB gives one answer, and what it was asked."""

    def __init__(self, status: int, body: str) -> None:
        self.asked: list[AWSPreparedRequest] = []

        def answer(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
            self.asked.append(request)
            response: Any = AWSResponse(request.url, status, {}, None)
            response._content = body.encode()
            return response  # type: ignore[no-any-return]

        session = botocore.session.Session()
        session.register("before-send.dynamodb.PutItem", answer)
        self.records = DynamoDBScoreRecords(aws.DynamoDB(session, "http://127.0.0.1:9", "us-east-1"), "records")


def failing(code: str, status: int) -> DynamoDBScoreRecords:
    """Score records whose DynamoDB answers with an error."""
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "why"}
    return Answering(status, json.dumps(body)).records


def test_an_event_is_one_put_whose_condition_fails_once_it_is_done() -> None:
    answering = Answering(200, "{}")

    assert answering.records.put(EVENT) is True

    (request,) = answering.asked
    assert request.headers["X-Amz-Target"] == "DynamoDB_20120810.PutItem"
    assert json.loads(request.body) == {
        "TableName": "records",
        "Item": {
            "RecordID": {"N": "7"},
            "Username": {"S": "jane"},
            "Score": {"N": "1.5"},
            "EventPosition": {"S": "001:9"},
        },
        "ConditionExpression": "attribute_not_exists(EventPosition) OR EventPosition < :position",
        "ExpressionAttributeValues": {":position": {"S": "001:9"}},
    }


def test_a_condition_that_fails_is_an_older_event_and_no_error() -> None:
    assert failing("ConditionalCheckFailedException", 400).put(EVENT) is False


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ProvisionedThroughputExceededException", 400, RetryableError),
        ("ThrottlingException", 400, RetryableError),
        ("RequestLimitExceeded", 400, RetryableError),
        ("TransactionConflictException", 400, RetryableError),
        ("InternalServerError", 500, RetryableError),
        ("Unheard", 503, RetryableError),
        ("AccessDeniedException", 400, RefusedError),
        ("ResourceNotFoundException", 400, RefusedError),
        ("ValidationException", 400, PoisonRecordError),
    ],
)
def test_errors_are_sorted_by_what_happens_next(code: str, status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"{code}\b.*why"):
        failing(code, status).put(EVENT)


@pytest.mark.parametrize(("status", "body"), [(503, "<html>"), (500, ""), (200, "<html>"), (502, "[]")])
def test_an_answer_that_is_not_dynamodbs_is_retryable(status: int, body: str) -> None:
    with pytest.raises(RetryableError, match="not DynamoDB's"):
        Answering(status, body).records.put(EVENT)


def test_without_credentials_every_put_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY":
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE":
        monkeypatch.setenv(name, "/nowhere")
    stranger = aws.DynamoDB(botocore.session.Session(), "http://127.0.0.1:9", "us-east-1")

    with pytest.raises(RefusedError, match="NoCredentialsError"):
        DynamoDBScoreRecords(stranger, "records").put(EVENT)


def test_no_answer_is_retryable() -> None:
    nobody = aws.DynamoDB(botocore.session.Session(), "http://127.0.0.1:9", "us-east-1")

    with pytest.raises(RetryableError, match="HTTPClientError"):
        DynamoDBScoreRecords(nobody, "records").put(EVENT)
