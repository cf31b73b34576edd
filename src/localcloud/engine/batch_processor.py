"""One of a shard's concurrent batches (ParallelizationFactor): in flight alone, in order, to its end."""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

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
from localcloud.engine.ports import (
    Invocation,
    NotDeliveredError,
    NotInvokedError,
    Retry,
    Services,
    ShardCheckpoint,
)
from localcloud.engine.record import Record, event
from localcloud.engine.response import accepted
from localcloud.engine.status import FUNCTION
from localcloud.engine.tasks import unbroken
from localcloud.engine.windows import Windows, has_state

_JUST_AFTER = 0.001
"""Seconds after a moment by which it is certainly over, whatever clocks round."""


@dataclass(frozen=True, slots=True)
class MappedShard:
    """Which shard of which mapping, and how long the stream keeps a record, in seconds."""

    mapping: Mapping
    shard_id: str
    retention: float


@dataclass(frozen=True, slots=True)
class ShardMemory:
    """What of a shard outlives the engine; `changed` has it saved."""

    checkpoint: ShardCheckpoint
    changed: Callable[[], None]


class BatchProcessor:
    """Forms batches of the records put into it and delivers each until it is processed or discarded."""

    def __init__(
        self, services: Services, shard: MappedShard, finish: Callable[[Iterable[Record]], None], memory: ShardMemory
    ) -> None:
        self._services = services
        self._shard = shard
        self._mapping = shard.mapping
        self._finish = finish
        self._memory = memory
        self._windows = Windows(shard.mapping, shard.shard_id, memory.checkpoint) if shard.mapping.tumbling else None
        self._waiting: deque[Record] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self._read: float = -1
        self._read_until: float = 0
        self._pending: list[Batch[Record]] = []  # the last one is next
        self._window_is_full = False
        self._ended = asyncio.Event()

    def put(self, record: Record) -> None:
        """Add the next record, in order."""
        self._waiting.append(record)
        self._bytes += len(record.body) + 1
        self._more.set()

    def read_up_to(self, number: float) -> None:
        """Note that all records of the shard up to a sequence number were read, whichever processor got them.

        Infinity says that none can be read now that this processor may wait for.
        """
        self._read = number
        self._more.set()

    def read_until(self, moment: float) -> None:
        """Note that all that came into the shard until a moment, in seconds since the epoch, was read.

        Infinity says that the shard has ended, and all of it is done.
        """
        self._read_until = moment
        self._more.set()

    async def end(self) -> None:
        """Close what is open, once the shard has ended and every record of it is done."""
        if self._windows:
            self.read_until(math.inf)
            await self._ended.wait()

    async def run(self) -> None:
        """Deliver batches until cancelled."""
        while True:
            batch = await self._gather(asyncio.get_running_loop().time())
            if batch is None:
                await self._close_window(early=False)
                continue
            self._pending = [batch]
            while self._pending:
                await asyncio.sleep(await self._deliver(self._pending[-1]))
                if self._window_is_full:
                    await self._close_window(early=True)

    async def _gather(self, opened: float) -> Batch[Record] | None:
        """Wait for the next batch; None when the open tumbling window ends before it."""
        while not self._waiting:
            if self._windows and self._windows.is_over(self._read_until):
                return None
            if self._read_until == math.inf:
                self._ended.set()
            await self._one_more(until=None)
        if self._windows and not self._windows.holds(self._waiting[0]):
            return None
        return await self._retried() or Batch(await self._next_records(opened))

    async def _retried(self) -> Batch[Record] | None:
        """Return the batch that an engine before this one was retrying, with its count.

        None when there is none, or when it is larger than batches or memory are now.
        """
        retry = self._memory.checkpoint.retries.get(self._waiting[0].sequence)
        if retry is None or retry.count > self._mapping.batch_size:
            return None
        while self._read < int(retry.last):
            await self._one_more(until=None)
        count = sum(record.number <= int(retry.last) for record in self._waiting)
        return Batch(self._take(count), retry.invokes) if count == retry.count else None

    async def _next_records(self, opened: float) -> list[Record]:
        """Wait until BatchSize, the batching window or 6 MB ends the batch, whichever comes first.

        Windows follow one another from `opened`, when the previous invocation completed; one that stays empty
        invokes nothing.
        """
        if window := self._mapping.window:
            elapsed = asyncio.get_running_loop().time() - opened
            closes = opened + (elapsed // window + 1) * window
            while not self._full() and await self._one_more(closes):
                pass
        leading: Iterable[Record] = self._waiting
        overhead = 0
        if self._windows:
            start = self._windows.start_of(self._waiting[0])
            leading = takewhile(lambda record: self._windows and self._windows.start_of(record) == start, self._waiting)
            overhead = self._windows.overhead()
        return self._take(batch_length((len(record.body) for record in leading), self._mapping.batch_size, overhead))

    def _take(self, count: int) -> list[Record]:
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

    async def _deliver(self, batch: Batch[Record]) -> float:
        """Take one step with the next batch; return for how many seconds to wait then."""
        expired, rest = expire(batch, self._services.now() - self._longest_age())
        if expired.records:
            await self._discard(expired, None)
            self._settle(batch, [rest] if rest.records else [])
            return 0
        try:
            invocation, outcome = await unbroken(self._invoke(batch))
        except NotInvokedError as error:
            self._problem(FUNCTION, str(error))
            self._pending[-1] = replace(batch, refusals=batch.refusals + 1)
            return self._pause(batch, batch.refusals + 1)
        if outcome.discarded:
            await self._discard(outcome.discarded, invocation)
            self._settle(batch, [])
        elif outcome.next and outcome.next[0].invokes:
            return self._pause(outcome.next[0], outcome.next[0].invokes)
        return 0

    def _settle(self, batch: Batch[Record], remaining: Sequence[Batch[Record]]) -> None:
        """Put what remains of the next batch in its place, and have retry counts outlive the engine."""
        self._pending.pop()
        self._pending += reversed(remaining)
        retries = self._memory.checkpoint.retries
        before = dict(retries)
        retries.pop(batch.records[0].sequence, None)
        for each in self._pending:
            if each.invokes or len(self._pending) > 1:
                records = each.records
                retries[records[0].sequence] = Retry(records[-1].sequence, len(records), each.invokes)
        if retries != before:
            self._memory.changed()

    def _longest_age(self) -> float:
        return min(self._mapping.max_age or math.inf, self._shard.retention)

    def _pause(self, batch: Batch[Record], failures: int) -> float:
        """Return how long to wait after a failure: not beyond the moment when the first record expires."""
        left = batch.records[0].arrived + self._longest_age() - self._services.now()
        return min(backoff(failures), max(0, left) + _JUST_AFTER)

    async def _close_window(self, *, early: bool) -> None:
        """Have the function process the state of the open window, until it succeeds."""
        self._window_is_full = False
        failures = 0
        while not await unbroken(self._invoke_finally(early=early)):
            failures += 1
            await asyncio.sleep(backoff(failures))

    async def _invoke_finally(self, *, early: bool) -> bool:
        assert self._windows is not None, "only tumbling windows close"  # noqa: S101
        try:
            payload = self._windows.event([], early=early)
            invocation = await self._services.invoker.invoke(self._mapping.function_arn, payload)
        except NotInvokedError as error:
            self._problem(FUNCTION, str(error))
            return False
        self._services.status.invoked(self._mapping.uuid, failed=invocation.error is not None)
        if invocation.error:
            self._problem(FUNCTION, f"function failed at the end of a window: {invocation.error}")
            return False
        self._services.status.well(self._mapping.uuid, self._where(FUNCTION))
        self._windows.close()
        self._memory.changed()
        return True

    async def _invoke(self, batch: Batch[Record]) -> tuple[Invocation, Outcome[Record]]:
        count, last = len(batch.records), batch.records[-1]
        self._count("InvokedEventCount", count)
        try:
            payload = (
                self._windows.event(batch.records) if self._windows else event(record.body for record in batch.records)
            )
            invocation = await self._services.invoker.invoke(self._mapping.function_arn, payload)
        except NotInvokedError:
            self._count("FailedInvokeEventCount", count)
            self._services.status.invoked(self._mapping.uuid, failed=True)
            raise
        self._services.status.invoked(self._mapping.uuid, failed=invocation.error is not None)
        taken = self._accepted(invocation, batch)
        if taken and self._windows:
            self._window_is_full = not self._windows.keep(batch.records[0], invocation.payload)
        if taken == count:
            self._services.status.well(self._mapping.uuid, self._where(FUNCTION))
        else:
            self._count("FailedInvokeEventCount", count - (taken or 0))
            self._problem(FUNCTION, f"function failed: {invocation.error or 'batch item failures'}")
        self._services.metrics.add(self._mapping, "IteratorAge", max(0, self._services.now() - last.arrived) * 1000)
        outcome = after_invocation(batch, taken, bisect=self._mapping.bisect, max_retries=self._mapping.max_retries)
        self._finish(outcome.processed)
        if not outcome.discarded:
            self._settle(batch, outcome.next)
        return invocation, outcome

    def _accepted(self, invocation: Invocation, batch: Batch[Record]) -> int | None:
        if self._windows and not has_state(invocation.payload):
            return None
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
            self._mapping, self._shard.shard_id, batch, self._services.now(), invocation, self._services.new_id()
        )
        refusals = 0
        while not await unbroken(self._hand_over(batch, record)):
            refusals += 1
            await asyncio.sleep(backoff(refusals))

    async def _hand_over(self, batch: Batch[Record], record: InvocationRecord) -> bool:
        condition = record.metadata["requestContext"]["condition"]
        first, count = batch.records[0].sequence, len(batch.records)
        what = f"{count} records from {first} of {self._shard.shard_id}: {condition}"
        if self._mapping.on_failure is None:
            self._lose(count, f"{what}, and the mapping has no destination")
        else:
            try:
                await self._services.destinations.deliver(self._mapping, record)
            except NotDeliveredError as error:
                self._services.metrics.add(self._mapping, "DestinationDeliveryFailures", 1)
                if batch.records[-1].arrived >= self._services.now() - self._shard.retention:
                    self._problem("destination", str(error))
                    return False
                self._lose(count, f"{what}, and the destination refuses: {error}")
            else:
                self._services.status.well(self._mapping.uuid, self._where("destination"))
                self._count("OnFailureDestinationDeliveredEventCount", count)
        self._finish(batch.records)
        return True

    def _lose(self, events: int, what: str) -> None:
        """Report events that nobody has. Those that a destination got do not count as dropped:
        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics
        """
        self._services.status.lost(self._mapping.uuid, what)
        self._count("DroppedEventCount", events)

    def _count(self, name: str, events: int) -> None:
        if self._mapping.counts_events:
            self._services.metrics.add(self._mapping, name, events)

    def _where(self, part: str) -> str:
        return f"{part} for {self._shard.shard_id}"

    def _problem(self, part: str, what: str) -> None:
        self._services.status.problem(self._mapping.uuid, self._where(part), what)
