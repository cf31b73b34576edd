"""Deploy a stage: `make deploy [STAGE=local|dev|prod]`."""

import os
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from localcloud.cloud import LocalCloudError
from scripts import bootstrapped, state_bucket
from scripts.command import UserError, run
from scripts.deployed import deployed
from scripts.smoke import smoke
from scripts.stage import Stage, resolve
from scripts.terraform import Change, Terraform

_HOLDS_DATA = {"aws_dynamodb_table", "aws_kinesis_stream", "aws_s3_bucket"}


def reach(stage: Stage) -> Terraform:
    """Point this process at a stage, start the local cloud if it is that one's, and make Terraform ready."""
    stage.activate()
    if stage.is_local:
        start_local_cloud(stage)
    account = stage.account()
    stage.check_account(account)
    typer.echo(f"Stage {stage.name}: account {account}, region {stage.region}, {stage.endpoint or 'AWS'}")
    os.environ.update(bootstrapped.variables(stage, account))
    terraform = Terraform(stage, state_bucket.ensure(stage, account))
    terraform.init()
    return terraform


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
    losses = [change.address for change in changes if change.deletes and change.type in _HOLDS_DATA]
    if losses:
        raise UserError(
            f"Nothing was changed: this deploy would delete, with all that is in them, {', '.join(losses)}. Undo what "
            "asks for it (a changed name or name_prefix, say). If it is meant: ALLOW_DATA_LOSS=1"
        )


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    allow_data_loss: bool = typer.Option(False, "--allow-data-loss", help="delete or replace what holds data, too"),
) -> None:
    """Deploy a stage, see that a score flows through it, and say what to try next."""
    target = resolve(stage, os.environ)
    terraform = reach(target)
    changed = terraform.plan(show=not target.is_local)
    if changed:
        if not allow_data_loss:
            refuse_losses(terraform.changes())
        terraform.apply()
    system = deployed(stage)
    if changed:
        typer.echo(f"Smoke test: a score reached its total in {smoke(system):.1f} s.")
    typer.echo(_what_next(target, system.outputs))


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


if __name__ == "__main__":
    run(main)
