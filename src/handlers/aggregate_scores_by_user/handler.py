"""The entry point of AggregateScoresByUser."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from handlers.aggregate_scores_by_user import change
from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.counting import count
from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import Ledger
from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared import aws
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import BatchResponse, DynamoDBEvent, DynamoDBRecord, LambdaContext
from handlers.shared.log import BatchLog
from handlers.shared.metrics import embedded_metrics
from handlers.shared.parking import FailureBucket, Parking, moment, parked_document, parked_key
from handlers.shared.response import batch_response
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads, Workers

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


@dataclass(frozen=True, slots=True)
class Aggregator:
    """All that the function needs from outside."""

    ledger: Ledger
    parking: Parking
    workers: Workers
    function_name: str
    metrics_namespace: str
    clock: Callable[[], float]
    """Seconds since the epoch."""

    def aggregate(self, records: list[DynamoDBRecord], patience: Patience, log: BatchLog) -> BatchResponse:
        """Count the records' changes and park those that say none, or report the first that is not done."""
        changes: list[Change] = []
        poison: dict[int, str] = {}
        for position, record in enumerate(records):
            try:
                changes.append(change.parse(record, position))
            except PoisonRecordError as error:
                poison[position] = str(error)
                withdrawn = change.withdrawal(record, position)
                if withdrawn is not None:
                    changes.append(withdrawn)
        last = change.fold(changes)
        outcome = count(last.values(), self.ledger, self.workers, patience)
        poison |= outcome.uncountable
        unparked = self._park(records, poison, patience)

        # A batch is delivered again from the first record of an item that is not done, folded or not.
        first = {each.record_id: each.position for each in reversed(changes)} if outcome.unfinished else {}
        failed = {first[undone.record_id] for undone in outcome.unfinished} | unparked.keys()
        done = min(failed, default=len(records))
        if poison:
            log.warning("Found records that can never be counted", reasons=Counter(poison.values()))
        if failed:
            reasons = sorted({*outcome.reasons, *unparked.values()})
            log.error(f"Stopped at record {done + 1} of {len(records)}", reasons=reasons)
        values: dict[str, tuple[float, str]] = {
            "Records": (len(records), "Count"),
            "Applied": (outcome.applied, "Count"),
            "Duplicates": (outcome.duplicates, "Count"),
            "Folded": (len(changes) - len(last), "Count"),
            "Parked": (len(poison) - len(unparked), "Count"),
            "Failed": (len(failed), "Count"),
            "Transactions": (outcome.transactions, "Count"),
        }
        now = self.clock()
        happened = [at for at in map(_happened, records) if at is not None]
        if happened:
            values["Latency"] = (round((now - min(happened)) * 1000), "Milliseconds")
        metrics = embedded_metrics(self.metrics_namespace, self.function_name, now, values)
        log.info(f"Successfully processed {done} records.", **metrics)
        return batch_response(_sequence_number(records[done]) if failed else None)

    def _park(self, records: list[DynamoDBRecord], poison: Mapping[int, str], patience: Patience) -> dict[int, str]:
        """Park the records at these positions, for these reasons; return those that could not be, and why."""

        def park(position: int) -> str | None:
            record = records[position]
            key = parked_key(self.function_name, record, _happened(record))
            document = parked_document(self.function_name, record, poison[position])
            try:
                patience.call(lambda: self.parking.park(key, document))
            except (RetryableError, RefusedError) as error:
                return str(error)
            return None

        errors = zip(poison, self.workers.map(park, list(poison)), strict=True)
        return {position: error for position, error in errors if error is not None}


def handler(event: DynamoDBEvent, context: LambdaContext) -> BatchResponse:
    """Bring GameScoresByUser up to date with the batch. Raises ValueError for what is no batch."""
    log = BatchLog(context.aws_request_id)
    try:
        aggregator, margin = _aggregator(context.function_name)
        patience = Patience(lambda: context.get_remaining_time_in_millis() / 1000 - margin, time.sleep, random.random)
        return aggregator.aggregate(_records(event), patience, log)
    finally:
        log.write()


@cache
def _aggregator(function_name: str) -> tuple[Aggregator, int]:
    """What the environment describes, and the seconds to keep; made once, as clients are slow to make."""
    settings = Settings.parse(os.environ)
    client = partial(aws.client, connections=settings.concurrency)
    tombstone_seconds = settings.tombstone_days * 24 * 60 * 60
    ledger = DynamoDBLedger(
        client("dynamodb"),
        ledger_table=settings.ledger_table,
        totals_table=settings.totals_table,
        expires_at=lambda: int(time.time()) + tombstone_seconds,
    )
    parking = FailureBucket(cache(partial(client, "s3")), settings.failure_bucket)
    workers = Threads(settings.concurrency)
    namespace = settings.metrics_namespace
    return Aggregator(ledger, parking, workers, function_name, namespace, time.time), settings.margin_seconds


def _records(event: DynamoDBEvent) -> list[DynamoDBRecord]:
    if "Records" not in event:
        raise ValueError("The event has no Records: it is not what a DynamoDB stream delivers")
    return event["Records"]


# A record may be anything at all, poison included, whatever its TypedDict says: hence `Any`.


def _happened(record: DynamoDBRecord) -> float | None:
    body: Any = record.get("dynamodb")
    return moment(body.get("ApproximateCreationDateTime")) if isinstance(body, dict) else None


def _sequence_number(record: DynamoDBRecord) -> str:
    """The record's name in a batch response; "" for one that has none, which fails the batch as a whole."""
    body: Any = record.get("dynamodb")
    number = body.get("SequenceNumber") if isinstance(body, dict) else None
    return number if isinstance(number, str) else ""
