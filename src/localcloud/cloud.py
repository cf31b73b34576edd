"""Starts and stops the local cloud: an AWS emulator on 127.0.0.1, and the engine of its stream mappings.

Both run in the background. What each of them is, and why there are two: docs/decisions/0002.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "000000000000"
"""The account whose root has CREDENTIAL, and the only one in which stream mappings run."""
CREDENTIAL = "test"
"""The access key and the secret key of the local account's root."""
ENGINE_STATUS = "LOCALCLOUD_ENGINE_STATUS"
"""The variable in which the emulator gets the file where the engine reports the last results of mappings."""

_SOURCES = Path(__file__).parents[1]
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class LocalCloudError(Exception):
    """The local cloud cannot be had; the message says what to do."""


class Daemon:
    """A process in the background: `<name>.json` in a folder says which, `<name>.log` what it wrote."""

    def __init__(self, name: str, folder: Path) -> None:
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.json"

    def process(self) -> psutil.Process | None:
        """The process while it lives. Its creation time tells it from a later one with the same pid."""
        try:
            known = json.loads(self._file.read_text())
            process = psutil.Process(known["pid"])
            alive = process.create_time() == known["created"] and process.status() != psutil.STATUS_ZOMBIE
        except (FileNotFoundError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
            return None
        return process if alive else None

    def start(self, command: Sequence[str], environment: Mapping[str, str], is_ready: Callable[[], bool]) -> None:
        """Start the process and wait until it is ready. Raises LocalCloudError when it ends or stays silent."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the user's terminal is not meant for it
            )
        known = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
        self._file.write_text(json.dumps(known))
        try:
            self._await(process, is_ready)
        except BaseException:  # an interrupt leaves nothing half-started either
            self.stop()
            raise

    def stop(self) -> bool:
        """End the process and its children, by force when they do not go; False when it was not running."""
        process = self.process()
        if process:
            processes = [process, *process.children(recursive=True)]
            for each in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.terminate()
            _, alive = psutil.wait_procs(processes, timeout=_STOP_SECONDS)
            for each in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            psutil.wait_procs(alive, timeout=_STOP_SECONDS)
        self._file.unlink(missing_ok=True)
        return process is not None

    def _await(self, process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not is_ready():
            if process.poll() is not None:
                what = f"stopped as it started (exit code {process.returncode})"
            elif time.monotonic() > deadline:
                what = f"is not ready after {_START_SECONDS:.0f} s"
            else:
                time.sleep(0.05)
                continue
            raise LocalCloudError(f"The local cloud's {self.log.stem} {what}. Read {self.log}")


class LocalCloud:
    """One local cloud, which keeps its processes' ids, logs and temporary files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.emulator = Daemon("emulator", folder)
        self.engine = Daemon("engine", folder)
        self._folder = folder
        self._port_file = folder / "port"
        self._checkpoints = folder / "checkpoints"
        self._temporary = folder / "tmp"

    def port(self) -> int | None:
        """The port that the emulator listens on; None when it is not running."""
        return int(self._port_file.read_text()) if self.emulator.process() else None

    def up(self, port: int) -> bool:
        """Have both processes running, the emulator on this port of 127.0.0.1; False when they were already.

        Raises LocalCloudError when the port is taken, or a process ends as it starts or stays silent.
        """
        running = self.port()
        if running not in (None, port):
            raise LocalCloudError(
                f"The local cloud is running on port {running}. Use LOCAL_PORT={running}, "
                "or stop it first: make cloud-down"
            )
        emulator_is_well = running is not None and _answers(port)
        if emulator_is_well and self.engine.process():
            return False
        if not emulator_is_well:
            self.down()  # what a crash or a kill has left
            self.start_emulator(port)
        self.start_engine(port)
        return True

    def down(self) -> bool:
        """Stop both, with the functions, and forget what they held; False when the emulator was not running."""
        self.engine.stop()
        stopped = self.emulator.stop()
        for folder in (self._checkpoints, self._temporary):
            shutil.rmtree(folder, ignore_errors=True)
        self._port_file.unlink(missing_ok=True)
        return stopped

    def start_emulator(self, port: int) -> None:
        """Start the emulator alone, which reads queues but no streams."""
        _claim(port)
        self._temporary.mkdir(parents=True, exist_ok=True)
        self._port_file.write_text(str(port))
        # Functions inherit this environment. Without AWS credentials in it they get their own role's, and AUTH
        # makes that role's policies count.
        environment = _inherited() | {
            "AUTH": "true",
            "BIND_HOST": HOST,
            ENGINE_STATUS: str((self._checkpoints / "engine.json").resolve()),
            "GATEWAY_PORT": str(port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self._temporary.resolve()),
        }
        command = [sys.executable, str(Path(__file__).with_name("emulator"))]
        self.emulator.start(command, environment, lambda: _answers(port))

    def start_engine(self, port: int) -> None:
        """Start the engine of the stream mappings, from its checkpoints if it has run before."""
        environment = _inherited() | {
            "AWS_ACCESS_KEY_ID": CREDENTIAL,
            "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
            "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
            "AWS_REGION": REGION,
            "PYTHONPATH": str(_SOURCES),
        }
        command = [sys.executable, "-m", "localcloud.engine", str(self._checkpoints)]
        self.engine.start(command, environment, lambda: self._engine_is_at_work())

    def heartbeat(self) -> dict[str, Any]:
        """What the engine last said of itself: its pid, the time, and how each mapping fares. Empty at first."""
        try:
            return dict(json.loads((self._checkpoints / "engine.json").read_text()))
        except FileNotFoundError:
            return {}

    def _engine_is_at_work(self) -> bool:
        process = self.engine.process()
        return process is not None and self.heartbeat().get("pid") == process.pid


def _inherited() -> dict[str, str]:
    """What the processes may have of this one's environment: nothing of the user's AWS or Python settings."""
    return {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ} | {
        "PYTHONUNBUFFERED": "1"
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
