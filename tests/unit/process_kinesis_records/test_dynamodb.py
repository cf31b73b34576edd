"""What the contract suite cannot ask of an emulator: the answers of a DynamoDB in trouble."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from botocore.stub import Stubber

from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError

EVENTS = [ScoreEvent(Decimal(number), "jane", Decimal("1.50")) for number in (7, 8, 9)]


@pytest.fixture
def client() -> Any:
    return aws.client("dynamodb", connections=1)


@pytest.fixture
def stubber(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber


def test_what_was_left_unprocessed_is_returned(client: Any, stubber: Stubber) -> None:
    left = {"PutRequest": {"Item": {"RecordID": {"N": "8"}, "Username": {"S": "jane"}, "Score": {"N": "1.5"}}}}
    stubber.add_response("batch_write_item", {"UnprocessedItems": {"records": [left]}})

    assert DynamoDBScoreRecords(client, "records").put(EVENTS) == EVENTS[1:2]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ProvisionedThroughputExceededException", RetryableError),
        ("AccessDeniedException", RefusedError),
        ("ResourceNotFoundException", RefusedError),
    ],
)
def test_errors_are_sorted_by_what_happens_next(
    code: str, error: type[Exception], client: Any, stubber: Stubber
) -> None:
    stubber.add_client_error("batch_write_item", code, http_status_code=400)

    with pytest.raises(error, match=code):
        DynamoDBScoreRecords(client, "records").put(EVENTS)
