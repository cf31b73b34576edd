"""GameScoreRecords in DynamoDB: the only module of this function that talks to it."""

from typing import TYPE_CHECKING

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws, decimals
from handlers.shared.errors import PoisonRecordError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Strictly less: no write's condition still holds after that write, so a retry of any kind changes nothing.
_IS_LATER = "attribute_not_exists(EventPosition) OR EventPosition < :position"


class DynamoDBScoreRecords:
    """ScoreRecords in a table."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def put(self, event: ScoreEvent, /) -> bool:
        """See ScoreRecords. No answer to a call, as after a timeout, is a RetryableError."""
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "RecordID": {"N": decimals.canonical(event.record_id)},
                    "Username": {"S": event.username},
                    "Score": {"N": decimals.canonical(event.score)},
                    "EventPosition": {"S": event.position},
                },
                ConditionExpression=_IS_LATER,
                ExpressionAttributeValues={":position": {"S": event.position}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except aws.AWS_ERRORS as error:
            if aws.code(error) == "ValidationException":
                raise PoisonRecordError(f"DynamoDB refuses the item: {error}") from error
            raise aws.classify(error) from error
        return True
