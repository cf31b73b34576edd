"""Powertools for AWS Lambda: the batch processor, and every record behind its idempotency utility, keyed by eventID.

https://docs.aws.amazon.com/powertools/python/latest/utilities/batch/ and
https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/#batch-integration
"""

from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function

from bench.peers import IDEMPOTENCY, Handler, Peer, add, usual_client
from handlers.shared.lambda_types import DynamoDBEvent, LambdaContext
from handlers.shared.workers import Workers

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_REMEMBERED_SECONDS = 24 * 60 * 60  # as long as the stream may deliver a record again; its default is an hour


def handler(client: "DynamoDBClient", workers: Workers) -> Handler:  # noqa: ARG001
    """The function. Its processor takes one record after the other; several at once is for async code alone."""
    config = IdempotencyConfig(event_key_jmespath="eventID", expires_after_seconds=_REMEMBERED_SECONDS)
    store = DynamoDBPersistenceLayer(IDEMPOTENCY, boto3_client=client)
    processor = BatchProcessor(EventType.DynamoDBStreams, raise_on_entire_batch_failure=False)

    def add_score(*, change: dict[str, Any]) -> None:
        image = change["dynamodb"]["NewImage"]
        client.update_item(**add(image["Username"]["S"], image["Score"]["N"]))

    count: Any = idempotent_function(add_score, data_keyword_argument="change", config=config, persistence_store=store)

    def record_handler(record: DynamoDBRecord) -> None:
        if record.raw_event["eventName"] != "REMOVE":  # it has no image to tell what it takes
            count(change=record.raw_event)

    def handle(event: DynamoDBEvent, context: LambdaContext) -> Any:
        config.register_lambda_context(cast(Any, context))
        return process_partial_response(
            event=cast(dict[str, Any], event),
            record_handler=record_handler,
            processor=processor,
            context=cast(Any, context),
        )

    return handle


PEER = Peer("Powertools batch + idempotency", usual_client, handler)
