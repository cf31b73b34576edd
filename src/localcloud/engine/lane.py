"""A lane of a shard: one batch in flight, in order, to its end."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from localcloud.engine.delivery import (
    PAYLOAD_BYTES,
    Batch,
    Outcome,
    after_invocation,
    backoff,
    batch_length,
    expire,
)
from localcloud.engine.invocation_record import InvocationRecord, invocation_record
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Invocation, NotDeliveredError, NotInvokedError, World
from localcloud.engine.record import Record, event
from localcloud.engine.response import accepted
from localcloud.engine.tasks import unbroken


@dataclass(frozen=True, slots=True)
class Place:
    """Which shard of which mapping, and how long the stream keeps a record, in seconds."""

    mapping: Mapping
    shard_id: str
    retention: float


class Lane:
    """Forms batches of the records put into it and delivers each until it is processed or discarded."""

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
            batches = [Batch(await self._gather(opened))]
            while batches:
                batches += reversed(await self._deliver(batches.pop()))

    async def _gather(self, opened: float) -> list[Record]:
        """Wait for the next batch, which BatchSize, the batching window or 6 MB ends, whichever comes first.

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
        count = batch_length((len(record.body) for record in self._waiting), self._mapping.batch_size)
        batch = [self._waiting.popleft() for _ in range(count)]
        self._bytes -= sum(len(record.body) + 1 for record in batch)
        return batch

    def _full(self) -> bool:
        return len(self._waiting) >= self._mapping.batch_size or self._bytes >= PAYLOAD_BYTES

    async def _one_more(self, until: float | None) -> bool:
        """Wait for the next record; False when `until`, in the loop's time, comes first."""
        self._more.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._more.wait()
        except TimeoutError:
            return False
        return True

    async def _deliver(self, batch: Batch[Record]) -> Sequence[Batch[Record]]:
        """Take one step with a batch; return the batches that remain to be delivered, in order."""
        oldest = self._world.now() - min(self._mapping.max_age or math.inf, self._place.retention)
        expired, batch = expire(batch, oldest)
        if expired.records:
            await self._discard(expired, None)
            return [batch] if batch.records else []
        try:
            invocation, outcome = await unbroken(self._invoke(batch))
        except NotInvokedError as error:
            self._problem("function", str(error))
            batch = replace(batch, refusals=batch.refusals + 1)
            await asyncio.sleep(backoff(batch.refusals))
            return [batch]
        if outcome.discarded:
            await self._discard(outcome.discarded, invocation)
        elif outcome.next and outcome.next[0].invokes:
            await asyncio.sleep(backoff(outcome.next[0].invokes))
        return outcome.next

    async def _invoke(self, batch: Batch[Record]) -> tuple[Invocation, Outcome[Record]]:
        count, last = len(batch.records), batch.records[-1]
        self._count("InvokedEventCount", count)
        try:
            payload = event(record.body for record in batch.records)
            invocation = await self._world.invoker.invoke(self._mapping.function_arn, payload)
        except NotInvokedError:
            self._count("FailedInvokeEventCount", count)
            self._world.status.invoked(self._mapping.uuid, failed=True)
            raise
        self._world.status.invoked(self._mapping.uuid, failed=invocation.error is not None)
        taken = self._accepted(invocation, batch)
        if taken == count:
            self._world.status.well(self._mapping.uuid, self._where("function"))
        else:
            self._count("FailedInvokeEventCount", count - (taken or 0))
            self._problem("function", f"function failed: {invocation.error or 'batch item failures'}")
        self._world.metrics.add(self._mapping, "IteratorAge", max(0, self._world.now() - last.arrived) * 1000)
        outcome = after_invocation(batch, taken, bisect=self._mapping.bisect, max_retries=self._mapping.max_retries)
        self._finish(outcome.processed)
        return invocation, outcome

    def _accepted(self, invocation: Invocation, batch: Batch[Record]) -> int | None:
        if self._mapping.partial_responses:
            return accepted(invocation.payload, invocation.error, [record.sequence for record in batch.records])
        return None if invocation.error else len(batch.records)

    async def _discard(self, batch: Batch[Record], invocation: Invocation | None) -> None:
        """Discard a batch: send it to the destination, or report it as lost.

        When the destination refuses, AWS counts DestinationDeliveryFailures and the events as dropped, and does not
        say that it tries again. Here the shard waits until the destination takes the invocation record, or until its
        records would have left the stream anyway.
        """
        record = invocation_record(
            self._mapping, self._place.shard_id, batch, self._world.now(), invocation, self._world.new_id()
        )
        refusals = 0
        while not await unbroken(self._hand_over(batch, record)):
            refusals += 1
            await asyncio.sleep(backoff(refusals))

    async def _hand_over(self, batch: Batch[Record], record: InvocationRecord) -> bool:
        condition = record.metadata["requestContext"]["condition"]
        first, count = batch.records[0].sequence, len(batch.records)
        what = f"{count} records from {first} of {self._place.shard_id}: {condition}"
        if self._mapping.on_failure is None:
            self._lose(count, f"{what}, and the mapping has no destination")
        else:
            try:
                await self._world.destinations.deliver(self._mapping, record)
            except NotDeliveredError as error:
                self._world.metrics.add(self._mapping, "DestinationDeliveryFailures", 1)
                if batch.records[-1].arrived >= self._world.now() - self._place.retention:
                    self._problem("destination", str(error))
                    return False
                self._lose(count, f"{what}, and the destination refuses: {error}")
            else:
                self._world.status.well(self._mapping.uuid, self._where("destination"))
                self._count("OnFailureDestinationDeliveredEventCount", count)
        self._finish(batch.records)
        return True

    def _lose(self, events: int, what: str) -> None:
        """Report events that nobody has. Those that a destination got do not count as dropped:
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
