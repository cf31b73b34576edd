"""The engine's ports in memory, and an engine in them that may be killed at any moment."""

import asyncio
import json
import random
import uuid
from collections.abc import Callable, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

from localcloud.engine.invocation_record import InvocationRecord
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import (
    Checkpoint,
    Invocation,
    NotDeliveredError,
    NotInvokedError,
    Pace,
    Services,
)
from localcloud.engine.supervisor import Engine
from tests.fakes.stream import ARN
from tests.simulation.stream import SimulatedSource, Stream

EPOCH = 1_790_000_000.0
UUID = "11111111-2222-3333-4444-555555555555"
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
ARNS = {
    "kinesis": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
    "dynamodb": ARN,
}

Event = dict[str, Any]
Function = Callable[[Event], Any]
"""A handler without its context: it returns its response, bytes as they are, or raises what the function raises."""


class Fault(Enum):
    """What may befall an invocation."""

    NONE = auto()
    THROTTLED = auto()
    CRASHED_BEFORE = auto()
    CRASHED_AFTER = auto()
    TIMED_OUT = auto()
    RESPONSE_LOST = auto()
    DELIVERED_TWICE = auto()


@dataclass(frozen=True, slots=True)
class Injection:
    """What befalls one invocation, and how many seconds it takes."""

    fault: Fault = Fault.NONE
    seconds: float = 0.01


@dataclass(slots=True)
class Seen:
    """One invocation: when, in seconds since the start, with what, and by which engine and runner."""

    at: float
    event: Event
    life: int
    runner: int


@dataclass(slots=True)
class Simulation:
    """One stream, one mapping, one function, and an engine that can be started and killed.

    `function` is called with each event. `inject` is drawn for each invocation, and `refuses` for each invocation
    record. `on_begin` and `on_end` are told of every invocation, and whether it consumes a retry; `on_save` of every
    checkpoint. What happened is kept in lists.
    """

    service: str
    settings: dict[str, Any]
    function: Function
    inject: Callable[[], Injection] = Injection
    refuses: Callable[[], bool] = lambda: False
    pace: Pace = field(default_factory=Pace)
    shards: int = 1
    retention: float = 86400
    on_save: Callable[[Checkpoint], None] = lambda _: None
    on_begin: Callable[[Seen], None] = lambda _: None
    on_end: Callable[[Seen, bool], None] = lambda *_: None
    seen: list[Seen] = field(default_factory=list)
    discarded: list[InvocationRecord] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    metrics: list[tuple[str, float]] = field(default_factory=list)
    engine_faults: list[BaseException] = field(default_factory=list)
    checkpoint: Checkpoint | None = None
    stream: Stream = field(init=False)
    runners: int = 0
    _lives: int = 0
    _engine: asyncio.Task[None] | None = None
    _ids: random.Random = field(default_factory=lambda: random.Random(0))

    def __post_init__(self) -> None:
        """Make the stream."""
        self.stream = Stream(ARNS[self.service], self.now, self.shards, self.retention)

    def now(self) -> float:
        """Seconds since the epoch, by the virtual clock."""
        try:
            return EPOCH + asyncio.get_running_loop().time()
        except RuntimeError:
            return EPOCH

    def config(self) -> dict[str, Any]:
        """The mapping, as ListEventSourceMappings would tell it."""
        return {
            "UUID": UUID,
            "EventSourceArn": self.stream.arn,
            "FunctionArn": FUNCTION_ARN,
            "State": "Enabled",
            "LastModified": datetime.fromtimestamp(EPOCH, UTC),
            "StartingPosition": "TRIM_HORIZON",
            **self.settings,
        }

    def start(self) -> None:
        """Start an engine on what the last one left."""
        self._lives += 1
        self._engine = asyncio.ensure_future(Engine(self._services()).run())

    def kill(self) -> None:
        """Kill the engine where it stands: nothing that it still tries has any effect. Functions run on."""
        self._lives += 1
        if self._engine:
            self._engine.cancel()
            self._engine = None

    def check(self) -> None:
        """Raise what went wrong in the engine itself."""
        if self._engine and self._engine.done() and not self._engine.cancelled():
            self._engine.result()
        for fault in self.engine_faults:
            raise fault

    @property
    def alive(self) -> bool:
        """Whether an engine runs."""
        return self._engine is not None

    @property
    def life(self) -> int:
        """Changes whenever an engine is started or killed."""
        return self._lives

    def _source(self, _mapping: Mapping) -> SimulatedSource:
        self.runners += 1
        return SimulatedSource(self.stream)

    def _services(self) -> Services:
        ports = _Ports(self, self._lives)
        return Services(
            mappings=ports,
            source=self._source,
            invoker=ports,
            destinations=ports,
            checkpoints=ports,
            metrics=ports,
            status=_Status(self, self._lives),
            now=self.now,
            new_id=lambda: uuid.UUID(int=self._ids.getrandbits(128)),
            pace=self.pace,
        )


class _Ports:
    """All ports of one life of the engine."""

    def __init__(self, simulation: Simulation, life: int) -> None:
        self._sim = simulation
        self._life = life

    async def list(self) -> Sequence[dict[str, Any]]:
        await self._alive()
        return [self._sim.config()]

    async def invoke(self, _function_arn: str, event: bytes) -> Invocation:
        await self._alive()
        injection = self._sim.inject()
        if injection.fault is Fault.THROTTLED:
            raise NotInvokedError("TooManyRequestsException")
        # A task of its own: the function runs on when the engine is killed.
        invocation = await asyncio.ensure_future(self._run(json.loads(event), injection))
        await self._alive()
        if injection.fault is Fault.RESPONSE_LOST:
            raise NotInvokedError("connection closed")
        return invocation

    async def _run(self, event: Event, injection: Injection) -> Invocation:
        sim = self._sim
        seen = Seen(sim.now() - EPOCH, event, self._life, sim.runners)
        sim.seen.append(seen)
        sim.on_begin(seen)
        invocation = await self._answer(event, injection)
        sim.on_end(seen, bool(invocation.error) and injection.fault is not Fault.RESPONSE_LOST)
        return invocation

    async def _answer(self, event: Event, injection: Injection) -> Invocation:
        sim = self._sim
        request = str(uuid.UUID(int=sim._ids.getrandbits(128)))
        failed = Invocation(request, "$LATEST", "Unhandled", b'{"errorMessage": "injected"}')
        await asyncio.sleep(injection.seconds / 2)
        if injection.fault is Fault.CRASHED_BEFORE:
            return failed
        for _ in range(2 if injection.fault is Fault.DELIVERED_TWICE else 1):
            try:
                answer = sim.function(event)
            except Exception as error:  # noqa: BLE001 - whatever a function raises is its answer
                return Invocation(request, "$LATEST", "Unhandled", json.dumps({"errorMessage": str(error)}).encode())
        await asyncio.sleep(injection.seconds / 2)
        if injection.fault in (Fault.CRASHED_AFTER, Fault.TIMED_OUT):
            return failed
        payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return Invocation(request, "$LATEST", None, payload)

    async def deliver(self, _mapping: Mapping, record: InvocationRecord) -> None:
        await self._alive()
        if self._sim.refuses():
            raise NotDeliveredError("the destination is down")
        self._sim.discarded.append(record)

    async def load(self, _uuid: str) -> Checkpoint | None:
        await self._alive()
        return deepcopy(self._sim.checkpoint)

    async def save(self, _uuid: str, checkpoint: Checkpoint) -> None:
        kept = deepcopy(checkpoint)
        await asyncio.sleep(0.005)
        await self._alive()
        self._sim.on_save(kept)
        self._sim.checkpoint = kept

    async def retain(self, _uuids: Set[str]) -> None:
        await self._alive()

    def add(self, _mapping: Mapping, name: str, value: float) -> None:
        self._sim.metrics.append((name, value))

    async def _alive(self) -> None:
        """Go no further once the engine is dead: it unwinds, without effect."""
        if self._life != self._sim.life:
            raise asyncio.CancelledError


class _Status:
    def __init__(self, simulation: Simulation, life: int) -> None:
        self._sim = simulation
        self._life = life

    def retain(self, _mappings: Sequence[str]) -> None:
        pass

    def problem(self, _mapping: str, where: str, what: str) -> None:
        self._sim.problems.append(f"{where}: {what}")

    def well(self, _mapping: str, _where: str) -> None:
        pass

    def invoked(self, _mapping: str, *, failed: bool) -> None:
        pass

    def lost(self, _mapping: str, what: str) -> None:
        if self._life == self._sim.life:
            self._sim.losses.append(what)

    def fault(self, _mapping: str, error: BaseException) -> None:
        self._sim.engine_faults.append(error)
