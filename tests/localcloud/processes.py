"""An emulator and an engine of the test's own, on a free port."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import urlopen

import boto3

SOURCE = Path(__file__).parents[2] / "src"
T = TypeVar("T")


def until(seen: Callable[[], T], what: str, seconds: float = 30) -> T:
    """Wait for something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := seen()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return value


class Cloud:
    """The two processes that make a local cloud, ended by their ids."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def client(self, service: Any) -> Any:
        """A client with the rights of the account's root."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def start_emulator(self) -> None:
        """Start ministack, as cloud.py does, and wait until it answers."""
        settings = {"GATEWAY_PORT": str(self.port), "BIND_HOST": "127.0.0.1", "SFTP_ENABLED": "0"}
        settings |= {"IOT_MTLS_ENABLED": "0", "AUTH": "true", "TMPDIR": str(self.folder)}
        self._start("emulator", [str(SOURCE / "localcloud/emulator.py")], settings)
        until(self._answers, "the emulator answers")

    def start_engine(self) -> None:
        """Start the engine, and wait until its heartbeat says that it is at work."""
        checkpoints = self.folder / "engine"
        settings = {"AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "us-east-1", "PYTHONPATH": str(SOURCE)}
        settings |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        process = self._start("engine", ["-m", "localcloud.engine", str(checkpoints)], settings)

        def at_work() -> bool:
            assert process.poll() is None, self.log("engine")
            return bool(self.heartbeat().get("pid") == process.pid)

        until(at_work, "the engine is at work")

    def heartbeat(self) -> dict[str, Any]:
        """What the engine last said of itself."""
        try:
            return dict(json.loads((self.folder / "engine/engine.json").read_text()))
        except FileNotFoundError:
            return {}

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End what was started."""
        for name in list(self._processes):
            self.kill(name)

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / f"{name}.log").read_text()

    def pid(self, name: str) -> int:
        """A process's id."""
        return self._processes[name].pid

    def _start(self, name: str, arguments: list[str], settings: dict[str, str]) -> subprocess.Popen[bytes]:
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "PYTHON"))
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=inherited | settings, stdout=log, stderr=subprocess.STDOUT
            )
        self._processes[name] = process
        return process

    def _answers(self) -> bool:
        assert self._processes["emulator"].poll() is None, self.log("emulator")
        try:
            with urlopen(f"{self.endpoint}/_ministack/health", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False


def package(files: dict[str, str]) -> bytes:
    """A function's zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()
