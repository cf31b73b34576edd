"""A stream in memory, with the shards, the retention and the faults of a real one."""

import base64
import json
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localcloud.engine.ports import (
    ExpiredIteratorError,
    Listing,
    Position,
    ReadResult,
    Shard,
    SourceError,
    TrimmedError,
)
from localcloud.engine.record import Record

HASHES = 2**16


@dataclass(slots=True)
class StoredShard:
    """A shard that takes keys whose hash is in a range, until it is closed."""

    id: str
    hashes: range
    parents: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)
    closed: bool = False


class Stream:
    """Shards and their records. `fault` is asked before every call, and may raise; `sequence` is the last one given."""

    def __init__(self, arn: str, now: Callable[[], float], shards: int = 1, retention: float = 86400) -> None:
        self.arn = arn
        self.shards: dict[str, StoredShard] = {}
        self.retention = retention
        self.fault: Callable[[], None] = lambda: None
        self.records: list[Record] = []
        self.sequence = 10**20
        self._now = now
        width = HASHES // shards
        for index in range(shards):
            self._add(range(index * width, HASHES if index == shards - 1 else (index + 1) * width))

    def put(self, key: str, data: str) -> Record:
        """A Kinesis record with a text as its payload."""
        return self._put(key, lambda sequence, shard: kinesis_record(self.arn, key, data, sequence, shard, self._now()))

    def change(self, name: str, keys: dict[str, Any], image: dict[str, Any] | None = None) -> Record:
        """A change of an item: INSERT or MODIFY with its new image, or REMOVE."""
        key = json.dumps(keys, sort_keys=True)
        return self._put(key, lambda sequence, _: dynamodb_record(self.arn, name, keys, image, sequence, self._now()))

    def open(self) -> list[StoredShard]:
        """The shards that take records, in the order of the hashes they take."""
        return sorted((shard for shard in self.shards.values() if not shard.closed), key=lambda s: s.hashes.start)

    def split(self, shard: StoredShard) -> None:
        """Close a shard and halve its range between two children."""
        middle = (shard.hashes.start + shard.hashes.stop) // 2
        shard.closed = True
        self._add(range(shard.hashes.start, middle), shard.id)
        self._add(range(middle, shard.hashes.stop), shard.id)

    def merge(self, left: StoredShard, right: StoredShard) -> None:
        """Close two neighbours and give their range to one child."""
        left.closed = right.closed = True
        self._add(range(left.hashes.start, right.hashes.stop), left.id, right.id)

    async def shards_listed(self) -> Listing:
        """What `Source.shards` answers."""
        self.fault()
        return Listing([Shard(shard.id, shard.parents) for shard in self.shards.values()], self.retention)

    async def iterator(self, shard_id: str, position: Position) -> str:
        """What `Source.iterator` answers: an iterator is an index into the shard."""
        self.fault()
        records, kept = self.shards[shard_id].records, self._kept(shard_id)
        if position.after:
            start = bisect_right(records, int(position.after), key=lambda record: record.number)
            if start < kept:
                raise TrimmedError(f"{position.after} is trimmed")
        else:
            start = bisect_left(records, position.since or 0, key=lambda record: record.arrived)
        return str(max(start, kept))

    async def read(self, shard_id: str, iterator: str, limit: int) -> ReadResult:
        """What `Source.read` answers."""
        self.fault()
        shard, start = self.shards[shard_id], int(iterator)
        if start < self._kept(shard_id):
            raise TrimmedError(f"{iterator} is trimmed")
        page = shard.records[start : start + limit]
        end = start + len(page)
        more = end < len(shard.records)
        return ReadResult(page, None if shard.closed and not more else str(end), behind=more)

    def _kept(self, shard_id: str) -> int:
        oldest = self._now() - self.retention
        return bisect_left(self.shards[shard_id].records, oldest, key=lambda record: record.arrived)

    def _put(self, key: str, encode: Callable[[str, str], dict[str, Any]]) -> Record:
        shard = next(s for s in self.open() if zlib.crc32(key.encode()) % HASHES in s.hashes)
        self.sequence += 7
        sequence = str(self.sequence)
        body = json.dumps(encode(sequence, shard.id)).encode()
        record = Record(sequence, key, self._now(), body)
        shard.records.append(record)
        self.records.append(record)
        return record

    def _add(self, hashes: range, *parents: str) -> None:
        shard_id = f"shardId-{len(self.shards):012d}"
        self.shards[shard_id] = StoredShard(shard_id, hashes, parents)


class SimulatedSource:
    """A stream as one engine sees it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.iterator = stream.iterator
        self.read = stream.read
        self.shards = stream.shards_listed

    async def close(self) -> None:
        """Nothing is held open."""


def unreliable(draw: Callable[[], float], chance: float) -> Callable[[], None]:
    """A fault that now and then fails a call, or expires an iterator."""

    def fault() -> None:
        drawn = draw()
        if drawn < chance / 2:
            raise ExpiredIteratorError("the iterator is too old")
        if drawn < chance:
            raise SourceError("the stream is not to be had")

    return fault


def kinesis_record(arn: str, key: str, data: str, sequence: str, shard_id: str, now: float) -> dict[str, Any]:
    """A record as a function sees it."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": sequence,
            "data": base64.b64encode(data.encode()).decode(),
            "approximateArrivalTimestamp": now,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard_id}:{sequence}",
        "eventName": "aws:kinesis:record",
        "awsRegion": arn.split(":")[3],
        "eventSourceARN": arn,
    }


def dynamodb_record(
    arn: str, name: str, keys: dict[str, Any], image: dict[str, Any] | None, sequence: str, now: float
) -> dict[str, Any]:
    """A change as a function sees it."""
    return {
        "eventID": f"{int(sequence):032x}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": arn.split(":")[3],
        "dynamodb": {
            "ApproximateCreationDateTime": now,
            "Keys": keys,
            **({"NewImage": image} if image else {}),
            "SequenceNumber": sequence,
            "SizeBytes": 100,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": arn,
    }


def sequences(event: dict[str, Any]) -> list[str]:
    """The sequence numbers of an event's records."""
    return [
        record["kinesis"]["sequenceNumber"] if "kinesis" in record else record["dynamodb"]["SequenceNumber"]
        for record in event["Records"]
    ]


def texts(event: dict[str, Any]) -> list[str]:
    """The payload of each Kinesis record, or the attribute Text of each item."""
    return [
        base64.b64decode(record["kinesis"]["data"]).decode()
        if "kinesis" in record
        else record["dynamodb"]["NewImage"]["Text"]["S"]
        for record in event["Records"]
    ]
