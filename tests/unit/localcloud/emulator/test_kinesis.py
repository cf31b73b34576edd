"""Records of the emulator's Kinesis expire as those of Kinesis do."""

import time
from types import SimpleNamespace
from typing import Any

from localcloud.emulator.kinesis import expire_from_the_front


def test_an_iterator_points_at_the_same_record_when_older_ones_expire() -> None:
    old, new = time.time() - 90_000, time.time()
    place = {"stream": "s", "shard_id": "a", "position": 3}
    records = [{"ApproximateArrivalTimestamp": arrived} for arrived in (old, old, new, new)]
    closed = {"records": [], "closed_at": old}
    stream: dict[str, Any] = {
        "StreamName": "s",
        "RetentionPeriodHours": 24,
        "shards": {"a": {"records": records}, "b": closed},
    }
    kinesis = SimpleNamespace(_shard_iterators={"i": place}, _expire_records=None)
    expire_from_the_front(kinesis)

    kinesis._expire_records(stream)

    assert stream["shards"] == {"a": {"records": records[2:]}}
    assert place["position"] == 1
