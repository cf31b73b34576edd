"""The repairs of the emulator end it loudly when it is no longer the one they were made for."""

import time
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from localcloud import emulator


def test_a_version_that_renames_its_pollers_does_not_start() -> None:
    renamed = ModuleType("lambda_svc")

    with pytest.raises(SystemExit) as end:
        emulator.stop_stream_pollers(renamed)

    assert "has no _poll_kinesis, _poll_dynamodb_streams in lambda_svc" in str(end.value)
    assert emulator.PINNED in str(end.value)


@pytest.mark.parametrize(
    "repair",
    [
        emulator.keep_stream_settings,
        emulator.keep_closed_shards,
        emulator.expire_from_the_front,
        emulator.name_lambdas_actions,
        emulator.take_the_account_for_its_services,
    ],
)
def test_every_repair_asks_for_what_it_is_built_on(repair: object) -> None:
    assert callable(repair)

    with pytest.raises(SystemExit):
        repair(ModuleType("renamed"))


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
    kinesis = SimpleNamespace(_shard_iterators={"i": place}, _expire_records=None, __name__="kinesis")
    emulator.expire_from_the_front(kinesis)

    kinesis._expire_records(stream)

    assert stream["shards"] == {"a": {"records": records[2:]}}
    assert place["position"] == 1
