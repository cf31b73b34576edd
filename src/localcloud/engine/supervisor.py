"""Follows the mappings that exist, and runs each by itself."""

import asyncio

from localcloud.engine.mapping import Mapping, MappingError, is_stream, parse
from localcloud.engine.ports import Services, SourceError
from localcloud.engine.runner import MappingRunner
from localcloud.engine.status import ITSELF
from localcloud.engine.tasks import end


class Engine:
    """The event source mapping engine."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._mappings: dict[str, Mapping] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._known: set[str] | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                await self._follow()
                await asyncio.sleep(self._services.pace.mappings)
        finally:
            await end(list(self._tasks.values()))

    async def _follow(self) -> None:
        try:
            configs = [config for config in await self._services.mappings.list() if is_stream(config)]
        except SourceError as error:
            self._services.status.problem(ITSELF, "mappings", str(error))
            return
        wanted: dict[str, Mapping] = {}
        refused = []
        for config in configs:
            try:
                mapping = parse(config)
            except MappingError as error:
                self._services.status.problem(config["UUID"], "configuration", str(error))
                refused.append(config["UUID"])
                continue
            if config["State"] in ("Creating", "Updating"):
                # Neither says whether the mapping is enabled: it runs as before until the change is done.
                if mapping.uuid in self._mappings:
                    wanted[mapping.uuid] = self._mappings[mapping.uuid]
            elif mapping.enabled:
                self._services.status.well(mapping.uuid, "configuration")
                wanted[mapping.uuid] = mapping
        self._reap()
        for uuid in [*wanted, *(uuid for uuid in self._mappings if uuid not in wanted)]:
            self._set(uuid, wanted.get(uuid))
        self._services.status.well(ITSELF, "mappings")
        self._services.status.retain([ITSELF, *self._tasks, *refused])
        known = {*self._tasks, *(config["UUID"] for config in configs)}
        if known != self._known:
            await self._services.checkpoints.retain(known)
            self._known = known

    def _set(self, uuid: str, mapping: Mapping | None) -> None:
        """Have the mapping run as it is now: in place of how it ran before, once that has ended."""
        if mapping == self._mappings.get(uuid):
            return
        self._tasks[uuid] = asyncio.ensure_future(self._replace(self._tasks.get(uuid), mapping))
        if mapping:
            self._mappings[uuid] = mapping
        else:
            del self._mappings[uuid]

    async def _replace(self, previous: asyncio.Task[None] | None, mapping: Mapping | None) -> None:
        if previous:
            # Cancelled here and only once: a second time would cut off its last checkpoint.
            await end([previous])
        if mapping:
            await MappingRunner(self._services, mapping).run()

    def _reap(self) -> None:
        """Forget what has ended. A runner ends by itself only through a fault of ours: it is started anew."""
        for uuid, task in list(self._tasks.items()):
            if not task.done():
                continue
            del self._tasks[uuid]
            if not task.cancelled() and (fault := task.exception()):
                self._services.status.fault(uuid, fault)
                self._mappings.pop(uuid, None)
