"""Runs Terraform for a stage, with the stage's state, variables and working folder."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import typer
from filelock import FileLock, Timeout

from scripts.command import UserError
from scripts.stage import TERRAFORM, Stage

_NO_CHANGES, _FAILED, _CHANGES = 0, 1, 2  # terraform plan -detailed-exitcode


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan would do to a resource."""

    address: str
    type: str
    actions: Sequence[str]
    """As in Terraform's JSON: `["create"]`, `["delete"]`, `["delete", "create"]` for a replacement, ..."""
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    @property
    def deletes(self) -> bool:
        """Whether the resource, as it is now, would be gone."""
        return "delete" in self.actions


@dataclass(frozen=True)
class Root:
    """A root module, and what it is applied with."""

    folder: Path
    name: str
    """Of its working folder: roots and stages never reconfigure each other."""
    state_key: str
    var_file: Path


def system(stage: Stage) -> Root:
    """The system, as a stage has it."""
    return Root(TERRAFORM, stage.name, stage.state_key, stage.var_file)


class Terraform:
    """A root module, by default the system, applied to one stage. Each method raises UserError when Terraform fails."""

    def __init__(self, stage: Stage, state_bucket: str, root: Root | None = None) -> None:
        self._stage = stage
        self._bucket = state_bucket
        self._root = root or system(stage)
        self._data_dir = stage.folder / "terraform" / self._root.name
        self._plan_file = self._data_dir / "plan"
        self._changes: list[Change] | None = None
        # Held while this object lives, so that a lock which another deploy left in the local state is known as stale.
        self._alone = FileLock(self._data_dir / "deploy.lock")

    def init(self) -> None:
        """Prepare the working folder; quiet unless it fails."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        if self._stage.is_local:
            self._forget_stale_lock()
        code, output = self._captured(
            "init",
            "-input=false",
            "-reconfigure",
            f"-backend-config={self._stage.backend_file}",
            f"-backend-config=bucket={self._bucket}",
            f"-backend-config=key={self._root.state_key}",
        )
        if code != 0:
            raise UserError(f"terraform init failed.\n{output}")

    def plan(self, *, destroy: bool = False, show: bool = True, lock: bool = True, refresh: bool = True) -> bool:
        """Work out and save what has to change; False when nothing has. `show` prints it all, not only the counts.

        A plan that nobody will apply needs no `lock`, and so no right to write. Without `refresh`
        the state is believed.
        """
        code, output = self._plan(destroy, lock=lock, refresh=refresh)
        summary = re.search(r"^(Plan: |No changes).*$", output, re.MULTILINE)
        typer.echo(output if show else summary.group(0) if summary else "Only outputs change.")
        return code == _CHANGES

    def drift(self) -> list[str]:
        """What was changed behind Terraform's back and a deploy would change back; locks and changes nothing."""
        self._plan(destroy=False, lock=False)
        return drifted(self._shown())

    def _shown(self) -> dict[str, Any]:
        """The saved plan: https://developer.hashicorp.com/terraform/internals/json-format"""
        code, plan = self._captured("show", "-json", str(self._plan_file), stderr=False)
        if code != 0:
            raise UserError(f"terraform show failed.\n{plan}")
        return dict(json.loads(plan))

    def _plan(self, destroy: bool, *, lock: bool = True, refresh: bool = True) -> tuple[int, str]:
        code, output = self._captured(
            "plan",
            "-input=false",
            "-detailed-exitcode",
            f"-var-file={self._root.var_file}",
            f"-out={self._plan_file}",
            *(["-destroy"] if destroy else []),
            *([] if lock else ["-lock=false"]),
            *([] if refresh else ["-refresh=false"]),
        )
        if code not in (_NO_CHANGES, _CHANGES):
            raise UserError(f"terraform plan failed.\n{output}")
        # To show the plan takes seconds, which a change of code alone need not wait for.
        self._changes = [] if re.search(r"^Plan: 0 to add, .* 0 to destroy", output, re.MULTILINE) else None
        return code, output

    def changes(self) -> list[Change]:
        """What the plan that `plan` saved would create, replace or delete; what it would only update is left out."""
        if self._changes is None:
            self._changes = [
                Change(
                    resource["address"],
                    resource["type"],
                    resource["change"]["actions"],
                    resource["change"]["before"] or {},
                    resource["change"]["after"] or {},
                )
                for resource in self._shown().get("resource_changes", [])
                if {"create", "delete"} & set(resource["change"]["actions"])
            ]
        return self._changes

    def apply(self) -> None:
        """Carry out the plan that `plan` saved."""
        if self._adopt_streams():
            self._plan(destroy=False)
        try:
            code = self._run("apply", "-input=false", str(self._plan_file))
        except KeyboardInterrupt:
            self._adopt_streams()
            raise
        if code != 0:
            afresh = " Or start afresh: make cloud-down deploy" if self._stage.is_local else ""
            raise UserError(f"terraform apply failed, as told above. What was made is kept: run it again.{afresh}")

    def _adopt_streams(self) -> bool:
        """Take into the state each stream that the saved plan would create, and that is there.

        An interrupt while the provider waits for a new stream leaves the stream outside the state (5.100.0 notes
        its id only after the wait), where neither a deploy nor a destroy could go on. The stream's tags, which it
        has had since its creation, tell ours from another's.
        """
        adopted = False
        for change in self.changes():
            if change.type != "aws_kinesis_stream" or change.actions != ["create"]:
                continue
            name = change.after["name"]
            if _stream_tags(name) == change.after["tags_all"]:
                typer.echo(f"Taking over {name}, which an interrupted deploy has left.")
                code, output = self._captured(
                    "import", "-input=false", f"-var-file={self._root.var_file}", change.address, name
                )
                if code != 0:
                    raise UserError(f"terraform import failed.\n{output}")
                adopted = True
        return adopted

    def _forget_stale_lock(self) -> None:
        """Remove what a deploy that was killed left locked: the local state is this folder's alone."""
        try:
            self._alone.acquire(timeout=0)
        except Timeout:
            return  # somebody is deploying: Terraform will say who
        boto3.client("s3").delete_object(Bucket=self._bucket, Key=f"{self._root.state_key}.tflock")

    def _captured(self, *arguments: str, stderr: bool = True) -> tuple[int, str]:
        with tempfile.TemporaryFile("w+") as output:
            code = self._run(*arguments, stdout=output, stderr=subprocess.STDOUT if stderr else None)
            output.seek(0)
            return code, output.read().strip()

    def _run(self, *arguments: str, stdout: Any = None, stderr: Any = None) -> int:
        """Run Terraform to its end, also when interrupted: it gets the terminal's SIGINT itself, and then
        finishes what it has begun and saves the state. Killing it there would lose track of resources."""
        command, *options = arguments
        colour = [] if stdout is None and sys.stdout.isatty() else ["-no-color"]
        process = subprocess.Popen(
            ["terraform", f"-chdir={self._root.folder}", command, *colour, *options],
            env={**os.environ, "TF_DATA_DIR": str(self._data_dir), "TF_IN_AUTOMATION": "1"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        interrupted = False
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                interrupted = True
                typer.echo("Stopping: Terraform finishes what it has begun, and saves the state.", err=True)
        if interrupted:
            raise KeyboardInterrupt
        return code


def drifted(plan: Mapping[str, Any]) -> list[str]:
    """The drift in a plan, as Terraform's JSON has it: `<address>: <attribute>, ...` for each resource.

    That is told attribute by attribute, since a plan also shows what is not deployed yet, and the world moves by
    itself in attributes that the code does not set.
    """
    would_change = {change["address"]: _changed(change) for change in plan.get("resource_changes", [])}
    found = {
        moved["address"]: _changed(moved) & would_change.get(moved["address"], set())
        for moved in plan.get("resource_drift", [])
    }
    return [f"{address}: {', '.join(sorted(names))}" for address, names in sorted(found.items()) if names]


def _changed(resource: Mapping[str, Any]) -> set[str]:
    """The attributes that a change of a resource is about; "all of it" where it was or would be deleted or made."""
    before, after = resource["change"]["before"], resource["change"]["after"]
    if before is None or after is None:
        return {"all of it"} if before != after else set()
    unknown = resource["change"].get("after_unknown", {})
    return {name for name in before | after if before.get(name) != after.get(name) and not unknown.get(name)}


def _stream_tags(name: str) -> dict[str, str] | None:
    """The tags of a stream; None when there is no such stream."""
    kinesis = boto3.client("kinesis")
    try:
        return {tag["Key"]: tag["Value"] for tag in kinesis.list_tags_for_stream(StreamName=name)["Tags"]}
    except kinesis.exceptions.ResourceNotFoundException:
        return None
