"""The failure bucket, newest first and in groups. No more of it is held than a line for each object."""

import base64
import binascii
import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from handlers.shared.parking import PARKED
from scripts.console.recent import decode
from scripts.console.visible import indented
from scripts.failures.store import DISCARDED, Failure, FailureBucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MOST = 10_000
"""Objects that are listed."""
_READ = 100
_READ_BYTES = 8_000_000
"""Objects, and their bytes, that one look reads: a page of failures may not take minutes, or all memory."""
_PREVIEW = 200
_DOCUMENT_BYTES = 1_000_000
_DOCUMENT_RECORDS = 100


class Wanted(NamedTuple):
    """Which failures to show: of a function, for a reason, and with a text in them; "" for any reason and text."""

    function: str | None = None
    """None for any; "" for the failures of which no function is known."""
    reason: str = ""
    text: str = ""

    def matches(self, failure: Mapping[str, Any]) -> bool:
        """Whether a failure is one of them."""
        if self.function is not None and failure["function"] != self.function:
            return False
        if self.reason and failure["reason"] != self.reason:
            return False
        wanted = self.text.casefold()
        return any(wanted in str(failure[name]).casefold() for name in ("key", "function", "reason", "preview"))


class FailureIndex:
    """Remembers a line for each object that was read, until the object changes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bucket = ""
        self._known: dict[str, tuple[str, dict[str, Any]]] = {}
        """By key: the ETag that was read, and the line."""

    def look(self, client: "S3Client", bucket: str, wanted: Wanted, first: int, limit: int) -> dict[str, Any]:
        """Return groups and a page of failures, newest first. `unread` objects are not among them yet: look again."""
        with self._lock:
            if bucket != self._bucket:
                self._bucket, self._known = bucket, {}
            listed, complete = _listed(client, bucket)
            self._known = {key: known for key, known in self._known.items() if listed.get(key, ("",))[0] == known[0]}
            self._read(FailureBucket(client, bucket), listed)
            lines = [line for _, line in self._known.values()]
            unread = len(listed) - len(self._known)
        matching = sorted(filter(wanted.matches, lines), key=lambda line: (line["at"], line["key"]), reverse=True)
        page = matching[first : first + limit]
        return {
            "total": len(listed),
            "complete": complete,
            "unread": unread,
            "matching": len(matching),
            "groups": _groups(lines),
            "failures": page,
            "next": first + limit if len(matching) > first + limit else None,
        }

    def keys(self, wanted: Wanted) -> list[str]:
        """Return the keys of the failures that were found so far and are wanted."""
        with self._lock:
            return sorted(key for key, (_, line) in self._known.items() if wanted.matches(line))

    def _read(self, bucket: FailureBucket, listed: Mapping[str, tuple[str, int, float]]) -> None:
        left = _READ_BYTES
        unknown = sorted(listed.keys() - self._known.keys(), key=lambda key: listed[key][2], reverse=True)
        for key in unknown[:_READ]:
            failure = bucket.read(key)
            if failure is not None:
                self._known[key] = listed[key][0], line(failure, listed[key][1])
            left -= listed[key][1]
            if left <= 0:
                return


def _listed(client: "S3Client", bucket: str) -> tuple[dict[str, tuple[str, int, float]], bool]:
    """Return ETag, size and time of each object by its key; and whether that is all."""
    found: dict[str, tuple[str, int, float]] = {}
    for prefix in (PARKED, DISCARDED):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for each in page.get("Contents", []):
                found[each["Key"]] = each["ETag"], each["Size"], each["LastModified"].timestamp()
            if len(found) >= _MOST:
                return found, False
    return found, True


def line(failure: Failure, size: int) -> dict[str, Any]:
    """Return what a list shows of a failure. Times are in epoch seconds, `records` is null where not known."""
    return {
        "key": failure.key,
        "function": failure.function,
        "at": failure.failed_at.timestamp(),
        "oldest": failure.oldest.timestamp() if failure.oldest else None,
        "reason": failure.reason,
        "records": None if failure.unreadable else len(failure.records),
        "preview": decoded(failure.records[0])["text"][:_PREVIEW] if failure.records else "",
        "bytes": size,
    }


def _groups(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for each in lines:
        group = groups.setdefault(
            (each["function"], each["reason"]),
            {
                "function": each["function"],
                "reason": each["reason"],
                "objects": 0,
                "records": 0,
                "first": each["at"],
                "last": each["at"],
            },
        )
        group["objects"] += 1
        group["records"] += each["records"] or 0
        group["first"], group["last"] = min(group["first"], each["at"]), max(group["last"], each["at"])
    return sorted(groups.values(), key=lambda group: float(group["last"]), reverse=True)


def document(client: "S3Client", bucket: str, key: str) -> dict[str, Any] | None:
    """Return an object with its records decoded, and as indented JSON; None when there is no such failure."""
    found = FailureBucket(client, bucket).read_with_body(key)
    if found is None:
        return None
    failure, body = found
    text = body[:_DOCUMENT_BYTES].decode(errors="replace")
    payload = failure.document.get("payload")
    return {
        "records": [decoded(record) for record in failure.records[:_DOCUMENT_RECORDS]],
        "more": max(0, len(failure.records) - _DOCUMENT_RECORDS),
        "text": indented(text),
        # The event of a discarded batch is JSON within a JSON string.
        "payload": indented(payload[:_DOCUMENT_BYTES]) if isinstance(payload, str) else None,
        "cut": len(body) > _DOCUMENT_BYTES,
    }


def decoded(record: Any) -> dict[str, Any]:
    """Return what a stream record carries as text: the payload of a Kinesis record, or the image of an item."""
    body = record if isinstance(record, dict) else {}
    kinesis, dynamodb = body.get("kinesis"), body.get("dynamodb")
    if isinstance(kinesis, dict) and isinstance(kinesis.get("data"), str):
        try:
            payload = decode(base64.b64decode(kinesis["data"], validate=True))
        except (ValueError, binascii.Error):
            payload = {"payload": kinesis["data"], "encoding": "not base64"}
        return {"kind": f"payload, {payload['encoding']}", "text": payload["payload"]}
    if isinstance(dynamodb, dict):
        image = dynamodb.get("NewImage") or dynamodb.get("OldImage") or dynamodb.get("Keys")
        return {"kind": str(body.get("eventName", "change")), "text": _image(image)}
    return {"kind": "record", "text": json.dumps(record, ensure_ascii=False)}


def _image(image: Any) -> str:
    if not isinstance(image, dict):
        return json.dumps(image, ensure_ascii=False)
    # Strings in quotes, numbers as DynamoDB has them.
    return ", ".join(
        f"{name}: "
        + (value["N"] if isinstance(value, dict) and isinstance(value.get("N"), str) else _attribute_text(value))
        for name, value in image.items()
    )


def _attribute_text(value: Any) -> str:
    only = value["S"] if isinstance(value, dict) and set(value) == {"S"} else value
    return json.dumps(only, ensure_ascii=False)
