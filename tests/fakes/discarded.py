"""The object that AWS puts into a bucket for a discarded batch, written by hand: it shares no code with ours.

The fields, their formats, and `payload` as an escaped JSON string are those of the examples "Amazon S3 invocation
record" at https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html and
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html.
"""

import json
from collections.abc import Sequence
from typing import Any

FUNCTION_ARN = "arn:aws:lambda:us-east-1:123456789012:function:AggregateScoresByUser:live"
DYNAMODB_STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/GameScoreRecords/stream/2025-11-23T00:00:00.000"
KINESIS_STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"
KEY = (
    "aws/lambda/0fca9bb4-9d72-4b0b-8ff5-9d6f5a0d4b3e/shardId-00000001795392000000-864758bb/"
    "2025/11/23/2025-11-23T10.00.00-2b3c5a0e-62b6-4f0b-9c8e-1c9f5a0d4b3e"
)


def dynamodb_invocation_record(
    records: Sequence[Any], function_arn: str = FUNCTION_ARN, stream_arn: str = DYNAMODB_STREAM, **fields: Any
) -> dict[str, Any]:
    """A batch of a table's stream; `fields` replace those of the document."""
    return _document(function_arn, records) | {
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001795392000000-864758bb",
            "startSequenceNumber": "800000000003126276362",
            "endSequenceNumber": "800000000003126276399",
            "approximateArrivalOfFirstRecord": "2025-11-23T09:58:19Z",
            "approximateArrivalOfLastRecord": "2025-11-23T09:58:20Z",
            "batchSize": len(records),
            "streamArn": stream_arn,
        },
        "payload": json.dumps({"Records": records}),
        **fields,
    }


def kinesis_invocation_record(records: Sequence[Any], **fields: Any) -> dict[str, Any]:
    """A batch of a Kinesis stream; `fields` replace those of the document."""
    return _document(FUNCTION_ARN, records) | {
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000001",
            "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
            "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
            "approximateArrivalOfFirstRecord": "2025-11-23T09:58:19.835Z",
            "approximateArrivalOfLastRecord": "2025-11-23T09:58:20.580Z",
            "batchSize": len(records),
            "streamArn": KINESIS_STREAM,
        },
        "payload": json.dumps({"Records": records}),
        **fields,
    }


def _document(function_arn: str, records: Sequence[Any]) -> dict[str, Any]:
    return {
        "requestContext": {
            "requestId": "316aa6d0-8154-4f0b-9af7-85d5f4a6bc81",
            "functionArn": function_arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2025-11-23T10:00:00.021Z",
    }
