"""The commands, as a user types them: make in a terminal."""

import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from scripts.stage import ROOT
from tests.waiting import free_port


@dataclass(frozen=True)
class Shell:
    """A terminal, in a clone, whose stages are kept in a folder of its own."""

    folder: Path
    port: int = field(default_factory=free_port)
    clone: Path = ROOT

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        """Start make in a process group of its own, as a terminal does."""
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "MAKE", "MFLAGS", "STAGES_DIR"))
        }
        return subprocess.Popen(
            ["make", *arguments],
            cwd=self.clone,
            env=clean | {"LOCAL_DIR": str(self.folder), "LOCAL_PORT": str(self.port)} | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def make(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The exit code of make, and all that it printed."""
        with self.start(*arguments, **environment) as process:
            output = output_of(process)
        return process.returncode, output


def output_of(process: "subprocess.Popen[str]", seconds: float = 300) -> str:
    """Return all that make prints. It is killed at the deadline, which would otherwise wait for ever to fail."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
