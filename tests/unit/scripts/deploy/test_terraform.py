"""How Terraform is started, and a command that was killed: what it leaves at work, what the next one waits for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from moto import mock_aws

from scripts.cli import UserError
from scripts.deploy.terraform import Root, Terraform
from scripts.stage import ROOT, Stage
from tests.waiting import eventually

BUCKET = "state"
TERRAFORM_SECONDS = 3
FAKE_TERRAFORM = f"""#!/bin/sh
# A provider that outlives its Terraform, as one does now and then when Terraform dies of a closed pipe.
if [ ! -e "$PROVIDER" ]; then
  sleep 60 >/dev/null 2>&1 &
  echo $! > "$PROVIDER.new" && mv "$PROVIDER.new" "$PROVIDER"
  sleep {TERRAFORM_SECONDS}
fi
"""
COMMAND = f"""
import sys
from pathlib import Path
from moto import mock_aws
from scripts.deploy.terraform import Terraform
from scripts.stage import Stage
stage = Stage("local", "us-east-1", None, Path(sys.argv[1]))  # without an endpoint, which moto would not answer for
with mock_aws():
    stage.session.client("s3").create_bucket(Bucket="{BUCKET}")
    Terraform(stage, "{BUCKET}").init()
"""


def test_terraform_is_told_its_stage_by_its_own_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "terraform").write_text('#!/bin/sh\nenv > "$SEEN"\n')
    (tmp_path / "terraform").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    monkeypatch.setenv("AWS_PROFILE", "of-the-user")
    before = dict(os.environ)
    stage = Stage("local", "eu-central-1", "http://127.0.0.1:4700", tmp_path / "local")

    Terraform(stage, BUCKET, variables={"TF_VAR_permissions_boundary": "boundary"}).init(read_only=True)

    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines() if "=" in line)
    for name, value in {
        "AWS_REGION": "eu-central-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4700",
        "AWS_PROFILE": None,
        "TF_VAR_permissions_boundary": "boundary",
    }.items():
        assert seen.get(name) == value, name
    assert dict(os.environ) == before


def test_a_folder_is_initialized_once_for_each_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system's root module consists of does not change here; of a copy of it, a file does."""
    root = tmp_path / "terraform-root"
    root.mkdir()
    for name in ("main.tf", ".terraform.lock.hcl"):
        (root / name).write_text("")
    mirror, calls = tmp_path / "mirror", tmp_path / "calls"
    mirror.mkdir()
    (mirror / "provider").touch()
    (tmp_path / "terraform").write_text(
        f"""#!/bin/sh
echo "$*" >> {calls}
mkdir -p $TF_DATA_DIR/providers/host/hashicorp/aws/5.0.0
ln -sfn {mirror} $TF_DATA_DIR/providers/host/hashicorp/aws/5.0.0/linux_amd64
[ ! -e {tmp_path}/broken ]
"""
    )
    (tmp_path / "terraform").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stage = Stage("local", "us-east-1", None, tmp_path / "local")

    def inits(bucket: str = BUCKET) -> int:
        """How often Terraform is run when a command begins."""
        before = calls.read_text().count(" init ") if calls.exists() else 0
        Terraform(stage, bucket, Root(root, "local", "key", tmp_path / "none.tfvars")).init(read_only=True)
        return calls.read_text().count(" init ") - before

    assert [inits(), inits()] == [1, 0]
    assert [inits("another"), inits("another")] == [1, 0]
    (root / "main.tf").write_text("# another module")
    assert [inits("another"), inits("another")] == [1, 0]
    monkeypatch.setenv("TF_CLI_ARGS_init", "-upgrade")
    assert [inits("another"), inits("another")] == [1, 0]
    (mirror / "provider").unlink()
    assert [inits("another"), inits("another")] == [1, 1]
    (mirror / "provider").touch()
    assert inits("another") == 0
    (tmp_path / "broken").touch()
    with pytest.raises(UserError, match="terraform init failed"):
        inits()
    (tmp_path / "broken").unlink()
    assert inits("another") == 1, "a failed one may have left anything"


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file with the process id of the provider that the fake Terraform starts."""
    (tmp_path / "terraform").write_text(FAKE_TERRAFORM)
    (tmp_path / "terraform").chmod(0o755)
    file = tmp_path / "provider"
    for name, value in {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PROVIDER": str(file),
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }.items():
        monkeypatch.setenv(name, value)
    yield file
    psutil.Process(int(file.read_text())).kill()


def test_the_next_command_waits_for_a_killed_ones_terraform_and_not_for_its_provider(
    provider: Path, tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", COMMAND, str(tmp_path / "local")]) as killed:
        eventually(provider.exists, "Terraform at work")
        killed.send_signal(signal.SIGKILL)
    started = time.monotonic()

    with mock_aws():
        stage = Stage("local", "us-east-1", None, tmp_path / "local")
        stage.session.client("s3").create_bucket(Bucket=BUCKET)
        with closing(Terraform(stage, BUCKET)) as terraform:
            terraform.init()

    assert TERRAFORM_SECONDS / 2 < time.monotonic() - started < 30
    assert psutil.pid_exists(int(provider.read_text()))
