"""The commands, as a user types them: make in a terminal."""

import itertools
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from localcloud.cloud import CREDENTIAL, HOST, REGION, LocalCloud
from scripts.stage import ROOT, stages
from tests.integration.shell import Shell
from tests.waiting import eventually


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    yield Shell(tmp_path)
    LocalCloud(tmp_path / "cloud").down()


def interrupt(process: "subprocess.Popen[str]", after: str) -> str:
    """Press Ctrl-C once make has printed something; returns what it printed from there on."""
    assert process.stdout is not None
    for line in process.stdout:
        if after in line:
            break
    else:
        pytest.fail(f"make ended before it printed {after!r}")
    os.killpg(process.pid, signal.SIGINT)
    return process.communicate(timeout=120)[0]


def take_the_tour(shell: Shell) -> None:
    """Run the README's tour block by block, and wait for what it says one sees."""
    tour = (ROOT / "README.md").read_text().split("## A five-minute tour")[1].split("\n## ")[0]
    first, *blocks = re.findall(r"^```(sh|python|text)\n(.*?)^```", tour, re.MULTILINE | re.DOTALL)
    assert first == ("sh", 'eval "$(make -s env)"\n.venv/bin/python\n'), "it begins by pointing the shell at the stage"
    assert [kind for kind, _ in blocks].count("text") >= 3

    def run(kind: str, code: str) -> "subprocess.CompletedProcess[str]":
        environment = {"LOCAL_PORT": str(shell.port), "LOCAL_DIR": str(shell.folder), "PATH": os.environ["PATH"]}
        interpreter = "bash -c" if kind == "sh" else ".venv/bin/python -c"
        script = f'eval "$(make -s env)" && {interpreter} "$0"'
        return subprocess.run(["bash", "-c", script, code], cwd=ROOT, env=environment, capture_output=True, text=True)

    for (kind, block), (next_kind, next_block) in itertools.pairwise([*blocks, ("", "")]):
        if next_kind == "text":
            seen = next_block.strip()
            eventually(lambda: seen in run(kind, block).stdout, f"{seen!r} from\n{block}", 60)  # noqa: B023
        elif kind != "text":
            done = run(kind, block)
            assert done.returncode == 0, done.stderr


def change_by_hand(shell: Shell, megabytes: int, **variables: str) -> None:
    """Change a function's memory, and some variables of its environment, as somebody does in the console."""
    functions = boto3.client(
        "lambda",
        endpoint_url=f"http://{HOST}:{shell.port}",
        region_name=REGION,
        aws_access_key_id=CREDENTIAL,
        aws_secret_access_key=CREDENTIAL,
    )
    name = "AggregateScoresByUser"
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(
        FunctionName=name, MemorySize=megabytes, Environment={"Variables": before | variables}
    )


def test_a_stage_lives_through_interrupts_repeats_and_its_destruction(shell: Shell) -> None:
    code, output = shell.make("output")
    assert code != 0
    assert "error: Stage local is not deployed. Deploy it: make deploy STAGE=local" in output

    # Ctrl-C in the middle: Terraform has made some, is making the stream, and has not begun with the rest.
    with shell.start("deploy") as process:
        printed = interrupt(process, after="aws_kinesis_stream.this: Still creating")
    assert process.returncode != 0
    assert "Traceback" not in printed

    code, output = shell.make("deploy")
    assert code == 0, output
    assert "Try next:" in output

    take_the_tour(shell)

    started = time.monotonic()
    code, output = shell.make("deploy")
    assert code == 0, output
    assert "No changes." in output
    assert time.monotonic() - started < 60

    code, output = shell.make("--silent", "output")
    assert code == 0, output
    assert json.loads(output)["stream"]["name"] == "Demo-Stream"

    code, output = shell.make("drift")
    assert code == 0, output
    assert "No drift" in output

    change_by_hand(shell, 512, TOMBSTONE_DAYS="1")
    code, output = shell.make("drift")
    assert code == 2, output
    drifted = [line for line in output.splitlines() if line.startswith("  module.")]
    assert drifted == ['  module.function["AggregateScoresByUser"].aws_lambda_function.this: environment, memory_size']

    code, output = shell.make("destroy")
    assert code == 0, output
    assert "Local cloud stopped." in output
    assert LocalCloud(shell.folder / "cloud").port() is None

    code, output = shell.make("destroy")
    assert code == 0, output
    assert "Nothing to destroy" in output


def test_after_a_deploy_is_killed_outright_destroy_works_and_is_not_locked_out(shell: Shell) -> None:
    with shell.start("deploy") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Creating..." in line:
                break
        os.killpg(process.pid, signal.SIGKILL)

    code, output = shell.make("destroy")

    assert code == 0, output
    assert "Local cloud stopped." in output


def test_cloud_up_starts_an_engine_that_died_beside_the_emulator_that_lives(shell: Shell) -> None:
    code, output = shell.make("cloud-up")
    assert code == 0, output
    cloud = LocalCloud(shell.folder / "cloud")
    emulator, engine = cloud.emulator.process(), cloud.engine.process()
    assert engine is not None
    engine.kill()
    engine.wait(timeout=10)

    code, output = shell.make("cloud-up")

    assert code == 0, output
    assert cloud.emulator.process() == emulator
    assert cloud.engine.process() not in (None, engine)


def test_env_points_a_shell_at_the_stage(shell: Shell) -> None:
    script = 'eval "$(make -s env)" && echo $AWS_ENDPOINT_URL $AWS_REGION $AWS_DEFAULT_REGION ${AWS_PROFILE:-none}'

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LOCAL_PORT": "4999", "LOCAL_DIR": str(shell.folder), "AWS_PROFILE": "mine"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["http://127.0.0.1:4999", "us-east-1", "us-east-1", "none"]


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["deploy", "STAGE=No-Stage"], {}, f"error: There is no stage 'No-Stage'. Choose one of {', '.join(stages())}"),
        (["deploy", "STAGE=dev"], {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "error: Stage dev is in AWS, but"),
        (
            ["deploy", "STAGE=dev"],
            {"AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"},
            "error: No AWS account to use for stage dev",
        ),
        (["deploy", "PYTHON=no-such-python", "VENV=.venv/.never"], {}, "error: Python 3.11 or later is needed"),
        (
            ["bootstrap", "STAGE=dev", "GITHUB=o/n", "PULL_REQUESTS=true"],
            {},
            "error: PULL_REQUESTS=true is neither yes",
        ),
        (["bootstrap", "GITHUB=octo/scores"], {}, "error: GitHub cannot reach the local cloud. Choose a stage in AWS"),
        (["terraform-ready"], {"PATH": "/usr/bin:/bin"}, "error: terraform is not installed. Get 1.11 or later"),
    ],
)
def test_what_a_user_can_mend_is_one_line_that_says_how(
    arguments: list[str], environment: dict[str, str], message: str, shell: Shell, tmp_path: Path
) -> None:
    nobody = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}

    code, output = shell.make(*arguments, **(nobody | environment))

    assert code != 0
    (error,) = (line for line in output.splitlines() if line.startswith("error:"))
    assert error.startswith(message)
    assert "Traceback" not in output
