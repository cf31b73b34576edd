"""GameScoreRecords in DynamoDB: the only module of this function that talks to it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws, decimals

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef


class DynamoDBScoreRecords:
    """ScoreRecords in a table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, events: Sequence[ScoreEvent], /) -> Sequence[ScoreEvent]:
        """See ScoreRecords. No answer to a call, as after a timeout, is a RetryableError."""
        try:
            response = self._client.batch_write_item(RequestItems={self._table: [_put(event) for event in events]})
        except aws.AWS_ERRORS as error:
            raise aws.sort(error) from error
        unprocessed = {
            Decimal(request["PutRequest"]["Item"]["RecordID"]["N"])
            for request in response.get("UnprocessedItems", {}).get(self._table, [])
        }
        return [event for event in events if event.record_id in unprocessed]


def _put(event: ScoreEvent) -> "WriteRequestTypeDef":
    return {
        "PutRequest": {
            "Item": {
                "RecordID": {"N": decimals.spell(event.record_id)},
                "Username": {"S": event.username},
                "Score": {"N": decimals.spell(event.score)},
            }
        }
    }
