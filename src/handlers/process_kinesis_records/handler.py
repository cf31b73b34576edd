"""The entry point of ProcessKinesisRecords."""

import json
import os
from collections.abc import Mapping
from functools import cache

from handlers.process_kinesis_records.payload import Fields, UndecodableError, decode, score_fields
from handlers.shared.batch import patience_of, respond
from handlers.shared.log import BatchLog
from handlers.shared.response import batch_response, reportable

TYPE_CHECKING = False  # see payload
if TYPE_CHECKING:
    from typing import Any

    from handlers.process_kinesis_records.ingestion import Ingestor
    from handlers.process_kinesis_records.settings import Settings
    from handlers.shared.lambda_types import BatchResponse, KinesisEvent, KinesisRecord, LambdaContext

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


def handler(event: "KinesisEvent", context: "LambdaContext") -> "BatchResponse":
    """Log `Decoded payload: <text>` for each record, and store the score events among them.

    A payload that is not text fails nothing. RECORDS_TABLE says where to store; without it nothing is stored.
    No event raises: one that is no batch fails as a whole. Raises SettingsError when a score event is to be stored
    and the environment does not say how.
    """
    return respond(event, context, _process)


def _process(records: "list[Any]", context: "LambdaContext", log: BatchLog) -> "BatchResponse":
    ingests = "RECORDS_TABLE" in os.environ
    found: dict[int, Fields] = {}
    failed: set[int] = set()
    for index, record in enumerate(records):
        data = _data(record)
        if data is None:
            try:
                log.warning(f"Found a record without data: {json.dumps(record)}")
            except (RecursionError, ValueError):  # nested too deeply, or with a number of too many digits
                log.error(f"Record {index + 1} of {len(records)} has no data, and cannot be logged")
                failed.add(index)
            continue
        try:
            payload = decode(data)
        except UndecodableError as error:
            log.warning(f"Payload {error}: {data}", eventID=_event_id(record))
            continue
        log.info(f"Decoded payload: {payload}")
        if ingests and (fields := score_fields(payload)) is not None:
            found[index] = fields
    metrics = _ingest(records, found, failed, context, log) if found else {}
    done = min(failed, default=len(records))
    log.info(f"Successfully processed {done} records.", **metrics)
    return batch_response(_sequence_number(records[done]) if failed else None)


# An event may be anything at all, whatever its TypedDict says: hence `Any`.


def _data(record: "Any") -> str | None:
    body = record.get("kinesis") if isinstance(record, dict) else None
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, str) else None


def _event_id(record: "Any") -> str | None:
    event_id = record.get("eventID")
    return event_id if isinstance(event_id, str) else None


def _sequence_number(record: "Any") -> str:
    body = record.get("kinesis") if isinstance(record, dict) else None
    return reportable(body.get("sequenceNumber") if isinstance(body, dict) else None)


# What is imported from here on costs several times what logging does, so it waits for the first score event.


def _ingest(
    records: "list[KinesisRecord]",
    found: Mapping[int, Fields],
    failed: set[int],
    context: "LambdaContext",
    log: BatchLog,
) -> "dict[str, Any]":
    """Store what was found at these indexes; add to `failed` those neither stored nor parked. Returns log fields."""
    import time

    from handlers.shared.metrics import embedded_metrics

    ingestor, settings = _ingestor(context.function_name)
    outcome = ingestor.ingest(records, found, patience_of(context, settings.margin_seconds))
    failed |= outcome.unfinished
    if outcome.poison:
        log.warning("Found score events that can never be stored", reasons=outcome.poison)
    if outcome.unfinished:
        log.error(f"Stopped at record {min(failed) + 1} of {len(records)}", reasons=sorted(outcome.reasons))
    return embedded_metrics(settings.metrics_namespace, context.function_name, time.time(), outcome.metrics)


@cache
def _ingestor(function_name: str) -> "tuple[Ingestor, Settings]":
    """What the environment describes; made once, as clients are slow to make."""
    from functools import partial

    from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
    from handlers.process_kinesis_records.ingestion import Ingestor
    from handlers.process_kinesis_records.settings import Settings
    from handlers.shared import aws
    from handlers.shared.parking import FailureBucket
    from handlers.shared.workers import Threads

    settings = Settings.parse(os.environ)
    client = partial(aws.client, connections=settings.concurrency)
    parking = FailureBucket(cache(partial(client, "s3")), settings.failure_bucket)
    records = DynamoDBScoreRecords(client("dynamodb"), settings.records_table)
    workers = Threads(settings.concurrency)
    return Ingestor(records, parking, workers, function_name, settings.stream_arn), settings
