"""A lane of a shard: one batch in flight, in order, to its end."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from localcloud.engine.delivery import Piece, Settlement, backoff, expire, settle
from localcloud.engine.envelope import dead_letter
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import DeadLetter, Invocation, NotDeliveredError, NotInvokedError, World
from localcloud.engine.record import Record, event
from localcloud.engine.response import accepted
from localcloud.engine.tasks import unbroken

MAX_PAYLOAD = 6 * 1024 * 1024 - 64
"""Lambda's 6 MB for an event, less the event's own brackets."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which shard of which mapping, and how long the stream keeps a record, in seconds."""

    mapping: Mapping
    shard_id: str
    retention: float


class Lane:
    """Forms batches of the records put into it and delivers each until it is processed or given up."""

    def __init__(self, world: World, place: Place, finish: Callable[[Iterable[Record]], None]) -> None:
        self._world = world
        self._place = place
        self._mapping = place.mapping
        self._finish = finish
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._more = asyncio.Event()

    def put(self, record: Record) -> None:
        """Add the next record, in order."""
        self._waiting.append(record)
        self._bytes += len(record.body) + 1
        self._more.set()

    async def run(self) -> None:
        """Deliver batches until cancelled."""
        while True:
            opened = asyncio.get_running_loop().time()
            pieces = [Piece(await self._batch(opened))]
            while pieces:
                pieces += reversed(await self._deliver(pieces.pop()))

    async def _batch(self, opened: float) -> list[Record]:
        """The next batch: what BatchSize, the batching window or 6 MB ends first.

        Windows follow one another from `opened`, when the previous invocation completed; one that stays empty
        invokes nothing.
        """
        while not self._waiting:
            await self._one_more(until=None)
        if window := self._mapping.window:
            elapsed = asyncio.get_running_loop().time() - opened
            closes = opened + (elapsed // window + 1) * window
            while not self._full() and await self._one_more(closes):
                pass
        batch: list[Record] = []
        size = 0
        while self._waiting and len(batch) < self._mapping.batch_size:
            size += len(self._waiting[0].body) + 1
            if batch and size > MAX_PAYLOAD:
                break
            batch.append(self._waiting.popleft())
            self._bytes -= len(batch[-1].body) + 1
        return batch

    def _full(self) -> bool:
        return len(self._waiting) >= self._mapping.batch_size or self._bytes >= MAX_PAYLOAD

    async def _one_more(self, until: float | None) -> bool:
        """Wait for the next record; False when `until`, in the loop's time, comes first."""
        self._more.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._more.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver(self, piece: Piece) -> Sequence[Piece]:
        """One step with a piece; the pieces that remain to be delivered, in order."""
        oldest = self._world.now() - min(self._mapping.max_age or math.inf, self._place.retention)
        expired, piece = expire(piece, oldest)
        if expired.records:
            await self._give_up(expired, None)
            return [piece] if piece.records else []
        try:
            invocation, settlement = await unbroken(self._invoke(piece))
        except NotInvokedError as error:
            self._problem("function", str(error))
            piece = replace(piece, refusals=piece.refusals + 1)
            await asyncio.sleep(backoff(piece.refusals))
            return [piece]
        if settlement.given_up:
            await self._give_up(settlement.given_up, invocation)
        elif settlement.next and settlement.next[0].invokes:
            await asyncio.sleep(backoff(settlement.next[0].invokes))
        return settlement.next

    async def _invoke(self, piece: Piece) -> tuple[Invocation, Settlement]:
        count, last = len(piece.records), piece.records[-1]
        self._count("InvokedEventCount", count)
        try:
            invocation = await self._world.invoker.invoke(self._mapping.function_arn, event(piece.records))
        except NotInvokedError:
            self._count("FailedInvokeEventCount", count)
            raise
        taken = self._accepted(invocation, piece)
        if taken == count:
            self._world.status.well(self._mapping.uuid, self._where("function"))
        else:
            self._count("FailedInvokeEventCount", count - (taken or 0))
            self._problem("function", f"function failed: {invocation.error or 'batch item failures'}")
        self._world.metrics.add(self._mapping, "IteratorAge", max(0, self._world.now() - last.arrived) * 1000)
        settlement = settle(piece, taken, self._mapping)
        self._finish(settlement.done)
        return invocation, settlement

    def _accepted(self, invocation: Invocation, piece: Piece) -> int | None:
        if invocation.error:
            return None
        if not self._mapping.partial_responses:
            return len(piece.records)
        return accepted(invocation.payload, [record.sequence for record in piece.records])

    async def _give_up(self, piece: Piece, invocation: Invocation | None) -> None:
        """Be done with a piece: hand it to the destination, or tell that it is lost.

        When the destination refuses, AWS counts DestinationDeliveryFailures and the events as dropped, and does not
        say that it tries again. Here the shard waits until the letter is taken, or until its records would have left
        the stream anyway.
        """
        letter = dead_letter(
            self._mapping, self._place.shard_id, piece, self._world.now(), invocation, self._world.new_id()
        )
        refusals = 0
        while not await unbroken(self._hand_over(piece, letter)):
            refusals += 1
            await asyncio.sleep(backoff(refusals))

    async def _hand_over(self, piece: Piece, letter: DeadLetter) -> bool:
        condition = letter.metadata["requestContext"]["condition"]
        first, count = piece.records[0].sequence, len(piece.records)
        what = f"{count} records from {first} of {self._place.shard_id}: {condition}"
        if self._mapping.on_failure is None:
            self._lose(count, f"{what}, and the mapping has no destination")
        else:
            try:
                await self._world.destinations.deliver(self._mapping, letter)
            except NotDeliveredError as error:
                self._world.metrics.add(self._mapping, "DestinationDeliveryFailures", 1)
                if piece.records[-1].arrived >= self._world.now() - self._place.retention:
                    self._problem("destination", str(error))
                    return False
                self._lose(count, f"{what}, and the destination refuses: {error}")
            else:
                self._world.status.well(self._mapping.uuid, self._where("destination"))
                self._count("OnFailureDestinationDeliveredEventCount", count)
        self._finish(piece.records)
        return True

    def _lose(self, events: int, what: str) -> None:
        """Tell of events that nobody has. Those that a destination got do not count as dropped:
        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
        """
        self._world.status.lost(self._mapping.uuid, what)
        self._count("DroppedEventCount", events)

    def _count(self, name: str, events: int) -> None:
        if self._mapping.counts_events:
            self._world.metrics.add(self._mapping, name, events)

    def _where(self, part: str) -> str:
        return f"{part} for {self._place.shard_id}"

    def _problem(self, part: str, what: str) -> None:
        self._world.status.problem(self._mapping.uuid, self._where(part), what)
