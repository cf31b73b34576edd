"""Runs Terraform for a stage, with the stage's state, variables and working folder."""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

import psutil
import typer

from scripts.cli import UserError
from scripts.deploy import leftovers
from scripts.deploy.interrupt import OneInterrupt
from scripts.stage import TERRAFORM, Stage

HOLDS_DATA = frozenset({"aws_dynamodb_table", "aws_kinesis_stream", "aws_s3_bucket"})
"""The types of resources whose loss cannot be made good by another deploy."""

_NO_CHANGES, _FAILED, _CHANGES = 0, 1, 2  # terraform plan -detailed-exitcode
_TAINTED = (
    "replace_because_tainted"  # https://developer.hashicorp.com/terraform/internals/json-format#change-representation
)
_SURVIVOR_SECONDS = 600.0
_RECOVERIES = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a resource in a plan."""

    address: str
    type: str
    actions: Sequence[str]
    """As in Terraform's JSON: `["create"]`, `["delete"]`, `["delete", "create"]` for a replacement, ..."""
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    reason: str | None = None
    """Terraform's `action_reason`, where it gives one."""

    @property
    def deletes(self) -> bool:
        """Whether the resource, as it is now, would be gone."""
        return "delete" in self.actions

    @property
    def is_tainted(self) -> bool:
        """Whether the resource is replaced only because its creation did not finish, or `terraform taint` said so."""
        return self.reason == _TAINTED


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


class StalePlanError(UserError):
    """A saved plan that no longer fits what is deployed."""


class Terraform:
    """A root module, by default the system, applied to one stage. Each method raises UserError when Terraform fails."""

    def __init__(
        self, stage: Stage, state_bucket: str, root: Root | None = None, *, variables: Mapping[str, str] | None = None
    ) -> None:
        """`variables` are environment variables of Terraform alone, TF_VAR_<name> for the root module's inputs."""
        self._stage = stage
        self._bucket = state_bucket
        self._variables = variables or {}
        self._root = root or system(stage)
        self._data_dir = stage.folder / "terraform" / self._root.name
        self._given: Path | None = None
        self._changes: list[Change] | None = None
        self._text = ""
        self._claim: TextIO | None = None

    @cached_property
    def _scratch(self) -> "tempfile.TemporaryDirectory[str]":
        """A folder of this process for its plan, so that no other command replaces it before it is applied."""
        return tempfile.TemporaryDirectory(dir=self._data_dir, prefix="plan-")

    def close(self) -> None:
        """Give up the claim on the working folder, and delete the plan. A process that ends does so by itself."""
        if self._claim is not None:
            self._claim.close()
        if "_scratch" in self.__dict__:
            self._scratch.cleanup()

    @property
    def _plan_file(self) -> Path:
        return self._given or Path(self._scratch.name) / "plan"

    def init(self, *, read_only: bool = False) -> None:
        """Prepare the working folder; quiet unless it fails. `read_only` writes nothing outside that folder.

        A folder that is as an earlier `terraform init` left it, for the same configuration, needs no other: each takes
        seconds, for the most part to compute the checksum of a provider of 700 MB.
        """
        self._data_dir.mkdir(parents=True, exist_ok=True)
        if self._stage.is_local and not read_only:
            self._forget_stale_lock()
        arguments = [
            f"-backend-config={self._stage.backend_file}",
            f"-backend-config=bucket={self._bucket}",
            f"-backend-config=key={self._root.state_key}",
        ]
        done = self._data_dir / "initialized"
        if self._has_providers() and done.is_file() and done.read_text() == self._initialized_for(arguments):
            return
        done.unlink(missing_ok=True)
        code, output = self._captured("init", "-input=false", "-reconfigure", *arguments)
        if code != 0:
            raise UserError(f"terraform init failed.\n{output}")
        done.write_text(self._initialized_for(arguments))  # init may have added to the lock file

    def _has_providers(self) -> bool:
        """Whether the providers are still where init found them; a mirror or a cache may be gone."""
        # providers/<host>/<namespace>/<type>/<version>/<platform>, a link to a mirror or to a cache
        platforms = list(self._data_dir.glob("providers/*/*/*/*/*"))
        return bool(platforms) and all(platform.is_dir() and any(platform.iterdir()) for platform in platforms)

    def _initialized_for(self, arguments: Sequence[str]) -> str:
        """Return a digest of all that init goes by."""
        files = [self._stage.backend_file, self._root.folder / ".terraform.lock.hcl", *self._root.folder.rglob("*.tf")]
        options = {
            name: value for name, value in self._environment().items() if name.startswith(("TF_CLI", "TF_PLUGIN"))
        }
        digest = sha256(json.dumps([arguments, options], sort_keys=True).encode())
        for file in sorted(file for file in files if file.is_file()):
            digest.update(f"{file} ".encode() + file.read_bytes())
        return digest.hexdigest()

    def plan(
        self,
        *,
        destroy: bool = False,
        show: bool = True,
        lock: bool = True,
        refresh: bool = True,
        keep_tainted: bool = True,
        out: Path | None = None,
    ) -> bool:
        """Work out and save what has to change; False when nothing has. `show` prints it all, not only the counts.

        A plan that nobody will apply needs no `lock`, and so no right to write; `out` saves it to a file of its own.
        Without `refresh` the state is believed. A plan with a lock first takes back what an interrupted deploy
        left: see `recover`.
        """
        self._given = out.resolve() if out else None
        code, self._text = self._plan(destroy, lock=lock, refresh=refresh)
        # Once something is taken back, a plan may know of more: of a mapping, once its function is in the state.
        for _ in range(_RECOVERIES if lock and not destroy else 0):
            if not self.recover(keep_tainted=keep_tainted):
                break
            code, self._text = self._plan(destroy, lock=lock, refresh=refresh)
        self._print(show)
        return code == _CHANGES

    def use(self, plan: Path, *, show: bool = True) -> bool:
        """Take a saved plan as the one to apply; False when it changes nothing. Refuses another stage's."""
        if not plan.is_file():
            raise UserError(f"There is no plan {plan}. Make one: make plan STAGE={self._stage.name} PLAN={plan}")
        self._given, self._changes = plan.resolve(), None
        saved = self._shown()
        of = saved.get("variables", {}).get("stage", {}).get("value")
        if of != self._stage.name:
            raise UserError(f"Nothing was changed: {plan} is a plan of stage {of}, not of {self._stage.name}.")
        code, self._text = self._captured("show", "-no-color", str(self._plan_file))
        if code != 0:
            raise UserError(f"terraform show failed.\n{self._text}")
        self._print(show)
        return bool(saved.get("applyable", True))

    def _print(self, everything: bool) -> None:
        summary = re.search(r"^(Plan: |No changes).*$", self._text, re.MULTILINE)
        typer.echo(self._text if everything else summary.group(0) if summary else "Only outputs change.")

    def planned(self) -> dict[str, Any]:
        """Plan, without locking or changing anything; return the plan in Terraform's JSON."""
        self._plan(destroy=False, lock=False)
        return self._shown()

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
        # Terraform warns and goes on, with the default of whatever was meant.
        if unknown := re.search(r'does not\s+declare a variable\s+named "(\w+)"', output):
            raise UserError(
                f"{self._root.var_file.name} sets {unknown[1]}, which is no variable (terraform/README.md lists them). "
                "Nothing was changed. Rename or remove it."
            )
        # Terraform takes seconds to show a plan as JSON. A change of code alone need not wait for that.
        nothing_to_look_at = re.search(r"^Plan: 0 to add, .* 0 to destroy|^No changes", output, re.MULTILINE)
        self._changes = [] if nothing_to_look_at and "reserved_concurrent_executions" not in output else None
        return code, output

    def changes(self) -> list[Change]:
        """What the plan would create, replace or delete, and which functions it would update."""
        if self._changes is None:
            self._changes = [
                Change(
                    resource["address"],
                    resource["type"],
                    resource["change"]["actions"],
                    resource["change"]["before"] or {},
                    resource["change"]["after"] or {},
                    resource.get("action_reason"),
                )
                for resource in self._shown().get("resource_changes", [])
                if {"create", "delete"} & set(resource["change"]["actions"])
                or (resource["type"] == "aws_lambda_function" and "update" in resource["change"]["actions"])
            ]
        return self._changes

    def apply(self) -> None:
        """Carry out the plan that `plan` saved, or that `use` took. Raises StalePlanError when it no longer fits."""
        with tempfile.TemporaryFile("w+") as errors:
            try:
                code = self._run("apply", "-input=false", str(self._plan_file), stderr=errors)
            except KeyboardInterrupt:
                self._repeat(errors)
                self._import_leftovers()  # a destroy, too, shall know of all that was made
                raise
            told = self._repeat(errors)
        if "Saved plan is stale" in told:
            raise StalePlanError("Nothing was changed: the stage was changed after this plan was made. Plan again.")
        if code != 0:
            afresh = " Or start afresh: make cloud-down deploy" if self._stage.is_local else ""
            raise UserError(
                "terraform apply failed (see above). The resources that it created are in the state: "
                f"run the command again.{afresh}"
            )

    @staticmethod
    def _repeat(errors: TextIO) -> str:
        errors.seek(0)
        told = errors.read().strip()
        if told:
            typer.echo(told, err=True)
        return told

    def recover(self, *, keep_tainted: bool = True) -> bool:
        """Take back what an interrupted deploy has left, so that the next plan goes on with it.

        - What the saved plan would create, and exists, is imported: see scripts/deploy/leftovers.py.
        - What holds data, is tainted and is ready to use is untainted, and so updated rather than replaced. Nothing
          is lost by that, whether or not somebody has written to it meanwhile. `keep_tainted=False` leaves it tainted.

        Returns whether the state was changed: the plan that showed what to take back is then stale.
        """
        session, recovered = self._stage.session, self._import_leftovers()
        for change in self.changes() if keep_tainted else []:
            if (
                change.is_tainted
                and change.type in HOLDS_DATA
                and leftovers.is_ready(session, change.type, change.before)
            ):
                typer.echo(
                    f"{change.address} is there, though its creation was interrupted. It is kept, and completed."
                )
                self._change_state("untaint", change.address)
                recovered = True
        return recovered

    def _import_leftovers(self) -> bool:
        created = [change for change in self.changes() if change.actions == ["create"]]
        session = self._stage.session
        found = {change.address: leftovers.find(session, change.type, change.after) for change in created}
        if not any(found.values()):
            return False
        # What another apply, or a part of this one, has made since the plan is in the state already.
        known = set(self._captured("state", "list")[1].splitlines())
        imported = False
        for address, id_ in found.items():
            if id_ and address not in known:
                typer.echo(f"Taking over {address} ({id_}), which an interrupted deploy has left.")
                self._change_state("import", "-input=false", f"-var-file={self._root.var_file}", address, id_)
                imported = True
        return imported

    def _change_state(self, command: str, *arguments: str) -> None:
        code, output = self._captured(command, *arguments)
        if code != 0:
            raise UserError(f"terraform {command} failed.\n{output}")

    def _forget_stale_lock(self) -> None:
        """Remove the lock that a killed command left in the local state, which is this folder's alone.

        A command claims the folder for as long as it lives, and notes which Terraform works for it. A Terraform that
        outlives its command is waited for, a provider that outlives its Terraform is not.
        """
        claim = (self._data_dir / "deploy.lock").open("a+")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            return  # somebody is deploying: Terraform will say who
        claim.seek(0)
        survivor = _process(claim.read())
        if survivor is not None:
            typer.echo("Waiting for Terraform, which is still at work for a command that was killed.")
            try:
                survivor.wait(_SURVIVOR_SECONDS)
            except psutil.TimeoutExpired:
                claim.close()
                return
        self._claim = claim
        self._stage.session.client("s3").delete_object(Bucket=self._bucket, Key=f"{self._root.state_key}.tflock")

    def _note(self, terraform: "subprocess.Popen[bytes]") -> None:
        """Note which Terraform works for this command, for the next command in case that this one is killed."""
        if self._claim is not None:
            self._claim.truncate(0)
            self._claim.write(f"{terraform.pid} {psutil.Process(terraform.pid).create_time()}")
            self._claim.flush()

    def _captured(self, *arguments: str, stderr: bool = True) -> tuple[int, str]:
        with tempfile.TemporaryFile("w+") as output:
            code = self._run(*arguments, stdout=output, stderr=subprocess.STDOUT if stderr else None)
            output.seek(0)
            return code, output.read().strip()

    def _environment(self) -> dict[str, str]:
        own = {"TF_DATA_DIR": str(self._data_dir), "TF_IN_AUTOMATION": "1"}
        return {**self._stage.process_environment(os.environ), **self._variables, **own}

    def _run(self, *arguments: str, stdout: Any = None, stderr: Any = None) -> int:
        """Run Terraform to its end, also when interrupted. Raises KeyboardInterrupt then."""
        command, *options = arguments
        colour = [] if stdout is None and sys.stdout.isatty() else ["-no-color"]
        with OneInterrupt() as interrupts:
            interrupts.process = subprocess.Popen(
                ["terraform", f"-chdir={self._root.folder}", command, *colour, *options],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                process_group=0,
            )
            self._note(interrupts.process)
            return interrupts.wait()


def _process(note: str) -> psutil.Process | None:
    """Return the running process that `_note` noted, None when it has ended; process ids are used again."""
    try:
        pid, created = note.split()
        process = psutil.Process(int(pid))
        is_running = process.create_time() == float(created) and process.status() != psutil.STATUS_ZOMBIE
    except (ValueError, psutil.NoSuchProcess):
        return None
    return process if is_running else None
