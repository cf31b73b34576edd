"""Deploy a stage: `make deploy [STAGE=local|dev|prod]`."""

import os
from collections.abc import Mapping
from typing import Any

import typer

from localcloud.cloud import LocalCloudError
from scripts import state_bucket
from scripts.command import UserError, run
from scripts.deployed import deployed
from scripts.stage import Stage, resolve
from scripts.terraform import Terraform


def reach(stage: Stage) -> Terraform:
    """Point this process at a stage, start the local cloud if it is that one's, and make Terraform ready."""
    stage.activate()
    if stage.is_local:
        start_local_cloud(stage)
    account = stage.account()
    typer.echo(f"Stage {stage.name}: account {account}, region {stage.region}, {stage.endpoint or 'AWS'}")
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


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Deploy a stage, and say what to try next."""
    target = resolve(stage, os.environ)
    terraform = reach(target)
    if terraform.plan(show=not target.is_local):
        terraform.apply()
    typer.echo(_what_next(target, deployed(stage).outputs))


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
