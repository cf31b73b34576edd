"""What every command shares."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.stage import ROOT

INTERRUPTED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(30)\n"


@pytest.mark.parametrize("command", ["deploy", "status", "reconcile", "put_scores"])
def test_an_interrupt_while_a_command_is_still_importing_prints_nothing(command: str, tmp_path: Path) -> None:
    (tmp_path / "boto3.py").write_text(INTERRUPTED)

    done = subprocess.run(
        [sys.executable, "-m", "scripts", command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}", "LOCAL_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=20,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_a_wrong_value_is_named_by_the_variable_of_make() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts", "put-scores", "--n", "none"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: Invalid value for N: ")
