"""Deploy a stage: `make deploy [STAGE=<stage>] [PLAN=<file>] [CONFIRM=<stage>]`."""

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.cloud import LocalCloudError
from scripts.cli import UserError, agree
from scripts.deploy import bootstrapped, state_bucket
from scripts.deploy.smoke import smoke
from scripts.deploy.terraform import HOLDS_DATA, Change, StalePlanError, Terraform
from scripts.deployment import NotDeployedError, deployed
from scripts.stage import LOCAL, TERRAFORM, Stage, StageName, resolve

_MIN_UNRESERVED = 100
"""https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html"""


def reach(stage: Stage) -> Terraform:
    """Make Terraform ready to change a stage. Starts the local cloud, and makes the state bucket, if need be."""
    if stage.is_local:
        start_local_cloud(stage)
    account = _introduce(stage)
    variables = bootstrapped.variables(stage, account)
    terraform = Terraform(stage, state_bucket.ensure(stage, account), variables=variables)
    terraform.init()
    return terraform


def look(stage: Stage) -> Terraform:
    """Make Terraform ready to read a stage: nothing is started, and nothing is written outside this machine.

    Raises NotDeployedError when there is no bucket for the stage's state, and so no stage.
    """
    if stage.is_local and stage.local_cloud.port() is None:
        raise NotDeployedError(f"Stage {stage.name} is not deployed. Deploy it: make deploy STAGE={stage.name}")
    account = _introduce(stage)
    variables = bootstrapped.variables(stage, account)
    bucket = state_bucket.find(stage, account)
    if bucket is None:
        raise NotDeployedError(
            f"Nothing is deployed in stage {stage.name}: there is no state bucket {state_bucket.name(stage, account)}. "
            f"To see the first plan: make deploy STAGE={stage.name}, which makes the bucket and asks before it goes on."
        )
    terraform = Terraform(stage, bucket, variables=variables)
    terraform.init(read_only=True)
    return terraform


def _introduce(stage: Stage) -> str:
    """Print whose account this is; return its id. Raises UserError when it is not the stage's account."""
    account = stage.account()
    stage.check_account(account)
    typer.echo(f"Stage {stage.name}: account {account}, region {stage.region}, {stage.endpoint or 'AWS'}")
    return account


def start_local_cloud(stage: Stage) -> None:
    """Start the local cloud when it is not running, and say so."""
    try:
        if stage.local_cloud.up(stage.port):
            typer.echo(
                f"Local cloud started on {stage.endpoint} (log: {os.path.relpath(stage.local_cloud.emulator.log)})"
            )
    except LocalCloudError as error:
        raise UserError(str(error)) from error


def refuse_losses(changes: Iterable[Change]) -> None:
    """Raise UserError when a plan would delete or replace what holds data: by a new name, say, or a new key."""
    losses = [change for change in changes if change.deletes and change.type in HOLDS_DATA]
    tainted = ", ".join(change.address for change in losses if change.is_tainted)
    others = ", ".join(change.address for change in losses if not change.is_tainted)
    if others:
        raise UserError(
            f"Nothing was changed: this deploy would delete, with all that is in them, {others}. Undo what "
            "asks for it (a changed name or name_prefix, say). If it is meant: ALLOW_DATA_LOSS=1"
        )
    if tainted:
        raise UserError(
            f"Nothing was changed: this deploy would replace {tainted}, which an interrupted deploy (or terraform "
            "taint) marked as half-made, and which could not be seen to be ready for use. What is in there is not "
            "known. Deploy again once AWS shows it as ACTIVE: then it is kept. To lose it: ALLOW_DATA_LOSS=1"
        )


def refuse_other_packages(changes: Iterable[Change]) -> None:
    """Raise UserError when the functions' zip files are not those that a saved plan was made with."""
    for change in changes:
        if change.type == "aws_lambda_function" and change.after.get("source_code_hash"):
            package = TERRAFORM / change.after["filename"]
            found = base64.b64encode(hashlib.sha256(package.read_bytes()).digest()).decode()
            if found != change.after["source_code_hash"]:
                raise UserError(
                    f"Nothing was changed: the plan was made with another {package.name}. Check out the commit that "
                    "was planned, or plan again."
                )


def refuse_concurrency(stage: Stage, changes: Iterable[Change]) -> None:
    """Raise UserError when a plan would reserve more executions than Lambda lets this account reserve.

    Lambda would refuse the second function, or the third, and leave the deploy half done. When the account's limit
    cannot be read, that is printed, and the deploy goes on.
    """
    more = sum(
        _reserved(change.after) - (0 if change.actions == ["delete", "create"] else _reserved(change.before))
        for change in changes
        if change.type == "aws_lambda_function"
    )
    if more <= 0:
        return
    try:
        limit = stage.session.client("lambda").get_account_settings()["AccountLimit"]
        total, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    except (ClientError, BotoCoreError, KeyError) as error:
        typer.echo(
            f"Not known whether this account can reserve {more} more executions for functions "
            f"(lambda:GetAccountSettings: {error}). Going on.",
            err=True,
        )
        return
    if free - more < _MIN_UNRESERVED:
        raise UserError(
            f"Nothing was changed: this deploy reserves {more} more executions for functions, of {free} that are "
            f"unreserved (the account's limit in {stage.region} is {total}), and Lambda keeps at least "
            f"{_MIN_UNRESERVED} unreserved. Have the quota raised to {total + more + _MIN_UNRESERVED - free} or more "
            "(Service Quotas, AWS Lambda, Concurrent executions), or reserve none: set reserved_concurrency = null in "
            f"{stage.settings}"
        )


def _reserved(function: Mapping[str, Any]) -> int:
    """How many executions a function reserves. The provider writes -1 for none."""
    return max(function.get("reserved_concurrent_executions") or 0, 0)


def main(
    stage: StageName = LOCAL,
    allow_data_loss: Annotated[
        bool, typer.Option("--allow-data-loss", help="delete or replace what holds data, too")
    ] = False,
    plan: Annotated[
        Path | None, typer.Option(help="a plan that make plan saved, to apply it and nothing else, unasked")
    ] = None,
    confirm: Annotated[str, typer.Option(help="the stage's name, to deploy it without being asked")] = "",
) -> None:
    """Deploy a stage, see that a score flows through it, and say what to try next.

    Every stage but the local one shows the plan and asks first; a saved plan is applied unasked.
    """
    target = resolve(stage, os.environ)
    terraform = reach(target)
    changed = _decide(target, terraform, plan, confirm, allow_data_loss)
    if changed:
        try:
            terraform.apply()
        except StalePlanError as error:
            again = f"make plan STAGE={stage} PLAN={plan}" if plan else f"make deploy STAGE={stage}"
            raise UserError(f"{error} {again}") from error
    system = deployed(stage)
    if changed:
        typer.echo(f"Smoke test: a score reached its total in {smoke(system):.1f} s.")
    typer.echo(_what_next(target, system.outputs))


def _decide(stage: Stage, terraform: Terraform, plan: Path | None, confirm: str, allow_data_loss: bool) -> bool:
    """Find out what to change, and have it agreed to; False when there is nothing. Raises UserError for a refusal."""
    if plan is not None:
        changed = terraform.use(plan, show=not stage.is_local)
        if changed and terraform.recover(keep_tainted=not allow_data_loss):
            raise UserError(
                f"An interrupted deploy left the above, which {plan} would make anew. It has been taken back, so that "
                f"plan no longer fits. Plan again: make plan STAGE={stage.name} PLAN={plan}; on GitHub, run the whole "
                "workflow again."
            )
    else:
        changed = terraform.plan(show=not stage.is_local, keep_tainted=not allow_data_loss)
    if not changed:
        return False
    changes = terraform.changes()
    if plan is not None:
        refuse_other_packages(changes)
    if not allow_data_loss:
        refuse_losses(changes)
    refuse_concurrency(stage, changes)
    if plan is None and not stage.is_local:
        agree(stage.name, confirm, f"All of the above will be done in stage {stage.name}.")
    return True


def _what_next(stage: Stage, outputs: Mapping[str, Any]) -> str:
    functions = [function["name"] for function in outputs["functions"].values()]
    tables = [table["name"] for table in outputs["tables"].values()]
    make = "make" if stage.is_local else f"make STAGE={stage.name}"
    return f"""
Deployed:
  stream    {outputs["stream"]["name"]}
  functions {", ".join(functions)}
  tables    {", ".join(tables)}
  failures  s3://{outputs["failure_bucket"]}

Try next:
  {make} put-scores           made-up scores through the stream
  {make} leaderboard WATCH=1  the totals, live
  {make} status               how it all is, on one screen
  {make} lab                  what the lab's guide says one should see
  {make} destroy              remove it all
The README's tour does it step by step; make lists all commands."""
