"""AggregateScoresByUser, as its handler puts it together."""

import io
import random
import time
from typing import TYPE_CHECKING, Any

from bench.peers import LEDGER, TOTALS, Handler, Peer
from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.handler import Aggregator
from handlers.aggregate_scores_by_user.ledger import TOMBSTONE_SECONDS
from handlers.shared import aws
from handlers.shared.lambda_types import DynamoDBEvent, LambdaContext
from handlers.shared.log import BatchLog
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers
from tests.fakes.invocation import InMemoryParking
from tests.fakes.stream import TABLE_ARN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def handler(client: "DynamoDBClient", workers: Workers, ledger_of: type[DynamoDBLedger] = DynamoDBLedger) -> Handler:
    """The function, with parking in memory."""
    ledger = ledger_of(
        client,
        ledger_table=LEDGER,
        totals_table=TOTALS,
        expires_at=lambda: int(time.time()) + TOMBSTONE_SECONDS,
    )
    parking = InMemoryParking()
    aggregator = Aggregator(TABLE_ARN, ledger, parking, workers, "AggregateScoresByUser", "GameScores", time.time)

    def handle(event: DynamoDBEvent, context: LambdaContext) -> Any:
        log = BatchLog(context.aws_request_id, stream=io.StringIO())
        patience = Patience(lambda: context.get_remaining_time_in_millis() / 1000, time.sleep, random.random)
        try:
            return aggregator.aggregate(event["Records"], patience, log)
        finally:
            log.write()

    return handle


PEER = Peer("this repository", lambda: aws.client("dynamodb", connections=32), handler)
