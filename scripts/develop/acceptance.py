"""Run the acceptance tests on a stage's AWS account, or on a local cloud: `make acceptance STAGE=dev`.

They deploy a trial: the stage's settings under another stage name, name_prefix and Terraform state, so that nothing of
the stage itself is touched, nor its alarms, which know a stage by its name.

The trial's state is in the stage's state bucket rather than on this machine: whoever runs the tests next, from whatever
machine, finds what an interrupted run has left, and Terraform's lock keeps two runs apart. A note beside the state says
whose run it is.
"""

import fcntl
import getpass
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer

from bench import costs
from localcloud.cloud import LocalCloud
from scripts.cli import UserError, agree
from scripts.deploy import state_bucket
from scripts.deploy.deploy import start_local_cloud
from scripts.deploy.interrupt import OneInterrupt
from scripts.deploy.terraform import Terraform
from scripts.develop.trial_leftovers import TAG, left, remove_monitoring, remove_probes
from scripts.stage import LOCAL, ROOT, Stage, resolve
from tests.waiting import free_port

TRIAL = "test"
"""What a trial's name, and the names in it, have after those of the stage: dev-test, dev-test-Demo-Stream."""
LOCAL_ACCOUNT = "000000000000"
HOURS = 2
"""For how long the tests run on AWS at most, as an estimate: most of it is CloudWatch's metrics and alarms."""
_RECORDS = 10_000
_RECORD_DOLLARS = 5.30 / 1e6  # docs/sizing.md, at the default settings
_SURVIVOR_SECONDS = 900.0


def trial(stage: Stage, folder: Path) -> Stage:
    """Write the settings of a stage's trial into a folder, where it also keeps Terraform's data; return the trial.

    Raises UserError for a stage that keeps its tables from being deleted, or whose prefix leaves no room for another.
    """
    variables = stage.variables
    if variables.get("tables", {}).get("deletion_protection"):
        raise UserError(
            f"Stage {stage.name} protects its tables from deletion: it is no place for trials. Use another: STAGE=dev"
        )
    prefix = f"{variables.get('name_prefix') or ''}{TRIAL}-"
    if len(prefix) > 16:
        raise UserError(f"name_prefix would be {prefix}, of more than 16 letters. Use a stage with a shorter one.")
    # A local trial has the whole local cloud to itself.
    name = stage.name if stage.is_local else f"{stage.name}-{TRIAL}"
    own = {
        **variables,
        "stage": name,
        "name_prefix": prefix,
        "tags": {**variables.get("tags", {}), TAG: prefix},
        "failures": {"force_destroy": True},
        "alarms": {},
    }
    stages = folder / "stages"
    stages.mkdir(parents=True, exist_ok=True)
    made = replace(stage, name=name, folder=folder, stages=stages)
    # An expression in JSON is one in HCL.
    made.var_file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in own.items()))
    key = stage.state_key.removesuffix(".tfstate") + "-acceptance.tfstate"
    made.backend_file.write_text(stage.backend_file.read_text().replace(f'"{stage.state_key}"', f'"{key}"'))
    return made


def prefix_of(made: Stage) -> str:
    """Return the name_prefix of a trial."""
    return str(made.variables["name_prefix"])


def environment(made: Stage) -> dict[str, str]:
    """Return the variables by which commands that are started find a trial instead of its stage."""
    port = {"LOCAL_PORT": str(made.port)} if made.is_local else {}
    return {"LOCAL_DIR": str(made.folder), "STAGES_DIR": str(made.stages)} | port


def clean(made: Stage, bucket: str) -> None:
    """Destroy what an interrupted run has left of a trial, known to its state or not.

    Raises UserError when something is left even so.
    """
    prefix = prefix_of(made)
    _outlive_terraform(made, bucket)
    remove_probes(made.session, f"{prefix}probe-")
    terraform = Terraform(made, bucket)
    terraform.init()
    typer.echo("Taking what the state does not know into it. Of this plan nothing is created:")
    terraform.plan(show=False)
    if terraform.plan(destroy=True, show=False):
        terraform.apply()
    terraform.close()
    remove_monitoring(made.session, prefix)
    remains = left(made.session, prefix)
    if remains:
        raise UserError(
            f"Something is left of an earlier run, and is not in its state: {', '.join(remains)}. Delete it by hand."
        )


def _outlive_terraform(made: Stage, bucket: str) -> None:
    """Wait for a Terraform that a killed run has left at work, then remove the lock of one that was killed as well."""
    ours, deadline, told = str(made.folder), time.monotonic() + _SURVIVOR_SECONDS, False
    while any(_works_for(process, ours) for process in psutil.process_iter()):
        if not told:
            typer.echo("Waiting for Terraform, which is still at work for a run that was killed.")
            told = True
        if time.monotonic() > deadline:
            raise UserError("Terraform is still at work for a run that was killed. Wait for its end, and start again.")
        time.sleep(1)
    made.session.client("s3").delete_object(Bucket=bucket, Key=f"{made.state_key}.tflock")


def _works_for(process: psutil.Process, folder: str) -> bool:
    try:
        return process.name() == "terraform" and process.environ().get("TF_DATA_DIR", "").startswith(folder)
    except psutil.Error:
        return False


@contextmanager
def _claimed(folder: Path) -> Iterator[int]:
    """Keep other runs of this folder out, for as long as this process or what inherits the file lives."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("w") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"Acceptance tests are running in {folder}, or are still cleaning up.") from None
        yield claim.fileno()


class Note:
    """Whose run a trial is, kept beside its state."""

    def __init__(self, made: Stage, bucket: str) -> None:
        self._at = {"Bucket": bucket, "Key": f"{made.state_key}.run.json"}
        self._who = f"{getpass.getuser()}@{socket.gethostname()}:{made.folder}"
        self._s3: Any = made.session.client("s3")

    def read(self) -> Mapping[str, str] | None:
        """Return who started the run that has not ended, and when; None when there is none."""
        try:
            return dict(json.loads(self._s3.get_object(**self._at)["Body"].read()))
        except self._s3.exceptions.NoSuchKey:
            return None

    def is_ours(self, note: Mapping[str, str]) -> bool:
        """Return whether the run was started in this folder, by this user."""
        return note["who"] == self._who

    def write(self) -> None:
        """Say that a run of ours begins."""
        note = {"who": self._who, "started": datetime.now(UTC).isoformat(timespec="seconds")}
        self._s3.put_object(**self._at, Body=json.dumps(note).encode())

    def remove(self) -> None:
        """Say that nothing is left of the run."""
        self._s3.delete_object(**self._at)


def description(stage: Stage, made: Stage, account: str, cases: int) -> str:
    """Return what a run makes, where, for how long, and what that costs."""
    cost = "nothing" if made.is_local else f"about USD {dollars(cases):.2f} (list prices, without free tier)"
    minutes = "15" if made.is_local else f"{HOURS * 60}"
    return f"""\
The acceptance tests of stage {stage.name} use account {account}, region {made.region}, {made.endpoint or "AWS"}.
Under the prefix {prefix_of(made)} they
  deploy   1 stream of 1 shard, 3 tables, 2 functions with roles and logs, 1 bucket, {costs.alarms(None)} alarms with
           their topic and key, 1 dashboard; the state is {made.state_key}
  add      {cases} streams and functions for the cases of the parity report, a queue for each
  write    some {_RECORDS:,} records, break things, and repair them
  destroy  all of it, and look for what is left (AWS deletes the key seven days later)
That takes up to {minutes} minutes, and costs {cost}."""


def dollars(cases: int) -> float:
    """Estimate what a run costs on AWS. What is billed by the month is billed by the hour of it."""
    metrics = costs.OWN_METRICS + 2 * costs.EVENT_COUNTS
    month = costs.alarms(None) * costs.ALARM + costs.DASHBOARD + costs.KEY + metrics * costs.METRIC
    return HOURS * (month / costs.HOURS + (1 + cases) * costs.SHARD_HOUR) + _RECORDS * _RECORD_DOLLARS


def main(
    stage: str = typer.Option("local", help="local, or one in AWS whose tables may be deleted: dev"),
    confirm: str = typer.Option("", help="the stage's name, to run without being asked"),
    take_over: bool = typer.Option(False, "--take-over", help="destroy what somebody else's run has left, too"),
    tests: Annotated[list[str] | None, typer.Argument(help="arguments for pytest, instead of all tests")] = None,
) -> None:
    """Deploy a trial of a stage, run tests/acceptance on it, destroy it, and write a report; exit 1 when a test fails.

    What an interrupted run has left is destroyed first.
    """
    target = resolve(stage, os.environ)
    folder = target.folder / "acceptance" / stage
    with _claimed(folder) as claim:
        made = _trial_of(target, folder)
        account = LOCAL_ACCOUNT if made.is_local else made.account()
        target.check_account(account)
        typer.echo(description(target, made, account, _cases()))
        agree(stage, confirm, f"All of the above will be done in account {account}.")
        if made.is_local:
            start_local_cloud(made)
        bucket = state_bucket.ensure(made, account)
        note = Note(made, bucket)
        is_fresh = _clean_up_after(note.read(), note, made, bucket, take_over=take_over)
        if made.is_local and not is_fresh:  # a cloud of the earlier run's code
            made.local_cloud.down()
            start_local_cloud(made)
            state_bucket.ensure(made, account)
        note.write()
        try:
            code = _test(stage, made, account, claim, tests or [])
        except KeyboardInterrupt:
            _finish(stage, made, note, 130)
            raise
        _finish(stage, made, note, code)


def _trial_of(target: Stage, folder: Path) -> Stage:
    """Return the trial of a stage. A local one has a local cloud of its own, which may run since an earlier run."""
    if target.is_local:
        running = LocalCloud(folder / "cloud").port()
        environ = {"LOCAL_DIR": str(folder), "LOCAL_PORT": str(running or free_port())}
        target = resolve(LOCAL, environ)
    return trial(target, folder)


def _cases() -> int:
    from tests.acceptance.probe import chosen

    return len(chosen())


def _clean_up_after(
    earlier: Mapping[str, str] | None, note: Note, made: Stage, bucket: str, *, take_over: bool
) -> bool:
    """Destroy what an earlier run has left; returns whether there was none."""
    if earlier is None:
        return True
    if not note.is_ours(earlier) and not take_over:
        raise UserError(
            f"{earlier['who']} started acceptance tests at {earlier['started']}, which have not ended. Wait for them, "
            "or if they were interrupted and nobody cleans up: TAKE_OVER=1"
        )
    typer.echo(f"The run of {earlier['started']} by {earlier['who']} was interrupted. Destroying what it has left.")
    clean(made, bucket)
    typer.echo("Nothing is left of it.")
    note.remove()
    return False


def _test(stage: str, made: Stage, account: str, claim: int, arguments: Sequence[str]) -> int:
    """Run the tests; an interrupt lets them destroy the trial first, and further ones change nothing."""
    with OneInterrupt() as interrupts:
        interrupts.process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "pytest", "-v", "-p", "no:cacheprovider", "--stage", stage, "--account", account),
                *("--folder", str(made.folder), "--all-cases", *(arguments or ["tests/acceptance"])),
            ],
            cwd=ROOT,
            env=made.process_environment(os.environ),
            process_group=0,
            pass_fds=[claim],
        )
        return interrupts.wait()


def _finish(stage: str, made: Stage, note: Note, code: int) -> None:
    """Say what came of a run; exit 1 unless every test passed."""
    if made.is_local:
        gone = made.local_cloud.port() is None
    else:
        remains = left(made.session, prefix_of(made))
        gone = not remains
        if gone:
            note.remove()
        else:
            typer.echo(f"Left behind: {', '.join(remains)}", err=True)
    typer.echo(f"Report: {os.path.relpath(made.folder / 'report.md')} (and report.json, with the raw samples)")
    if not gone:
        raise UserError(f"The trial is not gone. Run it again, which cleans up first: make acceptance STAGE={stage}")
    if code:
        raise typer.Exit(1)
