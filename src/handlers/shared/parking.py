"""Parking poison records in the failure bucket, from which `make redrive` replays them."""

import json
import re
from collections.abc import Callable, Mapping
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, Protocol

from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PARKED = "parked/"
"""Prefix of the keys of parked records."""

_FAR_FUTURE = 1e11
_EVENT_ID = re.compile(r"[\w.:-]{1,200}", re.ASCII)


class Parking(Protocol):
    """A store for poison records."""

    def park(self, key: str, document: str) -> None:
        """Store the document under the key, replacing any other. Raises RetryableError or RefusedError."""


class FailureBucket:
    """Parking in S3. `client` is called when the first record is parked, which is hardly ever."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def park(self, key: str, document: str) -> None:
        """See Parking."""
        try:
            self._client().put_object(
                Bucket=self._bucket, Key=key, Body=document.encode(), ContentType="application/json"
            )
        except aws.AWS_ERRORS as error:
            raise aws.classify(error) from error


def park(
    parking: Parking, function_name: str, record: Any, reason: str, happened: float | None, patience: Patience
) -> str | None:
    """Park a record that can never be processed, for this reason; return why it could not be, None when it is.

    `happened` is in epoch seconds.
    """
    try:
        key = parked_key(function_name, record, happened)
        document = parked_document(function_name, record, reason)
    except (RecursionError, ValueError) as error:  # nested too deeply, or with a number of too many digits
        return f"A record cannot be written as JSON: {error}"
    try:
        patience.call(lambda: parking.park(key, document))
    except (RetryableError, RefusedError) as error:
        return str(error)
    return None


def event_time(value: Any) -> float | None:
    """Return a record's time in epoch seconds; None when the value is not a time, as in an event made by hand."""
    return value if isinstance(value, int | float) and 0 <= value < _FAR_FUTURE else None


def parked_key(function_name: str, record: Any, happened: float | None) -> str:
    """`parked/<function>/<day it happened, UTC>/<eventID>.json`: the same however often it is delivered.

    `happened` is in epoch seconds. A record without a usable eventID goes by its own hash.
    """
    event_id = record.get("eventID") if isinstance(record, Mapping) else None
    if not (isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id)):
        from hashlib import sha256

        event_id = sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    day = "undated" if happened is None else strftime("%Y-%m-%d", gmtime(happened))
    return f"{PARKED}{function_name}/{day}/{event_id}.json"


def parked_document(function_name: str, record: Any, reason: str) -> str:
    """Return the document of a parked record: the function, the reason, and the record as an event in `payload`.

    Lambda's invocation records, which lie in the same bucket, have their event in `payload` too, as a JSON string.
    """
    return json.dumps({"function": function_name, "reason": reason, "payload": {"Records": [record]}})
