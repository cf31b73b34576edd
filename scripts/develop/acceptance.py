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
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import boto3
import psutil
import typer
from botocore.exceptions import ClientError

from bench import costs
from localcloud.cloud import LocalCloud
from scripts.cli import UserError, agree
from scripts.deploy import state_bucket
from scripts.deploy.deploy import start_local_cloud
from scripts.deploy.interrupt import OneInterrupt
from scripts.deploy.terraform import Terraform
from scripts.stage import LOCAL, ROOT, Stage, resolve
from tests.waiting import free_port

TRIAL = "test"
"""What a trial's name, and the names in it, have after those of the stage: dev-test, dev-test-Demo-Stream."""
TAG = "Acceptance"
LOCAL_ACCOUNT = "000000000000"
HOURS = 2
"""For how long the tests run on AWS at most, as an estimate: most of it is CloudWatch's metrics and alarms."""
_RECORDS = 10_000
_RECORD_DOLLARS = 5.30 / 1e6  # docs/sizing.md, at the default settings
_SURVIVOR_SECONDS = 900.0

Client = Any
"""A boto3 client; the stubs' overloads say nothing here."""


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


def left(session: boto3.Session, prefix: str) -> list[str]:
    """Return the names of all resources of the system's types whose names have this prefix; state buckets apart.

    "" finds those of the whole account, which is for an account of the tests' own.
    """
    found = [
        *_all(session, "kinesis", "list_streams", "StreamNames"),
        *_all(session, "dynamodb", "list_tables", "TableNames"),
        *_named(session, "lambda", "list_functions", "Functions", "FunctionName"),
        *_named(session, "lambda", "list_event_source_mappings", "EventSourceMappings", "FunctionArn"),
        *_named(session, "logs", "describe_log_groups", "logGroups", "logGroupName"),
        *_named(session, "iam", "list_roles", "Roles", "RoleName"),
        *(each for each in _buckets(session) if "tfstate" not in each),
        *_named(session, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        *_named(session, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        *_named(session, "sns", "list_topics", "Topics", "TopicArn"),
        *_all(session, "sqs", "list_queues", "QueueUrls"),
    ]
    # At the beginning of a name, also of one in an ARN, a URL or a path.
    return [each for each in found if re.search(rf"(^|[:/]){re.escape(prefix)}", each)] + _keys(session, prefix)


def _all(session: boto3.Session, service: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    client: Client = session.client(service)
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def _named(session: boto3.Session, service: Any, operation: str, key: str, name: str) -> Iterator[str]:
    return (str(each[name]) for each in _all(session, service, operation, key))


def _buckets(session: boto3.Session) -> list[str]:
    return [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]]


def _keys(session: boto3.Session, prefix: str) -> list[str]:
    """The keys that are not about to be deleted, which takes KMS days. Keys have no names, but tags."""
    kms = session.client("kms")

    def is_left(key: str) -> bool:
        with suppress(ClientError):  # a key of others, that may not be looked at
            about = kms.describe_key(KeyId=key)["KeyMetadata"]
            if about.get("KeyManager") != "CUSTOMER" or about.get("KeyState") == "PendingDeletion":
                return False
            tags = kms.list_resource_tags(KeyId=key)["Tags"] if prefix else []
            return not prefix or any((tag["TagKey"], tag["TagValue"]) == (TAG, prefix) for tag in tags)
        return False

    return [each["KeyArn"] for each in _all(session, "kms", "list_keys", "Keys") if is_left(each["KeyId"])]


def remove_probes(session: boto3.Session, prefix: str) -> None:
    """Delete what the tests make beside Terraform (tests/acceptance/probe.py), by the prefix of its names."""
    lambda_, iam, s3 = session.client("lambda"), session.client("iam"), session.client("s3")
    for mapping in list(_all(session, "lambda", "list_event_source_mappings", "EventSourceMappings")):
        if f":{prefix}" in mapping["FunctionArn"]:
            with suppress(lambda_.exceptions.ResourceNotFoundException, lambda_.exceptions.ResourceInUseException):
                lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    for function in list(_named(session, "lambda", "list_functions", "Functions", "FunctionName")):
        if function.startswith(prefix):
            lambda_.delete_function(FunctionName=function)
    for stream in list(_all(session, "kinesis", "list_streams", "StreamNames")):
        if stream.startswith(prefix):
            session.client("kinesis").delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    for table in list(_all(session, "dynamodb", "list_tables", "TableNames")):
        if table.startswith(prefix):
            session.client("dynamodb").delete_table(TableName=table)
    for queue in list(_all(session, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=prefix)):
        session.client("sqs").delete_queue(QueueUrl=queue)
    for bucket in _buckets(session):
        if bucket.startswith(prefix):
            session.resource("s3").Bucket(bucket).object_versions.delete()
            s3.delete_bucket(Bucket=bucket)
    for role in list(_named(session, "iam", "list_roles", "Roles", "RoleName")):
        if role.startswith(prefix):
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                iam.delete_role_policy(RoleName=role, PolicyName=policy)
            iam.delete_role(RoleName=role)
    for group in list(_named(session, "logs", "describe_log_groups", "logGroups", "logGroupName")):
        if group.startswith(f"/aws/lambda/{prefix}"):
            session.client("logs").delete_log_group(logGroupName=group)


def _remove_monitoring(session: boto3.Session, prefix: str) -> None:
    """Delete a trial's alarms, dashboard, topic and key, which no plan takes over: AWS lets them be made again."""
    cloudwatch, name = session.client("cloudwatch"), f"{prefix}game-scores"
    alarms = [
        each
        for each in _named(session, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName")
        if _is(each, name)
    ]
    if alarms:
        cloudwatch.delete_alarms(AlarmNames=alarms)
    for dashboard in list(_named(session, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName")):
        if _is(dashboard, name):
            cloudwatch.delete_dashboards(DashboardNames=[dashboard])
    for topic in list(_named(session, "sns", "list_topics", "Topics", "TopicArn")):
        if _is(topic.rpartition(":")[2], name):
            session.client("sns").delete_topic(TopicArn=topic)
    for key in _keys(session, prefix):
        session.client("kms").schedule_key_deletion(KeyId=key.rpartition("/")[2], PendingWindowInDays=7)


def _is(found: str, name: str) -> bool:
    return found == name or found.startswith(f"{name}-")


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
    _remove_monitoring(made.session, prefix)
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
        self._s3: Client = made.session.client("s3")

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
