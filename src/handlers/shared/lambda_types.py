"""The events that Lambda delivers to a function, and the response that it expects.

Shapes: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-example.html,
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html and, for the response,
https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
"""

from typing import Any, NotRequired, Protocol, TypedDict


class LambdaContext(Protocol):
    """The part of Lambda's context object that the functions use."""

    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""


class KinesisPayload(TypedDict):
    """`data` is base64; `approximateArrivalTimestamp` is in seconds since the epoch."""

    data: str
    partitionKey: str
    sequenceNumber: str
    approximateArrivalTimestamp: float
    kinesisSchemaVersion: str


class KinesisRecord(TypedDict):
    """One record of a Kinesis stream. `eventID` is `<shard id>:<sequence number>`."""

    eventID: str
    eventSource: str
    eventSourceARN: str
    kinesis: KinesisPayload


class KinesisEvent(TypedDict):
    """A batch, of one shard, in order."""

    Records: list[KinesisRecord]


AttributeValue = dict[str, Any]
"""A DynamoDB attribute in its wire form: `{"S": "jane"}`, `{"N": "42"}`."""


class StreamRecord(TypedDict):
    """One change of one item. `NewImage` is absent for REMOVE; creation time is in seconds, as a float."""

    ApproximateCreationDateTime: NotRequired[float]
    Keys: dict[str, AttributeValue]
    NewImage: NotRequired[dict[str, AttributeValue]]
    SequenceNumber: str
    SizeBytes: NotRequired[int]
    StreamViewType: str


class DynamoDBRecord(TypedDict):
    """One record of a table's stream. `eventName` is INSERT, MODIFY or REMOVE."""

    eventID: str
    eventName: str
    eventSource: str
    eventSourceARN: str
    dynamodb: StreamRecord


class DynamoDBEvent(TypedDict):
    """A batch, of one shard, in order."""

    Records: list[DynamoDBRecord]


class BatchItemFailure(TypedDict):
    """`itemIdentifier` is a sequence number of the batch."""

    itemIdentifier: str


class BatchResponse(TypedDict):
    """A partial batch response: the lowest sequence number reported is delivered again, with all after it."""

    batchItemFailures: list[BatchItemFailure]
