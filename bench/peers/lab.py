"""The lab's function, in Python: an UpdateItem for each record, all at once, failures only logged.

Its frame: https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html; the rest is as the lab's code behaves. A
record without an image ends the batch, as it does there.
"""

import logging
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from bench.peers import Handler, Peer, add, usual_client
from handlers.shared.lambda_types import DynamoDBEvent, DynamoDBRecord, LambdaContext
from handlers.shared.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

log = logging.getLogger(__name__)


def handler(client: "DynamoDBClient", workers: Workers) -> Handler:
    """The function."""

    def update(record: DynamoDBRecord) -> None:
        image = record["dynamodb"]["NewImage"]
        try:
            client.update_item(**add(image["Username"]["S"], image["Score"]["N"]))
        except (BotoCoreError, ClientError) as error:
            log.debug("Error: %s", error)

    def handle(event: DynamoDBEvent, context: LambdaContext) -> Any:  # noqa: ARG001
        list(workers.map(update, event["Records"]))
        return f"Successfully processed {len(event['Records'])} records."

    return handle


PEER = Peer("the lab's function", usual_client, handler)
