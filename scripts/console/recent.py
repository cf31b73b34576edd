"""The newest records of the stream, for as long as somebody watches.

A shard gives five reads and 2 MB a second to all who read it, Lambda among them, so each is read once a second at
most, however many pages look: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scripts.console.visible import indented

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

_INTERVAL_SECONDS = 1.0
_FORGET_SECONDS = 60.0
"""Without anybody looking, after which it starts again: iterators live for five minutes."""
_BACK = timedelta(minutes=5)
_AT_ONCE = 5000
_READS = 2
"""Reads of a shard in one look, of the five a second that it gives."""
_LOOKS = 3
"""Looks after which a reader that is far behind gives up what lies between, and jumps closer to the end."""
_FAR_BEHIND_MS = 30_000
_JUMP = timedelta(seconds=10)
_CAUGHT_UP_MS = 1000
_KEPT = 500
_TEXT = 20_000


class Recent:
    """The last records of one stream: read when asked for, remembered for all that ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stream = ""
        self._asked = self._read = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self._iterators: dict[str, str | None] = {}
        self._behind: dict[str, int] = {}
        """Looks at a shard in a row that did not reach its end."""
        self._records: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._number = 0
        self._skipped = False

    def look(self, kinesis: "KinesisClient", stream: str, after: int) -> dict[str, Any]:
        """Return the newest records with a greater number than `after`, oldest first.

        `behind` says that newer ones are still to be read, `skipped` that some were left out.
        """
        with self._lock:
            now = self._clock()
            if stream != self._stream or now - self._asked > _FORGET_SECONDS:
                self._forget()
                self._stream, self._read = stream, float("-inf")
            self._asked = now
            if now - self._read >= _INTERVAL_SECONDS:
                self._read = now
                self._read_on(kinesis)
            fresh = [record for record in self._records if record["number"] > after or after > self._number]
            behind = any(self._behind.get(shard) for shard in self._iterators)
            return {"records": fresh, "last": self._number, "skipped": self._skipped, "behind": behind}

    def _read_on(self, kinesis: "KinesisClient") -> None:
        shards = kinesis.get_paginator("list_shards").paginate(StreamName=self._stream)
        open_ = {
            shard["ShardId"]
            for page in shards
            for shard in page["Shards"]
            if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
        }
        self._iterators = {shard: self._iterators.get(shard) for shard in sorted(open_)}
        self._skipped = False
        found: list[dict[str, Any]] = []
        try:
            for shard in self._iterators:
                try:
                    self._read_shard(kinesis, shard, found)
                except kinesis.exceptions.ExpiredIteratorException:
                    self._iterators[shard] = None
                except kinesis.exceptions.ProvisionedThroughputExceededException:
                    self._behind[shard] = self._behind.get(shard, 0) + 1  # the next look goes on from here
        finally:
            # The iterators are past what was found, whatever a later read raises.
            for record in sorted(found, key=lambda record: float(record["at"])):
                self._number += 1
                self._records.append({"number": self._number, **record})

    def _read_shard(self, kinesis: "KinesisClient", shard: str, found: list[dict[str, Any]]) -> None:
        """Read a shard on towards its end, since whoever watches wants the newest records; add them to `found`."""
        iterator = self._iterators[shard]
        for _ in range(_READS):
            iterator = iterator or _start(kinesis, self._stream, shard, _BACK)
            answer = kinesis.get_records(ShardIterator=iterator, Limit=_AT_ONCE)
            found += [_shown(shard, record) for record in answer["Records"][-_KEPT:]]
            self._iterators[shard] = iterator = answer.get("NextShardIterator")
            if answer["MillisBehindLatest"] <= _CAUGHT_UP_MS or iterator is None:
                self._behind[shard] = 0
                break
        else:
            self._behind[shard] = self._behind.get(shard, 0) + 1
            if self._behind[shard] >= _LOOKS and answer["MillisBehindLatest"] > _FAR_BEHIND_MS:
                self._iterators[shard] = _start(kinesis, self._stream, shard, _JUMP)
                self._skipped = True


def _start(kinesis: "KinesisClient", stream: str, shard: str, back: timedelta) -> str:
    return kinesis.get_shard_iterator(
        StreamName=stream,
        ShardId=shard,
        ShardIteratorType="AT_TIMESTAMP",
        Timestamp=datetime.now(UTC) - back,
    )["ShardIterator"]


def _shown(shard: str, record: Any) -> dict[str, Any]:
    payload = decode(record["Data"])
    return {
        "at": record["ApproximateArrivalTimestamp"].timestamp(),
        "shard": shard,
        "key": record["PartitionKey"],
        "sequence": record["SequenceNumber"],
        **payload,
        "pretty": indented(payload["payload"]),
    }


def decode(data: bytes) -> dict[str, Any]:
    """Return a payload as text where it is UTF-8, else in hexadecimal, and its size; a long one is cut."""
    try:
        text, encoding = data.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = data.hex(" "), "hex"
    return {"payload": text[:_TEXT], "encoding": encoding, "bytes": len(data), "cut": len(text) > _TEXT}
