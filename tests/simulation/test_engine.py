"""What the table of cases does not show: positions, limits, filters, metrics, losses and outages."""

import asyncio
import json
import zlib
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.engine.ports import Checkpoint, ReadResult, ShardCheckpoint, SourceError
from tests.simulation.simulation import EPOCH, Fault, Injection, Simulation
from tests.simulation.stream import texts
from tests.simulation.virtual_time import run

ODD = {"Filters": [{"Pattern": json.dumps({"data": [{"suffix": digit} for digit in "13579"]})}]}


def accept(event: dict[str, Any]) -> None:
    """A function that never fails."""


def fail(event: dict[str, Any]) -> None:
    """A function that always fails."""
    raise ValueError


def delivered(simulation: Simulation) -> list[str]:
    """Every text, in the order of delivery."""
    return [text for seen in simulation.seen for text in texts(seen.event)]


@pytest.mark.parametrize(
    ("service", "consumer", "a_minute"), [("kinesis", "", 60), ("kinesis", "/consumer/c:1", 353), ("dynamodb", "", 240)]
)
def test_a_shard_without_records_is_read_as_often_as_in_aws_and_one_that_had_some_more_often(
    service: str, consumer: str, a_minute: int
) -> None:
    """A subscription waits for the next event by itself, so a pause behind it would only be late."""
    calls: list[float] = []

    async def scenario() -> None:
        simulation = Simulation(service, {}, accept)
        simulation.stream.arn += consumer
        simulation.stream.fault = lambda: calls.append(simulation.now() - EPOCH)
        simulation.start()
        await asyncio.sleep(100)
        if service == "kinesis":
            simulation.stream.put("a", "text")
        else:
            simulation.stream.change("INSERT", {"Id": {"S": "a"}}, {})
        await asyncio.sleep(10)

    run(scenario())

    lists = 7  # every 10 s
    assert a_minute <= sum(30 < at <= 90 for at in calls) <= a_minute + lists
    assert sum(at > 101 for at in calls) > 50


def test_latest_begins_when_the_mapping_was_made_however_late_the_engine_comes() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {"StartingPosition": "LATEST"}, accept)
        simulation.settings["LastModified"] = _time(EPOCH + 100)
        simulation.stream.put("a", "before")
        await asyncio.sleep(150)
        simulation.stream.put("a", "after")
        await asyncio.sleep(150)
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    assert delivered(run(scenario())) == ["after"]


def test_latest_stays_where_it_was_when_the_mapping_changes() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("dynamodb", {"StartingPosition": "LATEST"}, fail)
        simulation.start()
        simulation.stream.change("INSERT", {"Id": {"S": "a"}}, {"Text": {"S": "first"}})
        await asyncio.sleep(100)
        simulation.function = accept
        simulation.settings |= {"BatchSize": 7, "LastModified": _time(EPOCH + 100)}
        simulation.kill()
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    assert delivered(run(scenario()))[-1] == "first"


def test_what_is_in_flight_when_the_mapping_changes_is_not_delivered_again() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {"BatchSize": 2}, accept, lambda: Injection(seconds=10))
        for text in ("a", "b", "c"):
            simulation.stream.put("k", text)
        simulation.start()
        await asyncio.sleep(5)
        simulation.settings["BatchSize"] = 1
        await asyncio.sleep(60)
        return simulation

    assert delivered(run(scenario())) == ["a", "b", "c"]


@pytest.mark.parametrize("states", [("Creating", "Disabled"), ("Disabled", "Updating", "Disabled")])
def test_a_disabled_mapping_delivers_nothing_while_it_is_created_or_updated(states: tuple[str, ...]) -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {}, accept)
        simulation.stream.put("a", "1")
        await through(simulation, *states)
        return simulation

    simulation = run(scenario())

    assert simulation.runners == 0
    assert delivered(simulation) == []


def test_an_enabled_mapping_runs_on_while_it_is_updated() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {}, accept)
        await through(simulation, "Creating", "Enabled", "Updating", "Enabled")
        return simulation

    simulation = run(scenario())

    assert simulation.runners == 1
    assert delivered(simulation) == ["Creating", "Enabled", "Updating", "Enabled"]
    assert [int(seen.at / 10) for seen in simulation.seen] == [1, 1, 2, 3]


async def through(simulation: Simulation, *states: str) -> None:
    """Have a mapping be in each state for ten seconds, and put a record with the state's name in the midst of each."""
    simulation.settings["State"] = states[0]
    simulation.start()
    for state in states:
        simulation.settings["State"] = state
        await asyncio.sleep(5)
        simulation.stream.put("a", state)
        await asyncio.sleep(5)


def test_at_timestamp_begins_there() -> None:
    async def scenario() -> Simulation:
        settings = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": _time(EPOCH + 5)}
        simulation = Simulation("kinesis", settings, accept)
        simulation.stream.put("a", "before")
        await asyncio.sleep(5)
        simulation.stream.put("a", "after")
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    assert delivered(run(scenario())) == ["after"]


def test_a_payload_stays_within_6_mb() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {}, accept)
        for number in range(8):
            simulation.stream.put("a", f"{number}" * 1_000_000)
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    simulation = run(scenario())

    assert [len(texts(seen.event)) for seen in simulation.seen] == [4, 4]
    assert all(len(json.dumps(seen.event)) < 6 * 1024 * 1024 for seen in simulation.seen)


def test_a_long_shard_is_read_in_pages_as_it_is_processed() -> None:
    async def scenario() -> tuple[Simulation, list[int]]:
        simulation = Simulation("kinesis", {"BatchSize": 10}, accept, lambda: Injection(seconds=1))
        asked: list[int] = []
        read = simulation.stream.read

        async def spying(shard_id: str, iterator: str, limit: int) -> Any:
            asked.append(int(iterator) + limit - len(delivered(simulation)))
            return await read(shard_id, iterator, limit)

        simulation.stream.read = spying  # type: ignore[method-assign]
        for number in range(2000):
            simulation.stream.put("a", str(number))
        simulation.start()
        await asyncio.sleep(300)
        return simulation, asked

    simulation, asked = run(scenario())

    assert delivered(simulation) == [str(number) for number in range(2000)]
    assert max(asked) <= 20


def test_what_is_filtered_out_counts_as_processed() -> None:
    async def scenario() -> Simulation:
        patterns = ['{"data": {"kind": ["a"]}}', '{"data": {"n": [{"numeric": [">", 5]}]}}']
        settings = {"FilterCriteria": {"Filters": [{"Pattern": pattern} for pattern in patterns]}}
        simulation = Simulation("kinesis", settings, accept)
        for data in ('{"kind": "a"}', '{"kind": "b"}', '{"n": 6}', "no JSON", '{"n": 5}'):
            simulation.stream.put("k", data)
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    simulation = run(scenario())

    assert delivered(simulation) == ['{"kind": "a"}', '{"n": 6}']
    assert simulation.checkpoint is not None
    assert simulation.checkpoint.shards["shardId-000000000000"].after == simulation.stream.records[-1].sequence


def test_a_payload_that_is_nested_too_deeply_to_be_parsed_is_filtered_as_text() -> None:
    async def scenario() -> Simulation:
        rules = [{"data": {"n": [1]}}, {"data": [{"prefix": "[["}]}]
        filters = {"Filters": [{"Pattern": json.dumps(rule)} for rule in rules]}
        simulation = Simulation("kinesis", {"FilterCriteria": filters}, accept)
        for text in ('{"n": 1}', '{"n": 2}', deep, '{"n": 1}'):
            simulation.stream.put("a", text)
        simulation.start()
        await asyncio.sleep(5)
        simulation.check()
        return simulation

    deep = "[" * 100_000

    assert delivered(run(scenario())) == ['{"n": 1}', deep, '{"n": 1}']


def test_without_a_destination_a_discarded_batch_is_reported_as_lost() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {"MaximumRetryAttempts": 0}, fail)
        simulation.stream.put("a", "a")
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    simulation = run(scenario())

    [loss] = simulation.losses
    assert "1 records from 100000000000000000007" in loss
    assert "the mapping has no destination" in loss


def test_records_that_expire_are_discarded() -> None:
    async def scenario() -> Simulation:
        destination = {"OnFailure": {"Destination": "arn:aws:s3:::b"}}
        simulation = Simulation("kinesis", {"DestinationConfig": destination}, fail, retention=3600)
        simulation.stream.put("a", "a")
        simulation.start()
        await asyncio.sleep(3700)
        return simulation

    [record] = run(scenario()).discarded

    assert record.metadata["requestContext"]["condition"] == "RecordAgeExceeded"


def test_an_invocation_record_that_is_refused_is_sent_until_it_is_taken() -> None:
    async def scenario() -> Simulation:
        down = True
        destination = {"OnFailure": {"Destination": "arn:aws:s3:::b"}}
        settings = {"MaximumRetryAttempts": 0, "BatchSize": 1, "DestinationConfig": destination}
        simulation = Simulation("kinesis", settings, fail, refuses=lambda: down)
        simulation.stream.put("a", "a")
        simulation.stream.put("a", "b")
        simulation.start()
        await asyncio.sleep(100)
        assert delivered(simulation) == ["a"]
        down = False
        await asyncio.sleep(100)
        return simulation

    simulation = run(scenario())

    assert delivered(simulation) == ["a", "b"]
    assert len(simulation.discarded) == 2
    assert ("DestinationDeliveryFailures", 1) in simulation.metrics


def test_records_trimmed_before_they_were_read_are_told_of_and_passed_over() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {}, accept, retention=3600)
        lost, kept = simulation.stream.put("a", "read"), simulation.stream.put("a", "trimmed")
        simulation.checkpoint = Checkpoint(None, {"shardId-000000000000": ShardCheckpoint(lost.sequence)})
        assert kept
        await asyncio.sleep(4000)
        simulation.stream.put("a", "fresh")
        simulation.start()
        await asyncio.sleep(10)
        return simulation

    simulation = run(scenario())

    assert delivered(simulation) == ["fresh"]
    assert "no longer has" in simulation.losses[0]


def test_a_stream_or_a_function_that_is_gone_is_waited_for() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {}, accept, lambda: Injection(Fault.THROTTLED if gone else Fault.NONE))

        def fault() -> None:
            if gone:
                raise SourceError("ResourceNotFoundException")

        gone = True
        simulation.stream.fault = fault
        simulation.stream.put("a", "a")
        simulation.start()
        await asyncio.sleep(3600)
        gone = False
        await asyncio.sleep(70)
        simulation.check()
        return simulation

    simulation = run(scenario())

    assert delivered(simulation) == ["a"]
    assert "stream: ResourceNotFoundException" in simulation.problems


@pytest.mark.parametrize(
    ("destination", "fate"),
    [
        ({"OnFailure": {"Destination": "arn:aws:s3:::b"}}, "OnFailureDestinationDeliveredEventCount"),
        ({}, "DroppedEventCount"),
    ],
)
def test_events_are_counted_where_the_mapping_asks_for_it(destination: dict[str, Any], fate: str) -> None:
    async def scenario() -> Simulation:
        settings = {
            "MetricsConfig": {"Metrics": ["EventCount"]},
            "MaximumRetryAttempts": 1,
            "DestinationConfig": destination,
        }
        simulation = Simulation("kinesis", settings, fail)
        simulation.stream.put("a", "a")
        simulation.stream.put("a", "b")
        simulation.start()
        await asyncio.sleep(60)
        return simulation

    totals: Counter[str] = Counter()
    simulation = run(scenario())
    for name, value in simulation.metrics:
        totals[name] += int(value)

    ages = [value for name, value in simulation.metrics if name == "IteratorAge"]
    assert ages == pytest.approx([10, 420], abs=60)
    del totals["IteratorAge"]
    assert totals == {
        "PolledEventCount": 2,
        "FilteredOutEventCount": 0,
        "InvokedEventCount": 4,
        "FailedInvokeEventCount": 4,
        fate: 2,
    }


@pytest.mark.parametrize("restart", ["kill", "change"])
def test_the_retry_count_of_a_batch_survives_a_restart(restart: str) -> None:
    async def scenario() -> Simulation:
        destination = {"OnFailure": {"Destination": "arn:aws:s3:::b"}}
        settings = {"MaximumRetryAttempts": 5, "BatchSize": 2, "DestinationConfig": destination}
        simulation = Simulation("kinesis", settings, fail)
        for text in ("a", "b", "c"):
            simulation.stream.put("k", text)
        simulation.start()
        while len(simulation.seen) < 3:
            await asyncio.sleep(0.1)
        if restart == "kill":
            simulation.kill()
            simulation.stream.put("k", "d")
            simulation.start()
        else:
            simulation.settings["BatchSize"] = 3
        await asyncio.sleep(100)
        return simulation

    simulation = run(scenario())

    invoked = [texts(seen.event) for seen in simulation.seen]
    assert invoked[:6] == [["a", "b"]] * 6
    assert ["a", "b"] not in invoked[6:]
    assert [r.metadata["requestContext"]["approximateInvokeCount"] for r in simulation.discarded] == [6, 6]


def test_a_batch_that_was_halved_stays_halved_after_a_restart() -> None:
    async def scenario() -> Simulation:
        settings = {"MaximumRetryAttempts": 2, "BisectBatchOnFunctionError": True}
        simulation = Simulation("dynamodb", settings, fail)
        for text in ("a", "b", "c", "d"):
            simulation.stream.change("INSERT", {"Id": {"S": "k"}}, {"Text": {"S": text}})
        simulation.start()
        while len(simulation.seen) < 4:
            await asyncio.sleep(0.1)
        simulation.kill()
        simulation.start()
        await asyncio.sleep(100)
        return simulation

    invoked = [texts(seen.event) for seen in run(scenario()).seen]

    assert invoked[:2] == [["a", "b", "c", "d"], ["a", "b"]]
    assert [len(batch) for batch in invoked[2:]].count(4) == 0
    assert Counter(text for [text] in [batch for batch in invoked if len(batch) == 1]) == dict.fromkeys("abcd", 3)


async def succeeding_after(simulation: Simulation, change: dict[str, Any]) -> Simulation:
    """Let batches fail for a while, change the mapping, and see that it gets to the end of its shard."""
    simulation.start()
    await asyncio.sleep(35)
    simulation.function = accept
    simulation.seen.clear()
    simulation.settings |= change
    await asyncio.sleep(600)
    simulation.check()
    assert simulation.checkpoint is not None
    assert simulation.checkpoint.shards["shardId-000000000000"].after == simulation.stream.records[-1].sequence
    return simulation


@pytest.mark.parametrize(
    "change",
    [
        {"ParallelizationFactor": 1},
        {"ParallelizationFactor": 2},
        {"ParallelizationFactor": 1, "BatchSize": 3},
        {"FilterCriteria": {"Filters": [{"Pattern": '{"data": [{"prefix": "n1"}]}'}]}},
        {"FilterCriteria": {}},
    ],
)
def test_batches_under_retry_do_not_hold_a_shard_when_the_mapping_changes(change: dict[str, Any]) -> None:
    async def scenario() -> Simulation:
        settings = {"BatchSize": 10, "ParallelizationFactor": 10, "FilterCriteria": ODD}
        simulation = Simulation("kinesis", settings, fail)
        for number in range(400):
            simulation.stream.put(f"k{number // 2}", f"n{number}")
        return await succeeding_after(simulation, change)

    simulation = run(scenario())

    assert max(len(seen.event["Records"]) for seen in simulation.seen) <= simulation.settings["BatchSize"]


def test_a_batch_under_retry_that_no_longer_fits_into_memory_is_formed_anew() -> None:
    async def scenario() -> Simulation:
        settings = {"BatchSize": 100, "ParallelizationFactor": 10, "MaximumBatchingWindowInSeconds": 5}
        simulation = Simulation("kinesis", settings, fail)
        processors = [zlib.crc32(f"k{number}".encode()) % 10 for number in range(2000)]
        [rare, *_], others = (
            [n for n in range(2000) if not processors[n]],
            [n for n in range(2000) if processors[n]][:500],
        )
        for number in (rare, *others, rare):
            simulation.stream.put(f"k{number}", str(number))
        return await succeeding_after(simulation, {"BatchSize": 20})

    run(scenario())


def test_a_batch_under_retry_whose_last_record_is_trimmed_goes_on_without_it() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", {"BatchSize": 2}, fail, retention=3600)
        read = simulation.stream.read
        out = False

        async def one_by_one(shard_id: str, iterator: str, limit: int) -> ReadResult:
            nonlocal out
            if out and simulation.now() < EPOCH + 4000:
                raise SourceError("the stream is not to be had")
            page = await read(shard_id, iterator, min(limit, 1))
            out = bool(page.records)
            return page

        simulation.stream.put("k", "a")
        simulation.stream.put("k", "b")
        simulation.start()
        await asyncio.sleep(10)
        simulation.kill()
        simulation.stream.read = one_by_one  # type: ignore[method-assign]
        simulation.start()
        await asyncio.sleep(5000)
        simulation.check()
        return simulation

    simulation = run(scenario())

    assert any("RecordAgeExceeded" in loss for loss in simulation.losses)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
