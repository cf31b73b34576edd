"""Kinesis and DynamoDB Streams as sources, and their records as Lambda shows them to a function.

Shapes: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis-example.html and
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb-example.html
"""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from localcloud.engine.aws import Threads, source_errors
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Listing, Position, ReadResult, Shard, Source
from localcloud.engine.record import Record
from localcloud.engine.rights import FunctionRights, Service

T = TypeVar("T")

_HOUR = 3600.0
_BUFFERED_SECONDS = 0.05
"""An event of a subscription that takes less than this was there before it was asked for."""
_NO_SUBSCRIPTION: tuple[str, Any, Iterator[Any]] = ("", None, iter(()))


def source(rights: FunctionRights, threads: Threads, mapping: Mapping) -> Source:
    """The mapping's stream."""
    if mapping.is_subscribed:
        return ConsumerSource(rights, threads, mapping)
    kinds = {"kinesis": KinesisSource, "dynamodb": DynamoDBSource}
    return kinds[mapping.service](rights, threads, mapping)


class _BotoSource:
    """What the two have in common: blocking calls, made in threads, with the function's rights."""

    client_name: Service

    def __init__(self, rights: FunctionRights, threads: Threads, mapping: Mapping) -> None:
        self._rights = rights
        self._threads = threads
        self._mapping = mapping
        self._arn = mapping.source_arn.partition("/consumer/")[0]
        self._region = mapping.source_arn.split(":")[3]

    async def shards(self) -> Listing:
        """All shards of the stream."""
        return await self._call(self._list)

    async def iterator(self, shard_id: str, position: Position) -> str:
        """A shard iterator."""
        return await self._call(self._iterator, shard_id, position)

    async def read(self, shard_id: str, iterator: str, limit: int) -> ReadResult:
        """A page of records."""
        return await self._call(self._read, shard_id, iterator, limit)

    async def close(self) -> None:
        """Nothing is held open between calls."""

    async def _call(self, call: Callable[..., T], *args: Any) -> T:
        return await self._threads.run(self._with_client, call, *args)

    def _with_client(self, call: Callable[..., T], *args: Any) -> T:
        with source_errors(), self._rights.client(self.client_name, self._mapping.function_arn) as client:
            return call(client, *args)

    def _list(self, client: Any) -> Listing:
        raise NotImplementedError

    def _iterator(self, client: Any, shard_id: str, position: Position) -> str:
        raise NotImplementedError

    def _read(self, client: Any, shard_id: str, iterator: str, limit: int) -> ReadResult:
        raise NotImplementedError


class KinesisSource(_BotoSource):
    """A Kinesis stream."""

    client_name: Service = "kinesis"

    def _list(self, client: Any) -> Listing:
        summary = client.describe_stream_summary(StreamARN=self._arn)["StreamDescriptionSummary"]
        page = client.list_shards(StreamARN=self._arn)
        shards = page["Shards"]
        while token := page.get("NextToken"):
            page = client.list_shards(NextToken=token)
            shards += page["Shards"]
        return Listing(
            [Shard(shard["ShardId"], _parents(shard)) for shard in shards],
            summary["RetentionPeriodHours"] * _HOUR,
        )

    def _iterator(self, client: Any, shard_id: str, position: Position) -> str:
        where: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if position.after:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": position.after}
        elif position.since:
            where = {
                "ShardIteratorType": "AT_TIMESTAMP",
                "Timestamp": datetime.fromtimestamp(position.since, UTC),
            }
        answer = client.get_shard_iterator(StreamARN=self._arn, ShardId=shard_id, **where)
        return str(answer["ShardIterator"])

    def _read(self, client: Any, shard_id: str, iterator: str, limit: int) -> ReadResult:
        answer = client.get_records(StreamARN=self._arn, ShardIterator=iterator, Limit=min(limit, 10_000))
        return ReadResult(
            [self._record(shard_id, record) for record in answer["Records"]],
            answer.get("NextShardIterator"),
            behind=answer.get("MillisBehindLatest", 0) > 0,
        )

    def _record(self, shard_id: str, record: dict[str, Any]) -> Record:
        sequence, arrived = record["SequenceNumber"], record["ApproximateArrivalTimestamp"].timestamp()
        body = {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": record["PartitionKey"],
                "sequenceNumber": sequence,
                "data": base64.b64encode(record["Data"]).decode(),
                "approximateArrivalTimestamp": arrived,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard_id}:{sequence}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": self._rights.role(self._mapping.function_arn),
            "awsRegion": self._region,
            "eventSourceARN": self._mapping.source_arn,
        }
        return Record(sequence, record["PartitionKey"], arrived, json.dumps(body).encode())


class ConsumerSource(KinesisSource):
    """A Kinesis stream, pushed to a consumer of enhanced fan-out: one subscription for each shard.

    A subscription lasts five minutes, and a second one within five seconds is refused; the reader then tries again:
    https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html. An iterator is the position from
    which to subscribe. Each subscription waits in a thread of its own; `_subscriptions` has those that no
    thread reads.
    """

    def __init__(self, rights: FunctionRights, threads: Threads, mapping: Mapping) -> None:
        super().__init__(rights, threads, mapping)
        self._waiting = Threads(256, "subscribe")
        self._subscriptions: dict[str, tuple[str, Any, Iterator[Any]]] = {}
        self._closed = False

    async def read(self, shard_id: str, iterator: str, limit: int) -> ReadResult:  # noqa: ARG002
        """The records that the next event of the subscription brings, however many."""
        return await self._waiting.run(self._with_client, self._next_event, shard_id, iterator)

    async def close(self) -> None:
        """End the subscriptions: those being read with their next event, which ministack sends within five seconds."""
        self._closed = True
        self._end_idle()
        self._waiting.end()

    def _end_idle(self) -> None:
        """End the subscriptions that no thread reads."""
        for shard_id in list(self._subscriptions):
            _, stream, _ = self._subscriptions.pop(shard_id, _NO_SUBSCRIPTION)
            if stream is not None:
                stream.close()

    def _iterator(self, client: Any, shard_id: str, position: Position) -> str:  # noqa: ARG002
        where: dict[str, Any] = {"Type": "TRIM_HORIZON"}
        if position.after:
            where = {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position.after}
        elif position.since:
            where = {"Type": "AT_TIMESTAMP", "Timestamp": position.since}
        return json.dumps(where)

    def _next_event(self, client: Any, shard_id: str, iterator: str) -> ReadResult:
        known, stream, events = self._subscriptions.pop(shard_id, _NO_SUBSCRIPTION)
        if known != iterator:
            if stream is not None:
                stream.close()
            where = json.loads(iterator)
            if "Timestamp" in where:
                where["Timestamp"] = datetime.fromtimestamp(where["Timestamp"], UTC)
            answer = client.subscribe_to_shard(
                ConsumerARN=self._mapping.source_arn, ShardId=shard_id, StartingPosition=where
            )
            stream = answer["EventStream"]
            events = iter(stream)
        asked = time.monotonic()
        event = next(events, None)
        # MillisBehindLatest is of the moment when the event was sent, and others may be buffered behind it.
        buffered = time.monotonic() - asked < _BUFFERED_SECONDS
        if event is None:  # the five minutes are over
            stream.close()
            return ReadResult([], iterator, behind=True)
        found = event["SubscribeToShardEvent"]
        records = [self._record(shard_id, record) for record in found["Records"]]
        if found.get("ChildShards"):
            stream.close()
            return ReadResult(records, None)
        following = self._iterator(client, shard_id, Position(after=records[-1].sequence)) if records else iterator
        self._subscriptions[shard_id] = following, stream, events
        if self._closed:
            self._end_idle()
        return ReadResult(records, following, behind=buffered or found.get("MillisBehindLatest", 0) > 0)


class DynamoDBSource(_BotoSource):
    """The stream of a DynamoDB table."""

    client_name: Service = "dynamodbstreams"

    def _list(self, client: Any) -> Listing:
        page = client.describe_stream(StreamArn=self._arn)["StreamDescription"]
        shards = page["Shards"]
        while last := page.get("LastEvaluatedShardId"):
            page = client.describe_stream(StreamArn=self._arn, ExclusiveStartShardId=last)["StreamDescription"]
            shards += page["Shards"]
        return Listing([Shard(shard["ShardId"], _parents(shard)) for shard in shards], retention=24 * _HOUR)

    def _iterator(self, client: Any, shard_id: str, position: Position) -> str:
        # There is no AT_TIMESTAMP: the reader passes over what is older than `since`.
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if position.after:
            where = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": position.after}
        answer = client.get_shard_iterator(StreamArn=self._arn, ShardId=shard_id, **where)
        return str(answer["ShardIterator"])

    def _read(self, client: Any, shard_id: str, iterator: str, limit: int) -> ReadResult:  # noqa: ARG002
        limit = min(limit, 1_000)
        answer = client.get_records(ShardIterator=iterator, Limit=limit)
        records = [self._record(record) for record in answer["Records"]]
        return ReadResult(records, answer.get("NextShardIterator"), behind=len(records) == limit)

    def _record(self, record: dict[str, Any]) -> Record:
        change = record["dynamodb"]
        body = {**record, "awsRegion": self._region, "eventSourceARN": self._arn}
        if who := record.get("userIdentity"):
            # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
            body["userIdentity"] = {"type": who["Type"], "principalId": who["PrincipalId"]}
        return Record(
            change["SequenceNumber"],
            json.dumps(change["Keys"], sort_keys=True, default=_encode),
            change["ApproximateCreationDateTime"].timestamp(),
            json.dumps(body, default=_encode).encode(),
        )


def _parents(shard: dict[str, Any]) -> tuple[str, ...]:
    return tuple(shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name))


def _encode(value: datetime | bytes) -> float | str:
    """JSON for what boto3 parsed: times in seconds, binary attributes in base64."""
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode()
