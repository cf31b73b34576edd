"""Starts and stops the local cloud: an AWS emulator on 127.0.0.1, in the background."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class LocalCloudError(Exception):
    """The local cloud cannot be had; the message says what to do."""


@dataclass(frozen=True)
class _Emulator:
    """A process that we started. Its creation time tells it from a later one with the same pid."""

    pid: int
    created: float
    port: int

    def process(self) -> psutil.Process | None:
        """The process while it lives."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class LocalCloud:
    """One local cloud, whose pid, log and temporary files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "emulator.log"
        self._folder = folder
        self._pid_file = folder / "emulator.json"

    def port(self) -> int | None:
        """The port that the local cloud listens on; None when it is not running."""
        emulator = self._running()
        return emulator.port if emulator else None

    def up(self, port: int) -> bool:
        """Start the local cloud on a port of 127.0.0.1 and wait until it answers; False when it did already.

        Raises LocalCloudError when the port is taken, or the emulator stops or stays silent.
        """
        running = self._running()
        if running and running.port == port and _answers(port):
            return False
        if running and running.port != port:
            raise LocalCloudError(
                f"The local cloud is running on port {running.port}. Use LOCAL_PORT={running.port}, "
                "or stop it first: make cloud-down"
            )
        self.down()  # what a crash or a kill has left
        _claim(port)
        process = self._start(port)
        try:
            self._await_answer(process, port)
        except BaseException:  # an interrupt leaves nothing half-started either
            self.down()
            raise
        return True

    def down(self) -> bool:
        """Stop the local cloud and its functions, and forget what it held; False when it was not running."""
        running = self._running()
        process = running.process() if running else None
        if process:
            _stop(process)
        self._pid_file.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "tmp", ignore_errors=True)
        return process is not None

    def _running(self) -> _Emulator | None:
        try:
            emulator = _Emulator(**json.loads(self._pid_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return emulator if emulator.process() else None

    def _start(self, port: int) -> "subprocess.Popen[bytes]":
        temporary = self._folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("emulator.py"))],
                env=_environment(port, temporary, os.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the user's terminal is not meant for it
            )
        emulator = _Emulator(process.pid, psutil.Process(process.pid).create_time(), port)
        self._pid_file.write_text(json.dumps(asdict(emulator)))
        return process

    def _await_answer(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if process.poll() is not None:
                raise LocalCloudError(
                    f"The local cloud stopped as it started (exit code {process.returncode}). Read {self.log}"
                )
            if time.monotonic() > deadline:
                raise LocalCloudError(
                    f"The local cloud has been silent on port {port} for {_START_SECONDS:.0f} s. Read {self.log}"
                )
            time.sleep(0.1)


def _environment(port: int, temporary: Path, ambient: Mapping[str, str]) -> dict[str, str]:
    """The emulator's environment, which its functions inherit: nothing of the user's AWS or Python settings.

    Without AWS credentials in it the functions get their own role's, and AUTH makes the role's policy count.
    """
    kept = {name: ambient[name] for name in ("HOME", "LANG", "PATH") if name in ambient}
    return kept | {
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "PYTHONUNBUFFERED": "1",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(temporary.resolve()),
    }


def _claim(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LocalCloudError(
                f"Port {port} of {HOST} is taken by another program ({error.strerror}). "
                f"Stop that program, or choose another port: LOCAL_PORT={port + 1}"
            ) from error


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)  # unlike urllib, it knows no proxies
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: psutil.Process) -> None:
    """End a process and its children (the functions), by force when they do not go."""
    processes = [process, *process.children(recursive=True)]
    for each in processes:
        _signal(each.terminate)
    _, alive = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
    for each in alive:
        _signal(each.kill)
    psutil.wait_procs(alive, timeout=_STOP_SECONDS)


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
