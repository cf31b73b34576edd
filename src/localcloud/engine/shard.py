"""One shard of a mapping: read in pages, filtered, and spread over batch processors by key."""

import asyncio
import math
import zlib

from localcloud.engine.batch_processor import BatchProcessor, MappedShard, ShardMemory
from localcloud.engine.delivery import PAYLOAD_BYTES
from localcloud.engine.ports import (
    ExpiredIteratorError,
    Position,
    ReadResult,
    Services,
    Source,
    SourceError,
    TrimmedError,
)
from localcloud.engine.progress import Progress
from localcloud.engine.record import accepts
from localcloud.engine.tasks import end

_AWS_IDLE = {"kinesis": 1.0, "dynamodb": 0.25}
"""Seconds between the reads of a shard that has nothing new. Kinesis: once a second,
https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html. DynamoDB: four times,
https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html."""


class ShardReader:
    """Reads a shard from a position to its end, as fast as its processors deliver."""

    def __init__(
        self,
        services: Services,
        shard: MappedShard,
        source: Source,
        position: Position,
        progress: Progress,
        memory: ShardMemory,
    ) -> None:
        self._services = services
        self._shard = shard
        self._mapping = shard.mapping
        self._source = source
        self._position = position
        self._progress = progress
        self._last = int(position.after or -1)
        self._since = position.since or 0
        self._had_records = services.now()
        self._processors = [
            BatchProcessor(services, shard, progress.done, memory) for _ in range(self._mapping.parallelization_factor)
        ]

    async def run(self) -> None:
        """Return when the shard is closed and every record of it is done with."""
        tasks = [
            asyncio.ensure_future(work) for work in (self._read(), *(processor.run() for processor in self._processors))
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            await end(tasks)

    async def _read(self) -> None:
        """Read to the end of the shard. At most two batches a processor, and a page, are held in memory."""
        records, size = 2 * self._mapping.batch_size * len(self._processors), 2 * PAYLOAD_BYTES * len(self._processors)
        pace, iterator = self._services.pace, None
        while True:
            if self._progress.is_full(records, size):
                self._note_read(math.inf)
            limit = await self._progress.room(records, size)
            began = self._services.now()
            try:
                if iterator is None:
                    iterator = await self._source.iterator(self._shard.shard_id, self._position)
                page = await self._source.read(self._shard.shard_id, iterator, limit)
            except ExpiredIteratorError:
                iterator = None
                await asyncio.sleep(pace.busy_shard)
            except TrimmedError as error:
                self._services.status.lost(self._mapping.uuid, f"what {self._shard.shard_id} no longer has: {error}")
                self._position, iterator = Position(), None
                self._note_read(math.inf)
            except SourceError as error:
                self._services.status.problem(self._mapping.uuid, self._shard.shard_id, str(error))
                iterator = None
                await asyncio.sleep(pace.failing_stream)
            else:
                self._services.status.well(self._mapping.uuid, self._shard.shard_id)
                self._take(page)
                if not page.behind:
                    for processor in self._processors:
                        processor.read_until(began)
                iterator = page.next
                if iterator is None:
                    self._note_read(math.inf)
                    await self._progress.settled()
                    for processor in self._processors:
                        await processor.end()
                    return
                await asyncio.sleep(self._pause(page))

    def _pause(self, page: ReadResult) -> float:
        """Seconds until the next read."""
        pace, now = self._services.pace, self._services.now()
        if page.records:
            self._had_records = now
            return 0 if page.behind else pace.busy_shard
        if page.behind:
            return 0
        is_quiet = now - self._had_records > pace.attention and not self._mapping.is_subscribed
        return max(pace.idle_shard, _AWS_IDLE[self._mapping.service]) if is_quiet else pace.idle_shard

    def _note_read(self, number: float) -> None:
        for processor in self._processors:
            processor.read_up_to(number)

    def _take(self, page: ReadResult) -> None:
        fresh = [r for r in page.records if r.number > self._last and r.arrived >= self._since]
        filtered = []
        for record in fresh:
            self._progress.read(record)
            if accepts(self._mapping.filters, record.body):
                self._processors[zlib.crc32(record.key.encode()) % len(self._processors)].put(record)
            else:
                filtered.append(record)
        if page.records:
            self._last = page.records[-1].number
            self._position = Position(after=page.records[-1].sequence)
            self._note_read(self._last)
        self._progress.done(filtered)
        if self._mapping.counts_events and fresh:
            self._services.metrics.add(self._mapping, "PolledEventCount", len(fresh))
            self._services.metrics.add(self._mapping, "FilteredOutEventCount", len(filtered))
