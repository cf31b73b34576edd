"""Checkpoints in a folder."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from localcloud.engine.aws import Threads
from localcloud.engine.ports import Checkpoint, Retry, ShardCheckpoint, WindowState
from localcloud.engine.state_files import FileCheckpoints, Heartbeat, claim

RETRIED = ShardCheckpoint("7", retries={"8": Retry("9", 2, 1)}, window=WindowState(60, {"n": 1}))
CHECKPOINT = Checkpoint(12.5, {"a": ShardCheckpoint("7", drained=True), "b": ShardCheckpoint(), "c": RETRIED}, "[1]")


@pytest.fixture
def checkpoints(tmp_path: Path) -> FileCheckpoints:
    return FileCheckpoints(tmp_path, Threads(1, "disk"))


def test_a_checkpoint_is_read_as_it_was_saved(checkpoints: FileCheckpoints) -> None:
    asyncio.run(checkpoints.save("u", CHECKPOINT))

    assert asyncio.run(checkpoints.load("u")) == CHECKPOINT


def test_a_state_of_a_window_is_kept_however_deeply_it_is_nested(checkpoints: FileCheckpoints) -> None:
    state = json.loads("[" * 900 + "]" * 900)
    checkpoint = Checkpoint(None, {"a": ShardCheckpoint(window=WindowState(60, state))})

    asyncio.run(checkpoints.save("u", checkpoint))

    loaded = asyncio.run(checkpoints.load("u"))
    assert loaded
    assert json.dumps(loaded.shards["a"].window.state if loaded.shards["a"].window else None) == json.dumps(state)


def test_a_checkpoint_of_an_earlier_version_is_read(checkpoints: FileCheckpoints, tmp_path: Path) -> None:
    (tmp_path / "u.checkpoint.json").write_text('{"since": 12.5, "shards": {"a": {"after": "7", "drained": false}}}')

    assert asyncio.run(checkpoints.load("u")) == Checkpoint(12.5, {"a": ShardCheckpoint("7")})


def test_there_is_none_before_the_first(checkpoints: FileCheckpoints) -> None:
    assert asyncio.run(checkpoints.load("u")) is None


def test_a_write_that_was_cut_short_leaves_the_last_checkpoint(checkpoints: FileCheckpoints, tmp_path: Path) -> None:
    asyncio.run(checkpoints.save("u", CHECKPOINT))
    (tmp_path / "u.checkpoint.new").write_text('{"since": 12.')

    assert asyncio.run(checkpoints.load("u")) == CHECKPOINT


def test_mappings_that_are_gone_are_forgotten(checkpoints: FileCheckpoints) -> None:
    asyncio.run(checkpoints.save("gone", CHECKPOINT))
    asyncio.run(checkpoints.save("here", CHECKPOINT))

    asyncio.run(checkpoints.retain({"here"}))

    assert asyncio.run(checkpoints.load("gone")) is None
    assert asyncio.run(checkpoints.load("here")) == CHECKPOINT


def test_a_second_engine_does_not_start_in_the_same_folder(tmp_path: Path) -> None:
    descriptor = claim(tmp_path)

    with pytest.raises(SystemExit, match="another engine works in"):
        claim(tmp_path)

    os.close(descriptor)
    os.close(claim(tmp_path))


def test_a_heartbeat_of_an_earlier_engine_does_not_stand(tmp_path: Path) -> None:
    Heartbeat(tmp_path).beat({"u": "OK"}, {"u": "No records processed"})

    assert json.loads((tmp_path / "engine.json").read_text())["pid"] == os.getpid()
    Heartbeat(tmp_path)
    assert not (tmp_path / "engine.json").exists()
