"""Coalescing, made idempotent by a hash of the batch as ClientRequestToken, which DynamoDB remembers for 10 minutes.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

import hashlib
from typing import TYPE_CHECKING, Any

from bench.peers import Handler, Peer, add, usual_client
from bench.peers.coalescing import sums
from handlers.shared.lambda_types import DynamoDBEvent, LambdaContext
from handlers.shared.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_ITEMS, _TOKEN = 100, 36


def handler(client: "DynamoDBClient", workers: Workers) -> Handler:
    """The function. No two of its transactions are of one user, so they may run at once."""

    def handle(event: DynamoDBEvent, context: LambdaContext) -> Any:  # noqa: ARG001
        batch = hashlib.sha256("".join(record["eventID"] for record in event["Records"]).encode()).hexdigest()
        adds: list[TransactWriteItemTypeDef] = [
            {"Update": add(username, str(score))} for username, score in sums(event).items()
        ]
        parts = [adds[at : at + _ITEMS] for at in range(0, len(adds), _ITEMS)]

        def commit(part: int) -> None:
            token = hashlib.sha256(f"{batch} {part}".encode()).hexdigest()[:_TOKEN]
            client.transact_write_items(TransactItems=parts[part], ClientRequestToken=token)

        list(workers.map(commit, range(len(parts))))
        return {"batchItemFailures": []}

    return handle


PEER = Peer("batch hash as token", usual_client, handler)
