"""In-batch coalescing: the scores of a batch summed up by user, and one plain ADD a user.

As in https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html (ADD), with an
error that ends the batch, so that Lambda delivers it again.
"""

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from bench.peers import Handler, Peer, add, usual_client
from handlers.shared.lambda_types import DynamoDBEvent, LambdaContext
from handlers.shared.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def sums(event: DynamoDBEvent) -> dict[str, Decimal]:
    """What the batch adds to each user. A delete has no image to tell what it takes."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for record in event["Records"]:
        if record["eventName"] != "REMOVE":
            image = record["dynamodb"]["NewImage"]
            totals[image["Username"]["S"]] += Decimal(image["Score"]["N"])
    return totals


def handler(client: "DynamoDBClient", workers: Workers) -> Handler:
    """The function."""

    def update(total: tuple[str, Decimal]) -> None:
        username, score = total
        client.update_item(**add(username, str(score)))

    def handle(event: DynamoDBEvent, context: LambdaContext) -> Any:  # noqa: ARG001
        list(workers.map(update, list(sums(event).items())))
        return {"batchItemFailures": []}

    return handle


PEER = Peer("coalescing, plain ADD", usual_client, handler)
