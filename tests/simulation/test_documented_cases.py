"""Each case of `cases`, for both kinds of stream, on the simulated cloud."""

import asyncio
import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

import pytest

from tests.simulation.behaviour import behave
from tests.simulation.cases import CASES, Case
from tests.simulation.simulation import EPOCH, Injection, Simulation
from tests.simulation.stream import sequences as sequence_numbers
from tests.simulation.stream import texts
from tests.simulation.virtual_time import run

PARAMETERS = [pytest.param(case, service, id=f"{service}: {case.name}") for case in CASES for service in case.services]


def write(simulation: Simulation, text: str) -> None:
    """Put a text under its first letter as the key."""
    if simulation.service == "kinesis":
        simulation.stream.put(text[0], text)
    else:
        simulation.stream.change("INSERT", {"Id": {"S": text[0]}}, {"Text": {"S": text}})


@pytest.mark.parametrize(("case", "service"), PARAMETERS)
def test_the_engine_does_what_aws_does(case: Case, service: str) -> None:
    run(_check(case, service))


async def _check(case: Case, service: str) -> None:
    attempts = 0

    def inject() -> Injection:
        nonlocal attempts
        attempts += 1
        return case.inject(attempts - 1) if case.inject else Injection()

    def function(event: dict[str, Any]) -> Any:
        return behave(texts(event), list(sequence_numbers(event)), asdict(case.function))

    simulation = Simulation(service, case.settings, function, inject)
    sequences: dict[str, str] = {}
    start = max(0.0, -case.writes[0][0])
    asyncio.get_running_loop().call_later(start, simulation.start)
    for seconds, text in case.writes:
        at = EPOCH + start + seconds
        if simulation.now() < at:
            await asyncio.sleep(at - simulation.now())
        write(simulation, text)
        sequences[text] = simulation.stream.records[-1].sequence
    await asyncio.sleep(200)

    simulation.check()
    invoked = [texts(seen.event) for seen in simulation.seen]
    if "ParallelizationFactor" in case.settings:
        invoked.sort(key=lambda batch: batch[0][0])
    assert invoked == case.invoked
    assert [
        (
            record.metadata["requestContext"]["condition"],
            record.metadata["requestContext"]["approximateInvokeCount"],
            texts(json.loads(record.event)),
        )
        for record in simulation.discarded
    ] == case.discarded
    if case.discarded_at is not None:
        last = simulation.discarded[-1].metadata["timestamp"]
        assert datetime.fromisoformat(last).timestamp() == pytest.approx(EPOCH + case.discarded_at, abs=0.5)
    if case.times:
        assert [seen.at for seen in simulation.seen] == pytest.approx(case.times, abs=0.5)
    assert simulation.checkpoint is not None
    assert [shard.after for shard in simulation.checkpoint.shards.values()] == [max(sequences.values(), key=int)]
