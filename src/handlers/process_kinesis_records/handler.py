"""The entry point of ProcessKinesisRecords."""

import os
from collections.abc import Mapping
from functools import cache

from handlers.process_kinesis_records.payload import Fields, UndecodableError, decode, score_fields
from handlers.shared.log import BatchLog
from handlers.shared.response import batch_response

TYPE_CHECKING = False  # see payload
if TYPE_CHECKING:
    from handlers.process_kinesis_records.ingestion import Ingestor
    from handlers.process_kinesis_records.settings import Settings
    from handlers.shared.lambda_types import BatchResponse, KinesisEvent, KinesisRecord, LambdaContext

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


def handler(event: "KinesisEvent", context: "LambdaContext") -> "BatchResponse":
    """Log `Decoded payload: <text>` for each record, and store the score events among them.

    A payload that is not text fails nothing. RECORDS_TABLE says where to store; without it nothing is stored.
    """
    log = BatchLog(context.aws_request_id)
    ingests = "RECORDS_TABLE" in os.environ
    found: dict[int, Fields] = {}
    try:
        for position, record in enumerate(event["Records"]):
            data = record["kinesis"]["data"]
            try:
                payload = decode(data)
            except UndecodableError as error:
                log.warning(f"Payload {error}: {data}", eventID=record.get("eventID"))
                continue
            log.info(f"Decoded payload: {payload}")
            if ingests and (fields := score_fields(payload)) is not None:
                found[position] = fields
        if found:
            return _ingest(event["Records"], found, context, log)
        log.info(f"Successfully processed {len(event['Records'])} records.")
        return batch_response()
    finally:
        log.write()


# What is imported from here on costs several times what logging does, so it waits for the first score event.


def _ingest(
    records: "list[KinesisRecord]", found: Mapping[int, Fields], context: "LambdaContext", log: BatchLog
) -> "BatchResponse":
    """Store what was found at these positions, or report the first that is neither stored nor parked."""
    import random
    import time

    from handlers.shared.metrics import embedded_metrics
    from handlers.shared.retrying import Patience

    ingestor, settings = _ingestor(context.function_name)
    margin = settings.margin_seconds
    patience = Patience(lambda: context.get_remaining_time_in_millis() / 1000 - margin, time.sleep, random.random)
    outcome = ingestor.ingest(records, found, patience)
    done = min(outcome.unfinished, default=len(records))
    if outcome.poison:
        log.warning("Found score events that can never be stored", reasons=outcome.poison)
    if outcome.unfinished:
        log.error(f"Stopped at record {done + 1} of {len(records)}", reasons=sorted(outcome.reasons))
    metrics = embedded_metrics(settings.metrics_namespace, context.function_name, time.time(), outcome.metrics)
    log.info(f"Successfully processed {done} records.", **metrics)
    return batch_response(records[done]["kinesis"]["sequenceNumber"] if outcome.unfinished else None)


@cache
def _ingestor(function_name: str) -> "tuple[Ingestor, Settings]":
    """What the environment describes; made once, as clients are slow to make."""
    from functools import partial

    from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
    from handlers.process_kinesis_records.ingestion import Ingestor
    from handlers.process_kinesis_records.settings import Settings
    from handlers.shared import aws
    from handlers.shared.parking import FailureBucket

    settings = Settings.parse(os.environ)
    client = partial(aws.client, connections=1)
    parking = FailureBucket(cache(partial(client, "s3")), settings.failure_bucket)
    records = DynamoDBScoreRecords(client("dynamodb"), settings.records_table)
    return Ingestor(records, parking, function_name), settings
