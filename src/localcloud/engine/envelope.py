"""The document that tells an OnFailure destination of a batch given up.

Shape: https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import time
import uuid
from typing import Any

from localcloud.engine.delivery import Piece
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import DeadLetter, Invocation
from localcloud.engine.record import event

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
AGE_EXCEEDED = "RecordAgeExceeded"


def dead_letter(
    mapping: Mapping,
    shard_id: str,
    piece: Piece,
    now: float,
    invocation: Invocation | None,
    letter_id: uuid.UUID,
) -> DeadLetter:
    """The letter for a piece: of its last invocation when retries ran out, of none when it grew too old."""
    first, last = piece.records[0], piece.records[-1]
    kinesis = mapping.service == "kinesis"
    metadata: dict[str, Any] = {
        "requestContext": {
            "requestId": invocation.request_id if invocation else str(letter_id),
            "functionArn": mapping.function_arn,
            "condition": RETRIES_EXHAUSTED if invocation else AGE_EXCEEDED,
            "approximateInvokeCount": piece.invokes,
        },
    }
    if invocation:
        metadata["responseContext"] = {
            "statusCode": 200,
            "executedVersion": invocation.version,
            "functionError": invocation.error,
        }
    metadata |= {
        "version": "1.0",
        "timestamp": _iso(now, milliseconds=True),
        "KinesisBatchInfo" if kinesis else "DDBStreamBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": first.sequence,
            "endSequenceNumber": last.sequence,
            "approximateArrivalOfFirstRecord": _iso(first.arrived, milliseconds=kinesis),
            "approximateArrivalOfLastRecord": _iso(last.arrived, milliseconds=kinesis),
            "batchSize": len(piece.records),
            "streamArn": mapping.source_arn,
        },
    }
    when = time.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S", time.gmtime(now))
    key = f"aws/lambda/{mapping.uuid}/{shard_id}/{when}-{letter_id}"
    return DeadLetter(metadata, event(piece.records), key)


def _iso(seconds: float, *, milliseconds: bool) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    fraction = f".{thousandths:03d}" if milliseconds else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + fraction + "Z"
