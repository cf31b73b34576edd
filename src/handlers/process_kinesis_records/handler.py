"""The entry point of ProcessKinesisRecords."""

from handlers.process_kinesis_records.payload import Undecodable, decode
from handlers.shared.lambda_types import BatchResponse, KinesisEvent, LambdaContext, batch_response
from handlers.shared.log import BatchLog

_loading = BatchLog(request_id=None)
_loading.info("Loading function")
_loading.write()


def handler(event: KinesisEvent, context: LambdaContext) -> BatchResponse:
    """Log `Decoded payload: <text>` for each record; a payload that is not text fails nothing."""
    log = BatchLog(context.aws_request_id)
    for record in event["Records"]:
        payload = decode(record["kinesis"]["data"])
        if isinstance(payload, Undecodable):
            log.warning(f"Payload {payload.reason}: {payload.data}", eventID=record.get("eventID"))
        else:
            log.info(f"Decoded payload: {payload}")
    log.info(f"Successfully processed {len(event['Records'])} records.")
    log.write()
    return batch_response()
