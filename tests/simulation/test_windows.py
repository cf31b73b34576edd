"""Tumbling windows: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html"""

import asyncio
import time
from typing import Any

from localcloud.engine.ports import ReadResult, SourceError
from tests.simulation.simulation import EPOCH, Injection, Simulation
from tests.simulation.stream import sequences, texts
from tests.simulation.virtual_time import run

WINDOW = {"TumblingWindowInSeconds": 120, "MaximumRetryAttempts": 1}


def count(event: dict[str, Any]) -> dict[str, Any]:
    """A function that counts the records of a window."""
    return {"state": {"n": event["state"].get("n", 0) + len(event["Records"])}}


def windows(simulation: Simulation) -> list[tuple[list[str], Any, bool, bool]]:
    """Of each invocation the texts, the state, and whether it is the final one, and early."""
    return [
        (texts(e), e["state"].get("n"), e["isFinalInvokeForWindow"], e["isWindowTerminatedEarly"])
        for e in (seen.event for seen in simulation.seen)
    ]


def test_a_tumbling_window_carries_its_state_to_its_final_invocation() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW, count)
        simulation.start()
        for seconds, text in ((1, "a"), (50, "b"), (60, "c"), (121, "d")):
            await asyncio.sleep(seconds - (simulation.now() - EPOCH) + START)
            simulation.stream.put("k", text)
        await asyncio.sleep(300)
        return simulation

    START = -EPOCH % 120  # noqa: N806 - so that a window begins at 0
    simulation = run(scenario())

    assert windows(simulation) == [
        (["a"], None, False, False),
        (["b"], 1, False, False),
        (["c"], 2, False, False),
        ([], 3, True, False),
        (["d"], None, False, False),
        ([], 1, True, False),
    ]
    first = simulation.seen[0].event
    assert first["shardId"] == "shardId-000000000000"
    assert first["eventSourceARN"] == simulation.stream.arn
    begin = EPOCH + START
    assert first["window"] == {"start": _text(begin), "end": _text(begin + 120)}
    assert simulation.seen[3].event["window"] == first["window"]


def test_a_window_ends_with_its_shard() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW, count)
        simulation.stream.put("k", "a")
        simulation.start()
        await asyncio.sleep(2)
        simulation.stream.split(simulation.stream.open()[0])
        await asyncio.sleep(5)
        simulation.stream.put("k", "b")
        await asyncio.sleep(20)
        return simulation

    assert windows(run(scenario()))[:3] == [
        (["a"], None, False, False),
        ([], 1, True, False),
        (["b"], None, False, False),
    ]


def finals(simulation: Simulation) -> list[Any]:
    """The state of each final invocation."""
    return [state for _, state, final, _ in windows(simulation) if final]


def test_a_window_that_is_read_late_and_slowly_closes_once() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW | {"BatchSize": 100}, count, lambda: Injection(seconds=0.005))
        slow_down(simulation, 3)
        for number in range(450):
            simulation.stream.put("k", str(number))
        await asyncio.sleep(600)
        simulation.start()
        await asyncio.sleep(100)
        return simulation

    assert finals(run(scenario())) == [450]


def test_a_window_that_ends_while_a_page_is_read_closes_after_it() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW, count)
        slow_down(simulation, 10)
        await asyncio.sleep(-EPOCH % 120 + 100)
        simulation.stream.put("k", "a")
        simulation.start()
        for text in ("b", "c", "d"):
            await asyncio.sleep(6)
            simulation.stream.put("k", text)
        await asyncio.sleep(60)
        return simulation

    assert finals(run(scenario())) == [4]


def test_a_window_closes_after_a_restart_once_the_stream_is_read_again() -> None:
    async def scenario() -> Simulation:
        async def failing(shard_id: str, iterator: str, limit: int) -> ReadResult:
            if simulation.now() < EPOCH + 700:
                raise SourceError("the stream is not to be had")
            return await read(shard_id, iterator, limit)

        simulation = Simulation("kinesis", WINDOW, count)
        read = simulation.stream.read
        simulation.stream.put("k", "a")
        simulation.start()
        await asyncio.sleep(3)
        simulation.kill()
        simulation.stream.put("k", "b")
        await asyncio.sleep(600)
        simulation.stream.read = failing  # type: ignore[method-assign]
        simulation.start()
        await asyncio.sleep(200)
        return simulation

    assert finals(run(scenario())) == [2]


def slow_down(simulation: Simulation, seconds: float) -> None:
    """Have each page arrive so long after the stream made it."""
    read = simulation.stream.read

    async def slow(shard_id: str, iterator: str, limit: int) -> ReadResult:
        page = await read(shard_id, iterator, limit)
        await asyncio.sleep(seconds)
        return page

    simulation.stream.read = slow  # type: ignore[method-assign]


def test_a_response_without_a_state_fails_the_batch() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW, lambda _: None)
        simulation.stream.put("k", "a")
        simulation.start()
        await asyncio.sleep(60)
        return simulation

    simulation = run(scenario())

    assert len(simulation.seen) == 2
    assert len(simulation.losses) == 1


def test_a_state_over_1_mb_ends_the_window_early() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW | {"BatchSize": 1}, lambda _: {"state": {"n": "x" * size}})
        simulation.stream.put("k", "a")
        simulation.stream.put("k", "b")
        simulation.start()
        await asyncio.sleep(5)
        return simulation

    size = 1024 * 1024 + 1

    assert [(t, bool(n), final, early) for t, n, final, early in windows(run(scenario()))] == [
        (["a"], False, False, False),
        ([], True, True, True),
        (["b"], False, False, False),
        ([], True, True, True),
    ]


def test_a_final_invocation_that_fails_holds_the_shard_until_it_succeeds() -> None:
    async def scenario() -> Simulation:
        def function(event: dict[str, Any]) -> dict[str, Any]:
            if event["isFinalInvokeForWindow"] and simulation.now() < EPOCH + 300:
                raise ValueError
            return count(event)

        simulation = Simulation("kinesis", WINDOW, function)
        simulation.stream.put("k", "a")
        simulation.start()
        await asyncio.sleep(130)
        simulation.stream.put("k", "b")
        await asyncio.sleep(100)
        assert all(texts(seen.event) in (["a"], []) for seen in simulation.seen)
        await asyncio.sleep(400)
        return simulation

    seen = windows(run(scenario()))

    assert seen[-3:] == [([], 1, True, False), (["b"], None, False, False), ([], 1, True, False)]


def test_the_state_of_a_window_survives_a_restart() -> None:
    async def scenario() -> Simulation:
        simulation = Simulation("kinesis", WINDOW, count)
        simulation.stream.put("k", "a")
        simulation.start()
        await asyncio.sleep(3)
        simulation.kill()
        simulation.stream.put("k", "b")
        simulation.start()
        await asyncio.sleep(3)
        return simulation

    assert windows(run(scenario())) == [(["a"], None, False, False), (["b"], 1, False, False)]


def test_a_partial_response_keeps_the_state_of_what_was_accepted() -> None:
    async def scenario() -> Simulation:
        def function(event: dict[str, Any]) -> dict[str, Any]:
            numbers = sequences(event)
            failed = [{"itemIdentifier": numbers[-1]}] if len(numbers) > 1 else []
            accepted = len(numbers) - len(failed)
            return {"state": {"n": event["state"].get("n", 0) + accepted}, "batchItemFailures": failed}

        simulation = Simulation("kinesis", WINDOW | {"FunctionResponseTypes": ["ReportBatchItemFailures"]}, function)
        for text in ("a", "b", "c"):
            simulation.stream.put("k", text)
        simulation.start()
        await asyncio.sleep(5)
        return simulation

    assert windows(run(scenario())) == [(["a", "b", "c"], None, False, False), (["c"], 2, False, False)]


def _text(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
