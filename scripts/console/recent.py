"""What has come into the stream lately, for as long as somebody watches.

A shard gives five reads and 2 MB a second to all who read it, Lambda among them, so each is read once a second at
most, however many pages look: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

_INTERVAL_SECONDS = 1.0
_FORGET_SECONDS = 60.0
"""Without anybody looking, after which it starts afresh: iterators live for five minutes."""
_BACK = timedelta(minutes=5)
_AT_ONCE = 200
_TOO_FAR_BEHIND_MS = 10_000
_KEPT = 500
_TEXT = 2000


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
        self._records: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._number = 0
        self._skipped = False

    def look(self, kinesis: "KinesisClient", stream: str, after: int) -> dict[str, Any]:
        """The records with a greater number than `after`, oldest first; and whether some were left out."""
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
            return {"records": fresh, "last": self._number, "skipped": self._skipped}

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
        for shard, iterator in self._iterators.items():
            try:
                found += self._read_shard(kinesis, shard, iterator or self._start(kinesis, shard, _BACK))
            except kinesis.exceptions.ExpiredIteratorException:
                self._iterators[shard] = None
            except kinesis.exceptions.ProvisionedThroughputExceededException:
                self._skipped = True  # Lambda goes first; the next look goes on from here
        for record in sorted(found, key=lambda record: float(record["at"])):
            self._number += 1
            self._records.append({"number": self._number, **record})

    def _read_shard(self, kinesis: "KinesisClient", shard: str, iterator: str) -> list[dict[str, Any]]:
        answer = kinesis.get_records(ShardIterator=iterator, Limit=_AT_ONCE)
        self._iterators[shard] = answer.get("NextShardIterator")
        if len(answer["Records"]) == _AT_ONCE and answer["MillisBehindLatest"] > _TOO_FAR_BEHIND_MS:
            # Whoever watches wants to see what comes now, and reading it all would take from Lambda.
            self._iterators[shard] = self._start(kinesis, shard, timedelta(seconds=1))
            self._skipped = True
        return [
            {
                "at": record["ApproximateArrivalTimestamp"].timestamp(),
                "shard": shard,
                "key": record["PartitionKey"],
                "sequence": record["SequenceNumber"],
                **decode(record["Data"]),
            }
            for record in answer["Records"]
        ]

    def _start(self, kinesis: "KinesisClient", shard: str, back: timedelta) -> str:
        return kinesis.get_shard_iterator(
            StreamName=self._stream,
            ShardId=shard,
            ShardIteratorType="AT_TIMESTAMP",
            Timestamp=datetime.now(UTC) - back,
        )["ShardIterator"]


def decode(data: bytes) -> dict[str, Any]:
    """A payload as text where it is UTF-8, else in hexadecimal, and its size; a long one is cut."""
    try:
        text, encoding = data.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = data.hex(" "), "hex"
    return {"payload": text[:_TEXT], "encoding": encoding, "bytes": len(data), "cut": len(text) > _TEXT}
