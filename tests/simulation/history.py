"""A history drawn from a seed: hours of writes, faults, crashes and reshardings, and what must hold."""

import asyncio
import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from localcloud.engine.ports import Checkpoint, Pace
from localcloud.engine.record import Record
from tests.simulation.simulation import Event, Fault, Injection, Seen, Simulation
from tests.simulation.stream import sequences, texts, unreliable

HOUR = 3600.0
S3 = {"OnFailure": {"Destination": "arn:aws:s3:::failures"}}
FAULTS = [fault for fault in Fault if fault is not Fault.NONE]


@dataclass(slots=True)
class History:
    """A mapping drawn from a seed, and its invariants, checked as the history unfolds.

    `settled` is what was processed, discarded or filtered. To try a function of your own, override `write`,
    which calls `written` with each record, and `function`, which calls `processed` with each sequence number.
    """

    seed: int
    service: str = ""
    random: Random = field(init=False)
    simulation: Simulation = field(init=False)
    happened: Counter[str] = field(default_factory=Counter)
    settled: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    troubled: bool = True
    _earlier: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _rank: dict[str, tuple[str, int]] = field(default_factory=dict)
    _active: set[tuple[int, str]] = field(default_factory=set)
    _failures: Counter[tuple[str, str]] = field(default_factory=Counter)
    _saved: dict[str, tuple[int, bool]] = field(default_factory=dict)
    _discarded_read: int = 0
    _retries: set[int] = field(default_factory=set)
    _slow: int = 1
    _crashes: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw what the mapping is like."""
        self.random = Random(self.seed)
        draw = self.random
        self._slow = draw.choice([1, 60])
        service = self.service or draw.choice(["kinesis", "dynamodb"])
        settings: dict[str, Any] = {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::failures"}}}
        settings |= {"MaximumRecordAgeInSeconds": draw.choice([-1, 60, 600, 3600])}
        settings |= {"MaximumBatchingWindowInSeconds": draw.choice([0, 0, 1, 30])}
        settings["FunctionResponseTypes"] = draw.choice([[], ["ReportBatchItemFailures"]])
        if service == "kinesis" and draw.random() < 0.1:
            settings["FilterCriteria"] = {"Filters": [{"Pattern": '{"data": {"keep": [true]}}'}]}
        self.simulation = Simulation(
            service,
            settings,
            self.function,
            self.inject,
            refuses=lambda: self.troubled and draw.random() < 0.2,
            pace=Pace(20 * self._slow, 1, 5, 60 * self._slow, 30 * self._slow),
            shards=draw.randint(1, 3),
            on_save=self.saved,
            on_begin=self.begun,
            on_end=self.ended,
        )
        self.change_mapping()

    def change_mapping(self) -> None:
        """Draw the settings anew that may change in the life of a mapping."""
        draw, settings = self.random, self.simulation.settings
        retries = draw.choice([0, 1, 3, 10])
        self._retries.add(retries)
        settings["MaximumRetryAttempts"] = retries
        settings["BatchSize"] = draw.choice([1, 3, 10, 100])
        settings["ParallelizationFactor"] = draw.choice([1, 1, 2, 5])
        settings["BisectBatchOnFunctionError"] = draw.random() < 0.5

    async def unfold(self) -> None:
        """Hours or days of trouble, then peace until everything is settled, or too long."""
        simulation = self.simulation
        simulation.stream.fault = unreliable(self.random.random, 0.02)
        simulation.start()
        troubles = [
            asyncio.ensure_future(self._every(seconds, trouble))
            for seconds, trouble in (
                (60, self.write),
                (900, self.crash),
                (2000, self.reshard),
                (2500, self.alter),
            )
        ]
        await asyncio.sleep(self.random.uniform(1, 3) * HOUR * self._slow)
        for task in [*troubles, *self._crashes]:
            task.cancel()
        self.troubled = False
        simulation.stream.fault = lambda: None
        simulation.settings.pop("State", None)
        if not simulation.alive:
            simulation.start()
        for _ in range(400):
            simulation.check()
            self._read_discarded()
            assert not self.violations, self.violations[0]
            if all(record.sequence in self.settled for record in simulation.stream.records):
                return
            await asyncio.sleep(60)
        left = [record.sequence for record in simulation.stream.records if record.sequence not in self.settled]
        raise AssertionError(f"{len(left)} records are neither processed nor discarded, from {left[0]} on")

    async def _every(self, seconds: float, trouble: Callable[[], Any]) -> None:
        while True:
            await asyncio.sleep(self.random.expovariate(1 / seconds) * self._slow)
            self.happened[trouble.__name__] += 1
            await trouble()

    async def write(self) -> None:
        """Put some records, now and then one that can never succeed."""
        draw, simulation = self.random, self.simulation
        for _ in range(draw.choice([1, 3, 30])):
            key = f"key-{draw.randrange(8)}"
            keep = "FilterCriteria" not in simulation.settings or draw.random() < 0.5
            text = json.dumps({"poison": draw.random() < 0.01, "keep": keep})
            if simulation.service == "kinesis":
                record = simulation.stream.put(key, text)
            else:
                record = simulation.stream.change("INSERT", {"Id": {"S": key}}, {"Text": {"S": text}})
            self.written(record)
            if not keep:
                self.settled.add(record.sequence)
                self.happened["filtered"] += 1

    def written(self, record: Record) -> None:
        """Note a record, and its place among those of its key."""
        self._rank[record.sequence] = record.key, len(self._earlier[record.key])
        self._earlier[record.key].append(record.sequence)

    async def crash(self, after: float = 0) -> None:
        """Kill the engine, and start another one a while later."""
        await asyncio.sleep(after)
        self.simulation.kill()
        await asyncio.sleep(self.random.uniform(0, 300))
        self.simulation.start()

    async def reshard(self) -> None:
        """Split a shard, or merge two."""
        stream = self.simulation.stream
        shards = stream.open()
        if self.simulation.service == "kinesis" and len(shards) > 1 and self.random.random() < 0.5:
            left = self.random.randrange(len(shards) - 1)
            stream.merge(shards[left], shards[left + 1])
        elif len(shards) < 6:
            stream.split(self.random.choice(shards))

    async def alter(self) -> None:
        """Change the mapping; now and then it is disabled for a while."""
        if self.random.random() < 0.3:
            self.simulation.settings["State"] = "Disabled"
            await asyncio.sleep(self.random.uniform(0, 600))
            self.simulation.settings["State"] = "Enabled"
        self.change_mapping()

    def inject(self) -> Injection:
        """What befalls an invocation."""
        seconds = self.random.choice([0.01, 0.1, 1, 20])
        if self.troubled and self.random.random() < 0.02:
            self._crashes.append(asyncio.ensure_future(self.crash(self.random.uniform(0, seconds))))
        if self.troubled and self.random.random() < 0.2:
            fault = self.random.choice(FAULTS)
            self.happened[fault.name] += 1
            return Injection(fault, seconds)
        return Injection(seconds=seconds)

    def function(self, event: Event) -> Any:
        """Process records in order, up to one that is poison."""
        for sequence, text in zip(sequences(event), texts(event), strict=True):
            if json.loads(text)["poison"]:
                self.happened["poison"] += 1
                if not self.simulation.settings["FunctionResponseTypes"] or self.random.random() < 0.5:
                    raise ValueError("poison")
                return {"batchItemFailures": [{"itemIdentifier": sequence}]}
            self.processed(sequence)
        return {"batchItemFailures": []}

    def processed(self, sequence: str) -> None:
        """Order: nothing of a key is processed before what was written to it earlier is settled."""
        self._read_discarded()
        key, rank = self._rank[sequence]
        earlier = self._earlier[key][:rank]
        if not self.settled.issuperset(earlier[-50:]):
            # Not asserted here: what a function raises is the engine's to retry.
            self.violations.append(f"{sequence} of {key} overtook an earlier record")
        self.settled.add(sequence)

    def begun(self, seen: Seen) -> None:
        """One batch in flight: an engine never delivers a key twice at a time."""
        for key in {self._rank[sequence][0] for sequence in sequences(seen.event)}:
            assert (seen.life, key) not in self._active, f"{key} is in flight twice"
            self._active.add((seen.life, key))

    def ended(self, seen: Seen, failed: bool) -> None:
        """Retries: no batch fails more often than MaximumRetryAttempts and once."""
        delivered = sequences(seen.event)
        self._active -= {(seen.life, self._rank[sequence][0]) for sequence in delivered}
        if failed:
            # A kill may lose one failure of a batch: that of the invocation in flight.
            batch, lost = (delivered[0], delivered[-1]), self.simulation.runners
            self._failures[batch] += 1
            assert self._failures[batch] <= max(self._retries) + 1 + lost, f"{batch} failed too often"

    def saved(self, checkpoint: Checkpoint) -> None:
        """Checkpoints only move forward, and only past what is settled."""
        self._read_discarded()
        for shard_id, state in checkpoint.shards.items():
            shard, after = self.simulation.stream.shards[shard_id], int(state.after or 0)
            before, drained = self._saved.get(shard_id, (0, False))
            assert after >= before, f"{shard_id} went back from {before} to {after}"
            assert state.drained or not drained, f"{shard_id} is no longer drained"
            assert shard.closed or not state.drained, f"{shard_id} is open, and drained"
            passed = shard.records if state.drained else _between(shard.records, before, after)
            skipped = [record.sequence for record in passed if record.sequence not in self.settled]
            assert not skipped, f"the checkpoint of {shard_id} skips {skipped}"
            self._saved[shard_id] = after, state.drained

    def _read_discarded(self) -> None:
        """Invocation records say how often a batch was tried and how old it was: none is discarded too early."""
        for record in self.simulation.discarded[self._discarded_read :]:
            context = record.metadata["requestContext"]
            self.happened[context["condition"]] += 1
            if context["condition"] == "RetryAttemptsExhausted":
                # The limit may have changed while the batch was retried.
                assert min(self._retries) <= context["approximateInvokeCount"] - 1 <= max(self._retries), (
                    record.metadata
                )
            else:
                assert self.simulation.settings["MaximumRecordAgeInSeconds"] != -1, record.metadata
            self.settled.update(sequences(json.loads(record.event)))
        self._discarded_read = len(self.simulation.discarded)


def _between(records: list[Record], before: int, after: int) -> list[Record]:
    first, last = (bisect_right(records, number, key=lambda record: record.number) for number in (before, after))
    return records[first:last]
