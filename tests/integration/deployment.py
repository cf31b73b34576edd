"""The system, applied by python-terraform to a local cloud of the tests' own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import boto3
from python_terraform import IsNotFlagged, Terraform, TerraformCommandError

from scripts.deploy import state_bucket
from scripts.stage import LOCAL, ROOT, TERRAFORM, Stage, resolve
from tests.waiting import free_port

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


@contextmanager
def local_stage(folder: Path) -> Iterator[Stage]:
    """A local cloud on a free port, and this process pointed at it; both undone at the end."""
    ambient = {"LOCAL_DIR": str(folder), "LOCAL_PORT": str(free_port())}
    stage = resolve(LOCAL, ambient)
    before = dict(os.environ)
    try:
        stage.local_cloud.up(stage.port)
        os.environ.update(ambient)  # for the commands, which resolve the stage by themselves
        stage.activate()
        yield stage
    finally:
        os.environ.clear()
        os.environ.update(before)
        stage.local_cloud.down()


class Deployment:
    """One deployed copy of the system. Every method raises when Terraform returns an error."""

    def __init__(self, stage: Stage, prefix: str, variables: Mapping[str, Any]) -> None:
        self._terraform = Terraform(
            working_dir=str(TERRAFORM),
            variables={"name_prefix": prefix, "failures": {"force_destroy": True}, **variables},
        )
        os.environ["TF_DATA_DIR"] = str(stage.folder / "terraform" / prefix)
        self._call(
            "init",
            backend_config={
                "bucket": state_bucket.ensure(stage, stage.account()),
                "key": stage.state_key,
                "use_path_style": "true",
                "use_lockfile": "true",
            },
            reconfigure=True,
        )

    def apply(self, **variables: Any) -> None:
        """Create the system, or change what these variables change."""
        self._terraform.variables |= variables
        self._call("apply", skip_plan=True)

    def apply_only(self, *addresses: str) -> None:
        """Create these resources and what they depend on, as an apply that was cut short does."""
        self._call("apply", skip_plan=True, target=list(addresses))

    def plan(self, *, lock: bool = True) -> str:
        """What another apply would change; empty for nothing."""
        code, output, errors = self._terraform.plan(lock=lock)  # 0: no change, 1: failed, 2: a change
        assert code in (0, 2), f"terraform plan failed:\n{errors}"
        return str(output) if code else ""

    def planned(self, *var_files: Path) -> dict[str, Any]:
        """What an apply with these variables, and no others, would make, as `terraform show -json` says it."""
        with TemporaryDirectory() as folder:
            plan = f"{folder}/plan"
            # Without an exit code of its own for a plan that changes something.
            self._call("plan", var={}, var_file=list(map(str, var_files)), out=plan, detailed_exitcode=IsNotFlagged)
            return dict(json.loads(self._call("show", plan, json=True)))

    def shown(self) -> dict[str, Any]:
        """All that is deployed, as `terraform show -json` says it."""
        return dict(json.loads(self._call("show", json=True)))

    def outputs(self) -> dict[str, Any]:
        """The root module's outputs, by name."""
        output = self._call("output_cmd", json=True)
        return {name: each["value"] for name, each in json.loads(output).items()}

    def destroy(self) -> None:
        """Remove the system."""
        # python-terraform would send -force, which Terraform no longer knows.
        self._call("destroy", force=IsNotFlagged, auto_approve=True)

    def _call(self, method: str, *arguments: str, **options: Any) -> str:
        try:
            _, output, _ = getattr(self._terraform, method)(*arguments, **options, raise_on_error=True)
        except TerraformCommandError as error:
            raise AssertionError(f"terraform {method} returned {error.returncode}:\n{error.out}{error.err}") from None
        return str(output)


@dataclass(frozen=True)
class System:
    """A deployed system, as a test uses it."""

    stage: Stage
    deployment: Deployment
    outputs: Mapping[str, Any]

    def table(self, name: str) -> str:
        """The real name of a table of the lab."""
        return str(self.outputs["tables"][name]["name"])

    def function(self, name: str) -> str:
        """The real name of a function of the lab."""
        return str(self.outputs["functions"][name]["name"])

    def logged(self, function: str) -> list[str]:
        """All that a function has logged, in order."""
        pages = (
            boto3.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=self.outputs["functions"][function]["log_group"])
        )
        return [event["message"] for page in pages for event in page["events"]]

    def command(self, name: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command of scripts/ on this system, as make does, to its end."""
        with self.start(name, *arguments) as process:
            output, errors = process.communicate(stdin, timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command of scripts/ on this system."""
        return subprocess.Popen(
            [sys.executable, "-m", "scripts", name, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "src"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def deployed_system(folder: Path, prefix: str, **variables: Any) -> Iterator[System]:
    """The system on a local cloud of its own: applied, lent, destroyed, and seen to be gone."""
    with local_stage(folder) as stage:
        deployment = Deployment(stage, prefix, variables)
        try:
            deployment.apply()
            yield System(stage, deployment, deployment.outputs())
        finally:
            deployment.destroy()
        left = what_is_left()
        assert not left, left


def release(function: str) -> None:
    """Publish a function as it is now, and bring it live, as a deploy does."""
    functions = boto3.client("lambda")
    functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    version = functions.publish_version(FunctionName=function)["Version"]
    functions.update_alias(FunctionName=function, Name="live", FunctionVersion=version)


def what_is_left() -> list[str]:
    """Every resource of a kind that the system has, but for the bucket of Terraform's state."""
    kms = boto3.client("kms")
    buckets = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    return [
        *boto3.client("kinesis").list_streams()["StreamNames"],
        *boto3.client("dynamodb").list_tables()["TableNames"],
        *(each["FunctionName"] for each in boto3.client("lambda").list_functions()["Functions"]),
        *(each["UUID"] for each in boto3.client("lambda").list_event_source_mappings()["EventSourceMappings"]),
        *(each["logGroupName"] for each in boto3.client("logs").describe_log_groups()["logGroups"]),
        *(each["RoleName"] for each in boto3.client("iam").list_roles()["Roles"]),
        *(bucket for bucket in buckets if "tfstate" not in bucket),
        *(each["AlarmName"] for each in boto3.client("cloudwatch").describe_alarms()["MetricAlarms"]),
        *(each["DashboardName"] for each in boto3.client("cloudwatch").list_dashboards()["DashboardEntries"]),
        *(each["TopicArn"] for each in boto3.client("sns").list_topics()["Topics"]),
        *(each["KeyArn"] for each in kms.list_keys()["Keys"] if _is_usable(kms, each["KeyId"])),
    ]


def _is_usable(kms: "KMSClient", key_id: str) -> bool:
    """Whether a key of ours is not about to be deleted, which KMS does after days at the soonest."""
    key = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    return key.get("KeyManager") == "CUSTOMER" and key.get("KeyState") != "PendingDeletion"
