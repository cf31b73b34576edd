"""How far a shard has come while its records are done with in any order."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from localcloud.engine.record import Record


class Progress:
    """Records read and not yet done with, and the last sequence number before which all are done."""

    def __init__(self, on_advance: Callable[[str], None]) -> None:
        self._on_advance = on_advance
        self._open: deque[str] = deque()
        self._done: set[str] = set()
        self._bytes = 0
        self._changed = asyncio.Event()

    def read(self, record: Record) -> None:
        """A record was read: the checkpoint stays before it until it is done."""
        self._open.append(record.sequence)
        self._bytes += len(record.body)

    def done(self, records: Iterable[Record]) -> None:
        """Note records that were processed, filtered out or discarded."""
        for record in records:
            self._done.add(record.sequence)
            self._bytes -= len(record.body)
        after = None
        while self._open and self._open[0] in self._done:
            after = self._open.popleft()
            self._done.remove(after)
        if after is not None:
            self._on_advance(after)
        self._changed.set()

    def is_full(self, records: int, size: int) -> bool:
        """Whether so many records, or so many bytes, are open."""
        return len(self._open) >= records or self._bytes >= size

    async def room(self, records: int, size: int) -> int:
        """Wait until fewer records and bytes than these are open; how many records there is then room for."""
        while self.is_full(records, size):
            self._changed.clear()
            await self._changed.wait()
        return records - len(self._open)

    async def settled(self) -> None:
        """Wait until every record that was read is done."""
        await self.room(1, 1)
