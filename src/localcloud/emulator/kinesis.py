"""Repairs of Kinesis: tags, closed shards and expiry."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

from localcloud.emulator.patching import Answer, Handler, repair, replace

Shards = dict[str, dict[str, Any]]


@repair(
    replaces=("kinesis._create_stream",),
    uses=("kinesis._streams",),
    aws="CreateStream takes Tags: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html",
)
def keep_tags_of_new_streams(kinesis: Any) -> None:
    """Keep the tags that CreateStream is given: ministack drops them, and each plan would put them back."""
    create = kinesis._create_stream

    def create_stream(data: dict[str, Any]) -> Answer:
        answer = create(data)
        if answer[0] == 200:
            kinesis._streams[data["StreamName"]]["tags"].update(data.get("Tags", {}))
        return answer

    replace(kinesis, _create_stream=create_stream)


@repair(
    replaces=(
        "kinesis._split_shard",
        "kinesis._merge_shards",
        "kinesis._update_shard_count",
        "kinesis._route_to_shard",
        "kinesis._get_records",
        "kinesis._describe_stream_summary",
        "kinesis._shard_out",
    ),
    uses=(
        "kinesis._resolve_stream",
        "kinesis._streams",
        "kinesis._shard_iterators",
        "kinesis._next_sequence_number",
        "kinesis._compute_hash_ranges",
        "kinesis.error_response_json",
        "kinesis.json_response",
    ),
    aws="keeps closed shards until their records expire: https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html",
)
def keep_closed_shards(kinesis: Any) -> None:
    """Keep the parents of a split or a merge, with their records, until these expire, as Kinesis does.

    ministack deletes them. A closed shard takes no record, and its last page has no NextShardIterator.
    """
    split, merge, route = kinesis._split_shard, kinesis._merge_shards, kinesis._route_to_shard
    read, summary, shard_out = kinesis._get_records, kinesis._describe_stream_summary, kinesis._shard_out
    count = kinesis._update_shard_count

    def open_shards(stream: dict[str, Any]) -> Shards:
        return {shard_id: shard for shard_id, shard in stream["shards"].items() if "closed_at" not in shard}

    def closing(change: Handler, *parents: str) -> Handler:
        """A change of shards that closes the parents named by these parameters, rather than delete them."""

        def change_shards(data: dict[str, Any]) -> Answer:
            _, stream = kinesis._resolve_stream(data)
            before: Shards = dict(stream["shards"]) if stream else {}
            if any("closed_at" in before.get(data.get(name, ""), {}) for name in parents):
                return kinesis.error_response_json("InvalidArgumentException", "The shard is closed", 400)
            answer = change(data)
            if answer[0] == 200:
                for name in parents:
                    ending = kinesis._next_sequence_number()
                    closed = {"closed_at": time.time(), "ending_sequence_number": ending}
                    stream["shards"][data[name]] = before[data[name]] | closed
            return answer

        return change_shards

    def update_shard_count(data: dict[str, Any]) -> Answer:
        """Split at every boundary of the new shards, then merge what lies between two, as Kinesis would."""
        name, stream = kinesis._resolve_stream(data)
        if not stream or int(data.get("TargetShardCount") or 0) < 1:
            return count(data)
        before = len(open_shards(stream))
        ranges = [(int(a), int(b)) for a, b in kinesis._compute_hash_ranges(int(data["TargetShardCount"]))]
        for start, _ in ranges:
            for shard_id, shard in open_shards(stream).items():
                if int(shard["starting_hash_key"]) < start <= int(shard["ending_hash_key"]):
                    kinesis._split_shard(
                        {"StreamName": name, "ShardToSplit": shard_id, "NewStartingHashKey": str(start)}
                    )
        for start, end in ranges:
            while len(inside := _within(open_shards(stream), start, end)) > 1:
                kinesis._merge_shards(
                    {"StreamName": name, "ShardToMerge": inside[0], "AdjacentShardToMerge": inside[1]}
                )
        counts = {"CurrentShardCount": before, "TargetShardCount": len(ranges)}
        return kinesis.json_response({"StreamName": name, "StreamARN": stream["StreamARN"], **counts})

    def route_to_shard(hash_key: int, stream: dict[str, Any]) -> str:
        return str(route(hash_key, {**stream, "shards": open_shards(stream)}))

    def get_records(data: dict[str, Any]) -> Answer:
        status, headers, body = read(data)
        page = json.loads(body)
        if status != 200:
            return status, headers, body
        place = kinesis._shard_iterators[page["NextShardIterator"]]
        stream = kinesis._streams[place["stream"]]
        shard = stream["shards"][place["shard_id"]]
        if "closed_at" in shard and place["position"] >= len(shard["records"]):
            del page["NextShardIterator"]
            page["ChildShards"] = [
                {"ShardId": child["ShardId"], "ParentShards": parents, "HashKeyRange": child["HashKeyRange"]}
                for child in (shard_out(*item) for item in stream["shards"].items())
                if place["shard_id"] in (parents := _parents(child))
            ]
        return kinesis.json_response(page)

    def describe_stream_summary(data: dict[str, Any]) -> Answer:
        status, headers, body = summary(data)
        if status != 200:
            return status, headers, body
        answer = json.loads(body)
        _, stream = kinesis._resolve_stream(data)
        answer["StreamDescriptionSummary"]["OpenShardCount"] = len(open_shards(stream))
        return kinesis.json_response(answer)

    def describe_shard(shard_id: str, shard: dict[str, Any]) -> dict[str, Any]:
        described: dict[str, Any] = shard_out(shard_id, shard)
        if "closed_at" in shard:
            described["SequenceNumberRange"]["EndingSequenceNumber"] = shard["ending_sequence_number"]
        return described

    replace(
        kinesis,
        _split_shard=closing(split, "ShardToSplit"),
        _merge_shards=closing(merge, "ShardToMerge", "AdjacentShardToMerge"),
        _update_shard_count=update_shard_count,
        _route_to_shard=route_to_shard,
        _get_records=get_records,
        _describe_stream_summary=describe_stream_summary,
        _shard_out=describe_shard,
    )


@repair(
    replaces=("kinesis._subscribe_to_shard", "kinesis._split_shard", "kinesis._merge_shards"),
    uses=(
        "kinesis._subscriptions",
        "kinesis._consumers",
        "kinesis._resolve_stream",
        "kinesis._resolve_stream_by_arn",
        "kinesis._start_position",
        "kinesis._shard_out",
        "kinesis._eventstream_message",
        "kinesis.StreamingResponse",
    ),
    aws="ChildShards in the last event: https://docs.aws.amazon.com/kinesis/latest/APIReference/"
    "API_SubscribeToShardEvent.html",
)
def end_subscriptions_of_closed_shards(kinesis: Any) -> None:
    """End a subscription to a closed shard with its children, once every record was pushed, as Kinesis does.

    ministack takes for closed only a shard that is gone, which `keep_closed_shards` prevents. It pushes to a live
    subscription, so that is taken over when its shard is closed: its consumer then subscribes again.
    """
    subscribe, split, merge = kinesis._subscribe_to_shard, kinesis._split_shard, kinesis._merge_shards

    def end_live(stream_arn: str, *shard_ids: str) -> None:
        for consumer_arn, shard_id in list(kinesis._subscriptions):
            if consumer_arn.startswith(f"{stream_arn}/") and shard_id in shard_ids:
                kinesis._subscriptions.pop((consumer_arn, shard_id), None)

    def ending(change: Handler, *parents: str) -> Handler:
        def change_shards(data: dict[str, Any]) -> Answer:
            answer = change(data)
            _, stream = kinesis._resolve_stream(data)
            if answer[0] == 200:
                end_live(stream["StreamARN"], *(data[name] for name in parents))
            return answer

        return change_shards

    def subscribe_to_shard(data: dict[str, Any], is_cbor: bool) -> Answer:
        answer = subscribe(data, is_cbor)
        consumer, shard_id = kinesis._consumers.get(data.get("ConsumerARN", "")), str(data.get("ShardId"))
        if answer[0] != 200 or consumer is None:
            return answer
        stream = kinesis._resolve_stream_by_arn(consumer["StreamARN"])
        shard = stream["shards"][shard_id]
        if "closed_at" not in shard or is_cbor:  # no client here speaks CBOR
            return answer
        kinesis._subscriptions.pop((data["ConsumerARN"], shard_id), None)
        where = data["StartingPosition"]
        start = kinesis._start_position(
            shard["records"], where["Type"], where.get("SequenceNumber", ""), where.get("Timestamp")
        )
        event = {
            "Records": [_pushed(record) for record in shard["records"][start:]],
            "ContinuationSequenceNumber": None,
            "MillisBehindLatest": 0,
            "ChildShards": [
                {"ShardId": child["ShardId"], "ParentShards": parents, "HashKeyRange": child["HashKeyRange"]}
                for child in (kinesis._shard_out(*item) for item in stream["shards"].items())
                if shard_id in (parents := _parents(child))
            ],
        }
        return 200, answer[1], kinesis.StreamingResponse(_last_event(kinesis, event))

    replace(
        kinesis,
        _subscribe_to_shard=subscribe_to_shard,
        _split_shard=ending(split, "ShardToSplit"),
        _merge_shards=ending(merge, "ShardToMerge", "AdjacentShardToMerge"),
    )


def _pushed(record: dict[str, Any]) -> dict[str, Any]:
    """A record as a subscription shows it."""
    data = record["Data"] if isinstance(record["Data"], bytes) else base64.b64decode(record["Data"])
    return {
        "SequenceNumber": record["SequenceNumber"],
        "ApproximateArrivalTimestamp": record["ApproximateArrivalTimestamp"],
        "Data": base64.b64encode(data).decode(),
        "PartitionKey": record["PartitionKey"],
    }


def _last_event(kinesis: Any, event: dict[str, Any]) -> Callable[[Any, Any], Any]:
    """The body of a response with one event."""

    def message(kind: str, payload: dict[str, Any]) -> bytes:
        headers = {":message-type": "event", ":event-type": kind, ":content-type": "application/json"}
        return bytes(kinesis._eventstream_message(headers, json.dumps(payload).encode()))

    async def run(send: Any, _receive: Any) -> None:
        body = message("initial-response", {}) + message("SubscribeToShardEvent", event)
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return run


@repair(
    replaces=("kinesis._expire_records",),
    uses=("kinesis._shard_iterators",),
    aws="an iterator names a position in the shard: https://docs.aws.amazon.com/kinesis/latest/APIReference/"
    "API_GetShardIterator.html",
)
def expire_from_the_front(kinesis: Any) -> None:
    """Expire records without moving what iterators point at, or looking at every record on every call.

    ministack's iterators are indexes into a list that its expiry shortens: each skips as many as expire.
    """

    def expire_records(stream: dict[str, Any]) -> None:
        cutoff = time.time() - stream["RetentionPeriodHours"] * 3600
        for shard_id, shard in list(stream["shards"].items()):
            records = shard["records"]
            if records and records[0]["ApproximateArrivalTimestamp"] < cutoff:
                kept = [record for record in records if record["ApproximateArrivalTimestamp"] >= cutoff]
                shard["records"] = kept
                for place in kinesis._shard_iterators.values():
                    if (place["stream"], place["shard_id"]) == (stream["StreamName"], shard_id):
                        place["position"] = max(0, place["position"] - len(records) + len(kept))
            if shard.get("closed_at", cutoff) < cutoff:
                del stream["shards"][shard_id]

    replace(kinesis, _expire_records=expire_records)


def _within(shards: Shards, start: int, end: int) -> list[str]:
    """The shards that lie in a range of hash keys, in its order."""
    inside = [
        (int(shard["starting_hash_key"]), shard_id)
        for shard_id, shard in shards.items()
        if start <= int(shard["starting_hash_key"]) <= end
    ]
    return [shard_id for _, shard_id in sorted(inside)]


def _parents(shard: dict[str, Any]) -> list[str]:
    return [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if name in shard]
