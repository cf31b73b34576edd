"""What the contract suite cannot ask of an emulator: the answers of a DynamoDB in trouble."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError

EVENT = ScoreEvent(Decimal(7), "jane", Decimal("1234567890123456789.01234567890123456780"), "001:9")


@pytest.fixture
def client() -> Any:
    return aws.client("dynamodb", connections=1)


@pytest.fixture
def stubber(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


def test_an_event_is_one_put_whose_condition_fails_once_it_is_done(client: Any, stubber: Stubber) -> None:
    stubber.add_response(
        "put_item",
        {},
        {
            "TableName": "records",
            "Item": {
                "RecordID": {"N": "7"},
                "Username": {"S": "jane"},
                "Score": {"N": "1234567890123456789.0123456789012345678"},
                "EventPosition": {"S": "001:9"},
            },
            "ConditionExpression": "attribute_not_exists(EventPosition) OR EventPosition < :position",
            "ExpressionAttributeValues": {":position": {"S": "001:9"}},
        },
    )

    assert DynamoDBScoreRecords(client, "records").put(EVENT) is True
    stubber.assert_no_pending_responses()


def test_a_condition_that_fails_is_an_older_event_and_no_error(client: Any, stubber: Stubber) -> None:
    stubber.add_client_error("put_item", "ConditionalCheckFailedException", http_status_code=400)

    assert DynamoDBScoreRecords(client, "records").put(EVENT) is False


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
def test_errors_are_sorted_by_what_happens_next(
    code: str, status: int, error: type[Exception], client: Any, stubber: Stubber
) -> None:
    stubber.add_client_error("put_item", code, http_status_code=status)

    with pytest.raises(error, match=code):
        DynamoDBScoreRecords(client, "records").put(EVENT)


def test_no_answer_is_retryable(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def time_out(*_: Any, **__: Any) -> None:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    client.meta.events.register_first("before-send.dynamodb.PutItem", time_out)

    with pytest.raises(RetryableError, match="ReadTimeoutError"):
        DynamoDBScoreRecords(client, "records").put(EVENT)
