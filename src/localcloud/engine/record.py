"""Records of a stream, as Lambda hands them to a function."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localcloud.engine import filters


@dataclass(frozen=True, slots=True)
class Record:
    """One record: encoded once when it is read, sent as often as it takes.

    `key` is what order is kept by, `arrived` is in seconds since the epoch, and `body` is the record's JSON.
    Sequence numbers vary in width, so they are compared as numbers, never as strings.
    """

    sequence: str
    key: str
    arrived: float
    body: bytes

    @property
    def number(self) -> int:
        """The sequence number, fit to compare."""
        return int(self.sequence)


def event(bodies: Iterable[bytes]) -> bytes:
    """Build the event that delivers records, given the JSON of each."""
    return b'{"Records":[' + b",".join(bodies) + b"]}"


def sequence_number(record: Any) -> str | None:
    """Return the sequence number of a record as a function sees it; None when it has none."""
    for source, field in (("dynamodb", "SequenceNumber"), ("kinesis", "sequenceNumber")):
        body = record.get(source) if isinstance(record, dict) else None
        if isinstance(body, dict) and isinstance(body.get(field), str):
            return str(body[field])
    return None


def accepts(patterns: Sequence[str], body: bytes) -> bool:
    """Whether a record passes FilterCriteria: any of the patterns, or no pattern at all.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-filtering.html: Kinesis patterns see the payload
    decoded, under `data`; a payload that is not JSON is there as text, and one that is not text is not there. JSON
    that is nested too deeply for Python's parser counts as text: our choice.
    """
    if not patterns:
        return True
    record = json.loads(body)
    seen = {**record, **_kinesis_fields(record["kinesis"])} if "kinesis" in record else record
    return any(filters.matches(_pattern(pattern), seen) for pattern in patterns)


def _kinesis_fields(fields: dict[str, Any]) -> dict[str, Any]:
    fields = dict(fields)
    try:
        text = base64.b64decode(fields.pop("data")).decode()
    except UnicodeDecodeError:
        return fields
    try:
        return {**fields, "data": json.loads(text)}
    except (ValueError, RecursionError):
        return {**fields, "data": text}


@lru_cache(maxsize=256)
def _pattern(text: str) -> filters.Pattern:
    return filters.parse(text)
