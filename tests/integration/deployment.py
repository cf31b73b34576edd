"""The system, applied by python-terraform: to a local cloud of the tests' own, or to an AWS account."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest
from python_terraform import IsNotFlagged, Terraform, TerraformCommandError

from localcloud.cloud import LocalCloud
from scripts.deploy import state_bucket
from scripts.develop.acceptance import environment, prefix_of, trial
from scripts.develop.trial_leftovers import left
from scripts.stage import LOCAL, ROOT, TERRAFORM, Stage, resolve
from tests import waiting
from tests.waiting import free_port


@contextmanager
def pointed_at(stage: Stage, **environ: str) -> Iterator[None]:
    """Point this process at a stage for a while, and the commands that it starts, which resolve the stage again."""
    before = dict(os.environ)
    pointed = stage.process_environment({**before, **environ})
    try:
        os.environ.clear()
        os.environ.update(pointed)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def local_stage(folder: Path) -> Iterator[Stage]:
    """A local cloud on a free port, and this process pointed at it; both undone at the end."""
    environ = {"LOCAL_DIR": str(folder), "LOCAL_PORT": str(LocalCloud(folder / "cloud").port() or free_port())}
    stage = resolve(LOCAL, environ)
    try:
        stage.local_cloud.up(stage.port)
        with pointed_at(stage, **environ):
            yield stage
    finally:
        stage.local_cloud.down()


@contextmanager
def aws_stage(name: str, account: str) -> Iterator[Stage]:
    """A stage in AWS, for whoever was asked about this account; the tests end when the credentials are another's."""
    stage = resolve(name, os.environ)
    with pointed_at(stage):
        found = stage.account()
        if found != account:
            pytest.exit(f"Nothing was made in account {found}: start these tests by make acceptance STAGE={name}", 1)
        stage.check_account(found)
        yield stage


class Deployment:
    """One deployed copy of the system. Every method raises when Terraform returns an error."""

    def __init__(self, stage: Stage, prefix: str, variables: Mapping[str, Any]) -> None:
        settings = {"bucket": state_bucket.ensure(stage, stage.account()), "key": stage.state_key}
        local = {"use_path_style": "true"} if stage.endpoint else {}
        self._terraform = Terraform(
            working_dir=str(TERRAFORM),
            variables={"name_prefix": prefix, "failures": {"force_destroy": True}, **variables},
        )
        os.environ["TF_DATA_DIR"] = str(stage.folder / "terraform" / prefix)
        self._call(
            "init",
            backend_config={**settings, **local, "use_lockfile": "true", "encrypt": "true"},
            reconfigure=True,
        )

    def apply(self, **variables: Any) -> None:
        """Create the system, or change what these variables change."""
        self._terraform.variables |= variables
        self._call("apply", skip_plan=True)

    def apply_only(self, *addresses: str) -> None:
        """Create these resources and what they depend on, as an apply that was cut short does."""
        self._call("apply", skip_plan=True, target=list(addresses))

    def take_over(self, address: str, id_: str) -> None:
        """Bring into the state what was created by other means."""
        self._call("import_cmd", address, id_, var=self._terraform.variables)

    def plan(self, *, lock: bool = True) -> str:
        """What another apply would change; empty for nothing."""
        code, output, errors = self._terraform.plan(lock=lock)  # 0: no change, 1: failed, 2: a change
        assert code in (0, 2), f"terraform plan failed:\n{errors}"
        return str(output) if code else ""

    def planned_changes(self) -> list[dict[str, Any]]:
        """The resources that another apply would change, each as `terraform show -json` has it."""
        with TemporaryDirectory() as folder:
            plan = f"{folder}/plan"
            self._call("plan", out=plan, detailed_exitcode=IsNotFlagged)
            shown = json.loads(self._call("show", plan, json=True))
        return [
            each
            for each in shown.get("resource_changes", [])
            if each["mode"] == "managed" and each["change"]["actions"] != ["no-op"]
        ]

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
        """Remove the system, once a Terraform that was interrupted has ended."""
        # python-terraform would send -force, which Terraform no longer knows.
        self._call("destroy", force=IsNotFlagged, auto_approve=True, lock_timeout="900s")

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

    @property
    def session(self) -> boto3.Session:
        """The session of its stage."""
        return self.stage.session

    @property
    def prefix(self) -> str:
        """What its names begin with."""
        return prefix_of(self.stage)

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
            try:
                output, errors = process.communicate(stdin, timeout=waiting.patience().command)
            except subprocess.TimeoutExpired:
                process.kill()  # leaving the block waits for its end
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command of scripts/ on this system, or on another stage that the arguments name."""
        stage = () if "--stage" in arguments else ("--stage", self.stage.name)
        return subprocess.Popen(
            [sys.executable, "-m", "scripts", name, *stage, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "src"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def deployed_system(stage: Stage, folder: Path, *, in_own_account: bool) -> Iterator[System]:
    """A trial of a stage: applied, lent, destroyed, and seen to be gone.

    In an account of the tests' own nothing else may be left either.
    """
    made = trial(stage, folder)
    deployment: Deployment | None = None
    with pointed_at(made, **environment(made)):
        try:
            deployment = Deployment(made, prefix_of(made), made.variables)
            deployment.apply()
            yield System(made, deployment, deployment.outputs())
        finally:
            if deployment is not None:
                deployment.destroy()
        remains = left(made.session, "" if in_own_account else prefix_of(made))
        assert not remains, remains


def release(function: str) -> None:
    """Publish a function as it is now, and bring it live, as a deploy does."""
    functions = boto3.client("lambda")
    functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    version = functions.publish_version(FunctionName=function)["Version"]
    functions.update_alias(FunctionName=function, Name="live", FunctionVersion=version)
