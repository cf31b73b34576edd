"""Invocation records: the JSON documents that Lambda sends to on-failure destinations, one per discarded batch.

The engine writes them; `make failures` and `make redrive` read them. Their shape, and their keys in S3:
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html and
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html

Queues and topics get the metadata alone. A bucket gets `payload` too, which holds the event of the batch as an escaped
JSON string: a JSON string whose content is JSON. Readers accept an object in its place, which is what functions of
this repository write for the records that they park (handlers.shared.parking).
"""

import json
import time
import uuid
from collections.abc import Mapping as Document
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localcloud.engine.delivery import Batch
from localcloud.engine.mapping import Mapping
from localcloud.engine.record import Record, event

if TYPE_CHECKING:
    from localcloud.engine.ports import Invocation

PREFIX = "aws/lambda/"
"""Of the keys of all invocation records in S3."""

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
AGE_EXCEEDED = "RecordAgeExceeded"


class UnreadableError(ValueError):
    """A document whose records cannot be read. The message says why."""


@dataclass(frozen=True, slots=True)
class InvocationRecord:
    """The metadata of a discarded batch and, for S3 alone, its event and the key of the object."""

    metadata: dict[str, Any]
    event: bytes
    key: str

    def with_payload(self) -> str:
        """Return the document that S3 gets."""
        return json.dumps({**self.metadata, "payload": self.event.decode()})


def invocation_record(
    mapping: Mapping,
    shard_id: str,
    batch: Batch[Record],
    now: float,
    invocation: "Invocation | None",
    record_id: uuid.UUID,
) -> InvocationRecord:
    """Describe a batch discarded after its last invocation, or because it grew too old (no invocation)."""
    first, last = batch.records[0], batch.records[-1]
    kinesis = mapping.service == "kinesis"
    metadata: dict[str, Any] = {
        "requestContext": {
            "requestId": invocation.request_id if invocation else str(record_id),
            "functionArn": mapping.function_arn,
            "condition": RETRIES_EXHAUSTED if invocation else AGE_EXCEEDED,
            # AWS counts 1 for a batch that expired before any invocation: LocalStack recorded it, in
            # test_kinesis_maximum_record_age_exceeded[expire-before-ingestion].
            "approximateInvokeCount": max(batch.invokes, 1),
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
            "batchSize": len(batch.records),
            "streamArn": mapping.source_arn,
        },
    }
    when = time.strftime("%Y/%m/%d/%Y-%m-%dT%H.%M.%S", time.gmtime(now))
    key = f"{PREFIX}{mapping.uuid}/{shard_id}/{when}-{record_id}"
    return InvocationRecord(metadata, event(record.body for record in batch.records), key)


def parse(body: bytes) -> dict[str, Any]:
    """Parse a document of a bucket. Raises UnreadableError."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"the object is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise UnreadableError("the object is not a JSON object")
    return document


def records(document: Document[str, Any]) -> list[Any]:
    """Return the records in the payload of a document, be it a string or an object. Raises UnreadableError."""
    found = _event(document)["Records"]
    if not isinstance(found, list):
        raise UnreadableError("the Records of the payload are not a list")
    return found


def with_records(document: Document[str, Any], remaining: Sequence[Any]) -> dict[str, Any]:
    """Return the document with these records in the place of its own, and its payload in the form that it had.

    Raises UnreadableError.
    """
    payload = {**_event(document), "Records": list(remaining)}
    return {**document, "payload": json.dumps(payload) if isinstance(document["payload"], str) else payload}


def function_name(document: Document[str, Any]) -> str:
    """Return the name of the function that the batch was discarded for; "" when the document does not say."""
    # arn:<partition>:lambda:<region>:<account>:function:<name>[:<qualifier>]
    return (str(_at(document, "requestContext", "functionArn")).split(":") + [""] * 7)[6]


def reason(document: Document[str, Any]) -> str:
    """Say why the batch was discarded; "" when the document is not an invocation record."""
    condition = _at(document, "requestContext", "condition")
    if not condition:
        return ""
    invocations = _at(document, "requestContext", "approximateInvokeCount")
    # A batch that was too old has no responseContext; one that the function reported has no functionError.
    error = _at(document, "responseContext", "functionError")
    reported = "responseContext" in document
    return f"{condition} after {invocations} invocations" + (
        f": {error}" if error else ": reported by the function" if reported else ""
    )


def discarded_at(document: Document[str, Any]) -> datetime | None:
    """Return when Lambda discarded the batch; None when the document does not say."""
    return read_time(document.get("timestamp"))


def read_time(value: Any) -> datetime | None:
    """Return the moment that ISO 8601 text means, in UTC, also where it names no zone; None for anything else."""
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):  # the year 1, east of Greenwich, began before any year
        return None


def _event(document: Document[str, Any]) -> dict[str, Any]:
    if "payload" not in document:
        raise UnreadableError("it has no payload")
    payload = document["payload"]
    if isinstance(payload, str):
        try:
            payload = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise UnreadableError(f"the payload is not JSON ({error})") from None
    if not isinstance(payload, dict) or "Records" not in payload:
        raise UnreadableError("the payload is not an event with Records")
    return payload


def _at(document: Document[str, Any], outer: str, inner: str) -> Any:
    context = document.get(outer)
    return context.get(inner) if isinstance(context, dict) else None


def _iso(seconds: float, *, milliseconds: bool) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    fraction = f".{thousandths:03d}" if milliseconds else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + fraction + "Z"
