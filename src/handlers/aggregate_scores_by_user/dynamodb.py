"""The only module of this function that talks to AWS."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from handlers.aggregate_scores_by_user.change import Score
from handlers.shared.errors import RetryableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDBTotals:
    """The totals in GameScoresByUser."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def add(self, score: Score) -> None:
        """Add a score to its user's total. Raises RetryableError when DynamoDB did not take it."""
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"Username": {"S": score.username}},
                UpdateExpression="ADD Score :score",
                ExpressionAttributeValues={":score": {"N": format(score.score, "f")}},
            )
        except ClientError as error:
            raise RetryableError(str(error)) from error
