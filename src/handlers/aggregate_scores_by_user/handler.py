"""The entry point of AggregateScoresByUser."""

import os
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
from handlers.aggregate_scores_by_user.ledger import REPLAY_SECONDS, TOMBSTONE_SECONDS, Ledger
from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared import aws
from handlers.shared.batch import patience_of, respond
from handlers.shared.errors import PoisonRecordError
from handlers.shared.lambda_types import BatchResponse, DynamoDBEvent, DynamoDBRecord, LambdaContext
from handlers.shared.log import BatchLog
from handlers.shared.metrics import embedded_metrics
from handlers.shared.parking import FailureBucket, Parking, event_time, park
from handlers.shared.response import batch_response
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads, Workers

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


@dataclass(frozen=True, slots=True)
class Aggregator:
    """All that the function needs from outside."""

    table_arn: str
    """Of GameScoreRecords."""
    ledger: Ledger
    parking: Parking
    workers: Workers
    function_name: str
    metrics_namespace: str
    clock: Callable[[], float]
    """Seconds since the epoch."""

    def aggregate(self, records: list[DynamoDBRecord], patience: Patience, log: BatchLog) -> BatchResponse:
        """Count the records' changes and park those that describe none, or report the first that is not done."""
        changes: list[Change] = []
        poison: dict[int, str] = {}
        for position, record in enumerate(records):
            try:
                changes.append(change.parse(record, position, self.table_arn))
            except PoisonRecordError as error:
                poison[position] = str(error)
                withdrawn = change.withdrawal(record, position, self.table_arn)
                if withdrawn is not None:
                    changes.append(withdrawn)
        last = change.fold(changes)
        outcome = count(last.values(), self.ledger, self.workers, patience, self.clock() - REPLAY_SECONDS)
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
        made_at = [each.at for each in changes if each.at and not each.is_test]
        if made_at:
            values["Latency"] = (round((now - min(made_at)) * 1000), "Milliseconds")
        metrics = embedded_metrics(self.metrics_namespace, self.function_name, now, values)
        log.info(f"Successfully processed {done} records.", **metrics)
        return batch_response(_sequence_number(records[done]) if failed else None)

    def _park(self, records: list[DynamoDBRecord], poison: Mapping[int, str], patience: Patience) -> dict[int, str]:
        """Park the records at these positions, for these reasons; return those that could not be, and why."""

        def parked(position: int) -> str | None:
            record = records[position]
            return park(self.parking, self.function_name, record, poison[position], _made_at(record), patience)

        errors = zip(poison, self.workers.map(parked, list(poison)), strict=True)
        return {position: error for position, error in errors if error is not None}


def handler(event: DynamoDBEvent, context: LambdaContext) -> BatchResponse:
    """Bring GameScoresByUser up to date with the batch. An event that is no batch is reported as failed, whole."""
    return respond(event, context, _process)


def _process(records: list[DynamoDBRecord], context: LambdaContext, log: BatchLog) -> BatchResponse:
    aggregator, margin = _aggregator(context.function_name)
    return aggregator.aggregate(records, patience_of(context, margin), log)


@cache
def _aggregator(function_name: str) -> tuple[Aggregator, int]:
    """Return what the environment describes, and the seconds to keep; made once, since clients are slow to make."""
    settings = Settings.parse(os.environ)
    client = partial(aws.client, connections=settings.concurrency)
    ledger = DynamoDBLedger(
        client("dynamodb"),
        ledger_table=settings.ledger_table,
        totals_table=settings.totals_table,
        expires_at=lambda: int(time.time()) + TOMBSTONE_SECONDS,
    )
    aggregator = Aggregator(
        table_arn=settings.records_table_arn,
        ledger=ledger,
        parking=FailureBucket(cache(partial(client, "s3")), settings.failure_bucket),
        workers=Threads(settings.concurrency),
        function_name=function_name,
        metrics_namespace=settings.metrics_namespace,
        clock=time.time,
    )
    return aggregator, settings.margin_seconds


# A record may be anything, poison included, whatever its TypedDict says: hence `Any`.


def _body(record: Any) -> dict[str, Any]:
    body = record.get("dynamodb") if isinstance(record, dict) else None
    return body if isinstance(body, dict) else {}


def _made_at(record: DynamoDBRecord) -> float | None:
    return event_time(_body(record).get("ApproximateCreationDateTime"))


def _sequence_number(record: DynamoDBRecord) -> str:
    """Return the record's identifier in a batch response; "" for one without, which fails the batch as a whole."""
    number = _body(record).get("SequenceNumber")
    return number if isinstance(number, str) else ""
