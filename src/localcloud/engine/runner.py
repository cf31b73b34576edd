"""One mapping: the shards of its stream, parents before children, and how far each has come."""

import asyncio
from functools import partial

from localcloud.engine.batch_processor import MappedShard, ShardMemory
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Checkpoint, Listing, Position, Services, Shard, ShardCheckpoint, SourceError
from localcloud.engine.progress import Progress
from localcloud.engine.shard import ShardReader
from localcloud.engine.tasks import end, unbroken


class MappingRunner:
    """Runs a mapping from its checkpoint until it is cancelled."""

    def __init__(self, services: Services, mapping: Mapping) -> None:
        self._services = services
        self._mapping = mapping
        self._source = services.source(mapping)
        self._dirty = asyncio.Event()
        self._shards: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        checkpoint = await self._services.checkpoints.load(self._mapping.uuid)
        if checkpoint is None:
            # Kept before the first read, so that a crash does not move where LATEST began.
            checkpoint = Checkpoint(since=_beginning(self._mapping), grouping=self._mapping.grouping)
            await self._services.checkpoints.save(self._mapping.uuid, checkpoint)
        if checkpoint.grouping != self._mapping.grouping:
            checkpoint.grouping = self._mapping.grouping
            for shard in checkpoint.shards.values():
                shard.retries.clear()
        keeper = asyncio.ensure_future(self._keep(checkpoint))
        try:
            while True:
                self._start(await self._list(), checkpoint)
                await asyncio.wait(
                    [keeper, *self._shards.values()],
                    timeout=self._services.pace.relist,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if keeper.done():
                    keeper.result()
                self._reap(checkpoint)
        finally:
            await end([*self._shards.values(), keeper])
            await self._source.close()
            await self._services.checkpoints.save(self._mapping.uuid, checkpoint)

    async def _keep(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint whenever it has advanced. It may lag: a crash then repeats, skips nothing."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await unbroken(self._services.checkpoints.save(self._mapping.uuid, checkpoint))

    async def _list(self) -> Listing:
        while True:
            try:
                listing = await self._source.shards()
            except SourceError as error:
                self._services.status.problem(self._mapping.uuid, "stream", str(error))
                await asyncio.sleep(self._services.pace.failing_stream)
            else:
                self._services.status.well(self._mapping.uuid, "stream")
                return listing

    def _start(self, listing: Listing, checkpoint: Checkpoint) -> None:
        listed = {shard.id for shard in listing.shards}
        for gone in checkpoint.shards.keys() - listed - self._shards.keys():
            del checkpoint.shards[gone]
        for shard in listing.shards:
            if shard.id in self._shards or not _ready(shard, listed, checkpoint):
                continue
            state = checkpoint.shards.setdefault(shard.id, ShardCheckpoint())
            reader = ShardReader(
                self._services,
                MappedShard(self._mapping, shard.id, listing.retention),
                self._source,
                Position(state.after, checkpoint.since),
                Progress(partial(self._advance, state)),
                ShardMemory(state, self._dirty.set),
            )
            self._shards[shard.id] = asyncio.ensure_future(reader.run())

    def _advance(self, state: ShardCheckpoint, after: str) -> None:
        state.after = after
        for first in [first for first in state.retries if int(first) <= int(after)]:
            del state.retries[first]
        self._dirty.set()

    def _reap(self, checkpoint: Checkpoint) -> None:
        for shard_id, task in list(self._shards.items()):
            if task.done():
                del self._shards[shard_id]
                task.result()
                checkpoint.shards[shard_id].drained = True
                self._dirty.set()


def _ready(shard: Shard, listed: set[str], checkpoint: Checkpoint) -> bool:
    """Whether the shard is to be read: not yet drained, and no parent that is still listed is undrained."""

    def drained(shard_id: str) -> bool:
        return shard_id in checkpoint.shards and checkpoint.shards[shard_id].drained

    return not drained(shard.id) and all(drained(parent) for parent in shard.parents if parent in listed)


def _beginning(mapping: Mapping) -> float | None:
    """Where a mapping begins that has no checkpoint yet, in seconds, or None for the oldest record.

    LATEST is the time when the mapping was made, so nothing written after it is missed, however late the
    engine sees it, unless the mapping is changed before. That time has no fraction: what was written earlier
    in that second is delivered too.
    """
    if mapping.starting_position == "LATEST":
        return mapping.last_modified
    return mapping.starting_timestamp
