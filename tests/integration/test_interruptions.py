"""A deploy that is interrupted at any moment can be continued, and until then every command says that it is partial.

One moment is tried by default: while Terraform waits for the stream. To try every fourth second of the apply, once,
twice and thrice, takes some hours (INTERRUPT_SHARE=1/3 runs a third; INTERRUPT_FROM= counts from the start of make):

    INTERRUPT_AT=0:72:4 INTERRUPT_TIMES=1,2,3 .venv/bin/pytest -s tests/integration/test_interruptions.py
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from localcloud.cloud import LocalCloud
from scripts.__main__ import commands as command_modules
from scripts.stage import ROOT
from tests.integration.shell import Shell

FROM = os.environ.get("INTERRUPT_FROM", "Creating...")
"""What make prints when the seconds begin."""
PARTLY, NOT = "only partly deployed", "not deployed"
NEEDS: Mapping[str, Sequence[str]] = {
    "invoke": ("--function", "AggregateScoresByUser", "--event", "score"),
    "rollback": ("--function", "AggregateScoresByUser"),
}
"""What commands ask for before they look at the stage."""


def moments() -> list[tuple[int, int]]:
    """When to interrupt, in seconds, and how often."""
    first, *more = map(int, os.environ.get("INTERRUPT_AT", "24").split(":"))
    stop, step = more or (first + 1, 1)
    times = [int(each) for each in os.environ.get("INTERRUPT_TIMES", "2").split(",")]
    share, _, shares = os.environ.get("INTERRUPT_SHARE", "1/1").partition("/")
    return [(second, often) for second in range(first, stop, step) for often in times][int(share) - 1 :: int(shares)]


def commands(state: str) -> list[str]:
    """The commands that look at what is deployed. The console serves a stage that is not deployed at all."""
    looking = [
        name for name, module in command_modules().items() if "deployed" in vars(importlib.import_module(module))
    ]
    unfit = ["deploy", "demo", "env", *([] if state == PARTLY else ["console"])]
    return [name for name in looking if name not in unfit]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)
    LocalCloud(tmp_path / "cloud").down()


def run(shell: Shell, command: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as make does, without make."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [sys.executable, "-m", "scripts", command, "--stage", "local", *NEEDS.get(command, ())],
        cwd=ROOT,
        env=clean | {"PYTHONPATH": "src", "LOCAL_DIR": str(shell.folder), "LOCAL_PORT": str(shell.port)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def interrupted_deploy(shell: Shell, second: int, often: int) -> tuple[int, str]:
    """Press Ctrl-C this often, a second apart, so long after the start; returns exit code and output."""
    with shell.start("deploy") as process:
        assert process.stdout is not None
        while FROM and FROM not in (line := process.stdout.readline()):
            assert line, "make ended before it began"
        try:
            process.wait(second)
        except subprocess.TimeoutExpired:
            for _ in range(often):
                os.killpg(process.pid, signal.SIGINT)
                try:
                    process.wait(1)
                    break
                except subprocess.TimeoutExpired:
                    continue
        output, _ = process.communicate(timeout=240)
    return process.returncode, output


@pytest.mark.parametrize(("second", "often"), moments())
def test_a_deploy_that_was_interrupted_is_said_to_be_partial_and_can_be_continued(
    second: int, often: int, shell: Shell
) -> None:
    code, output = interrupted_deploy(shell, second, often)
    assert "Traceback" not in output, output

    found = run(shell, "status")
    state = next((each for each in (PARTLY, NOT) if each in found.stderr), "deployed")
    assert (state == "deployed") == (found.returncode == 0), found.stderr
    if state != "deployed":
        assert code != 0, output
        for command in commands(state):
            done = run(shell, command)
            assert done.returncode == 1, f"{command}: {done.stdout}{done.stderr}"
            assert f"error: Stage local is {state}" in done.stderr, f"{command}: {done.stderr}"
            assert "make deploy STAGE=local" in done.stderr, f"{command}: {done.stderr}"
            assert "Traceback" not in done.stderr, f"{command}: {done.stderr}"
        exports = run(shell, "env")
        assert exports.returncode == 0
        assert (PARTLY in exports.stderr) == (state == PARTLY)

    started = time.monotonic()
    code, output = shell.make("deploy")
    again = time.monotonic() - started

    detail = found.stderr.partition("(missing: ")[2].partition(")")[0]
    kept = output.count("It is kept, and completed") + output.count("Taking over")
    print(
        f"\nTRIAL | {second:2} s | Ctrl-C x{often} | {state} | {detail} | taken back: {kept} "
        f"| deploy again: exit {code}, {again:.0f} s"
    )
    assert code == 0, output
    assert "Try next:" in output
    assert run(shell, "status").returncode == 0
