"""GameScoreRecords in DynamoDB: the only module of this function that talks to it."""

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws, decimals
from handlers.shared.errors import PoisonRecordError

# Strictly less: no write's condition still holds after that write, so a retry of any kind changes nothing.
_IS_LATER = "attribute_not_exists(EventPosition) OR EventPosition < :position"


class DynamoDBScoreRecords:
    """ScoreRecords in a table."""

    def __init__(self, dynamodb: aws.DynamoDB, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def put(self, event: ScoreEvent, /) -> bool:
        """See ScoreRecords. No answer to a call, as after a timeout, is a RetryableError."""
        position = {"S": event.position}
        request = {
            "TableName": self._table,
            "Item": {
                "RecordID": {"N": decimals.spell(event.record_id)},
                "Username": {"S": event.username},
                "Score": {"N": decimals.spell(event.score)},
                "EventPosition": position,
            },
            "ConditionExpression": _IS_LATER,
            "ExpressionAttributeValues": {":position": position},
        }
        try:
            self._dynamodb.call("PutItem", request)
        except aws.AWS_ERRORS as error:
            match aws.code(error):
                case "ConditionalCheckFailedException":
                    return False
                case "ValidationException":
                    raise PoisonRecordError(f"DynamoDB refuses the item: {error}") from error
                case _:
                    raise aws.sort(error) from error
        return True
