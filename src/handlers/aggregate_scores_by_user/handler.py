"""The entry point of AggregateScoresByUser."""

import os
from functools import cache
from typing import Protocol

import boto3

from handlers.aggregate_scores_by_user.change import Score, inserted_score
from handlers.aggregate_scores_by_user.dynamodb import DynamoDBTotals
from handlers.shared.errors import PoisonRecordError, RetryableError
from handlers.shared.lambda_types import (
    BatchResponse,
    DynamoDBEvent,
    DynamoDBRecord,
    LambdaContext,
    batch_response,
)
from handlers.shared.log import BatchLog

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


class Totals(Protocol):
    """The users' totals."""

    def add(self, score: Score) -> None:
        """Add a score to its user's total, or raise RetryableError."""


def handler(event: DynamoDBEvent, context: LambdaContext) -> BatchResponse:
    """Add each inserted Score of the batch to its user's total in GameScoresByUser."""
    log = BatchLog(context.aws_request_id)
    try:
        return aggregate(event["Records"], _totals(), log)
    finally:
        log.write()


def aggregate(records: list[DynamoDBRecord], totals: Totals, log: BatchLog) -> BatchResponse:
    """Add what the records bring, up to the first that cannot be stored now, which is reported."""
    for done, record in enumerate(records):
        sequence_number = record["dynamodb"]["SequenceNumber"]
        try:
            score = inserted_score(record)
            if score is not None:
                totals.add(score)
        except PoisonRecordError as error:
            log.error(f"Record skipped: {error}", record=record)
        except RetryableError as error:
            log.warning(f"Stopped after {done} records: {error}", sequenceNumber=sequence_number)
            return batch_response(sequence_number)
    log.info(f"Successfully processed {len(records)} records.")
    return batch_response()


@cache
def _totals() -> Totals:
    return DynamoDBTotals(boto3.client("dynamodb"), os.environ["TOTALS_TABLE"])
