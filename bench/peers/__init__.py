"""What a user would pick instead of AggregateScoresByUser, each as its documentation has it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from botocore.config import Config

from handlers.shared.lambda_types import DynamoDBEvent, LambdaContext
from handlers.shared.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TOTALS = "GameScoresByUser"
LEDGER = "GameScoreLedger"
IDEMPOTENCY = "Idempotency"

Handler = Callable[[DynamoDBEvent, LambdaContext], Any]


class Peer(NamedTuple):
    """A way to keep the totals."""

    name: str
    client: "Callable[[], DynamoDBClient]"
    handler: "Callable[[DynamoDBClient, Workers], Handler]"


def usual_client() -> "DynamoDBClient":
    """The client that everybody makes, with room for 32 calls at once."""
    return boto3.client("dynamodb", config=Config(max_pool_connections=32))


def add(username: str, score: str) -> Any:
    """UpdateItem's arguments: a score to add to a user's total."""
    return {
        "TableName": TOTALS,
        "Key": {"Username": {"S": username}},
        "UpdateExpression": "ADD Score :score",
        "ExpressionAttributeValues": {":score": {"N": score}},
    }
