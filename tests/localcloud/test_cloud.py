"""The local cloud: starting, stopping, and every way in which that goes wrong."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localcloud import cloud
from localcloud.cloud import LocalCloud, LocalCloudError
from tests.waiting import free_port


@pytest.fixture
def local_cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    one = LocalCloud(tmp_path / "cloud")
    yield one
    one.down()


def emulator_pid(port: int) -> int:
    """The process that listens on a port."""
    (pid,) = {
        connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN
    }
    assert pid is not None
    return int(pid)


def test_it_starts_once_listens_on_loopback_alone_and_stops(local_cloud: LocalCloud) -> None:
    port = free_port()

    assert local_cloud.up(port)
    assert not local_cloud.up(port), "it was running already"

    assert local_cloud.port() == port
    listening = {c.laddr.ip for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and not c.raddr}
    assert listening == {"127.0.0.1"}
    assert local_cloud.down()
    assert local_cloud.port() is None
    assert not local_cloud.down(), "it was stopped already"


def test_a_port_that_another_program_holds_is_named_with_the_way_out(local_cloud: LocalCloud) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(LocalCloudError, match=rf"Port {port} .* taken .* LOCAL_PORT={port + 1}"):
            local_cloud.up(port)

    assert local_cloud.port() is None


def test_another_port_than_the_running_one_is_refused(local_cloud: LocalCloud) -> None:
    port = free_port()
    local_cloud.up(port)

    with pytest.raises(LocalCloudError, match=f"LOCAL_PORT={port}.*make cloud-down"):
        local_cloud.up(free_port())


def test_after_a_kill_it_simply_starts_afresh(local_cloud: LocalCloud) -> None:
    port = free_port()
    local_cloud.up(port)
    killed = emulator_pid(port)
    os.kill(killed, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(killed)], timeout=10)

    assert local_cloud.port() is None
    assert local_cloud.up(port)

    assert emulator_pid(port) != killed


def test_another_process_that_got_the_pid_is_neither_taken_for_the_local_cloud_nor_stopped(
    local_cloud: LocalCloud, tmp_path: Path
) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "emulator.json").write_text(f'{{"pid": {os.getpid()}, "created": 0.0}}')

    assert local_cloud.port() is None
    assert not local_cloud.down()


def test_a_crash_at_the_start_is_told_with_the_exit_code_and_the_log(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "emulator").mkdir()
    (broken / "emulator" / "__main__.py").write_text("raise SystemExit('no such service')")
    monkeypatch.setattr(cloud, "__file__", str(broken / "cloud.py"))

    with pytest.raises(LocalCloudError, match=r"exit code 1.*emulator\.log"):
        local_cloud.up(free_port())

    assert "no such service" in local_cloud.emulator.log.read_text()
    assert local_cloud.port() is None


def test_an_engine_that_died_is_started_again_beside_the_emulator(local_cloud: LocalCloud) -> None:
    port = free_port()
    local_cloud.up(port)
    emulator, engine = local_cloud.emulator.process(), local_cloud.engine.process()
    assert emulator is not None
    assert engine is not None
    engine.kill()
    engine.wait(timeout=10)

    assert local_cloud.up(port)

    assert local_cloud.emulator.process() == emulator
    assert local_cloud.engine.process() not in (None, engine)
