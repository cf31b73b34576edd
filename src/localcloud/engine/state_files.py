"""What the engine keeps in a folder: checkpoints that survive its death, and a sign of life."""

import fcntl
import json
import os
import time
from collections.abc import Set
from dataclasses import fields
from pathlib import Path
from typing import Any

from localcloud.engine.aws import Threads
from localcloud.engine.ports import Checkpoint, Retry, ShardCheckpoint, WindowState

SUFFIX = ".checkpoint.json"


class FileCheckpoints:
    """One file a mapping, replaced whole: whenever the process dies, the file is the old or the new one."""

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads

    async def load(self, uuid: str) -> Checkpoint | None:
        """The last checkpoint saved."""
        return await self._threads.run(self._load, uuid)

    async def save(self, uuid: str, checkpoint: Checkpoint) -> None:
        """Replace the file, on the disk before this returns."""
        await self._threads.run(replace, self._path(uuid), json.dumps(checkpoint, default=_fields), durable=True)

    async def retain(self, uuids: Set[str]) -> None:
        """Delete the files of other mappings: an emulator that starts anew gives new UUIDs."""
        await self._threads.run(self._retain, {self._path(uuid) for uuid in uuids})

    def _path(self, uuid: str) -> Path:
        return self._folder / f"{uuid}{SUFFIX}"

    def _load(self, uuid: str) -> Checkpoint | None:
        try:
            saved: dict[str, Any] = json.loads(self._path(uuid).read_bytes())
        except FileNotFoundError:
            return None
        shards = {shard_id: _shard(shard) for shard_id, shard in saved["shards"].items()}
        return Checkpoint(saved["since"], shards, saved.get("grouping", ""))

    def _retain(self, paths: set[Path]) -> None:
        for path in self._folder.glob(f"*{SUFFIX}"):
            if path not in paths:
                path.unlink()


def _fields(value: Any) -> dict[str, Any]:
    """Return a dataclass's fields; asdict would fail at a window's state that is nested as deeply as JSON may be."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _shard(saved: dict[str, Any]) -> ShardCheckpoint:
    """A shard's checkpoint; one of an earlier version has neither retries nor a window."""
    retries = {first: Retry(**retry) for first, retry in saved.get("retries", {}).items()}
    window = saved.get("window")
    return ShardCheckpoint(saved["after"], saved["drained"], retries, WindowState(**window) if window else None)


def claim(folder: Path) -> int:
    """Make the folder this process's own until it ends: two engines would deliver everything twice."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_CREAT | os.O_WRONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"another engine works in {folder}") from None
    return descriptor


class Heartbeat:
    """`engine.json`: the process id, the time, and of each mapping its health and LastProcessingResult.

    It is absent until the engine works.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "engine.json"
        self._path.unlink(missing_ok=True)

    def beat(self, mappings: dict[str, str], results: dict[str, str]) -> None:
        """Write the file."""
        sign = {"pid": os.getpid(), "at": time.time(), "mappings": mappings, "results": results}
        replace(self._path, json.dumps(sign, indent=2) + "\n", durable=False)


def replace(path: Path, text: str, *, durable: bool) -> None:
    """Replace a file in one step; durable means that it outlives a power cut, not only a kill."""
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    temporary.replace(path)
