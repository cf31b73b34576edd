"""Print a stage's names and ARNs as JSON: `make output [STAGE=local|dev|prod]`."""

import json
import os

import typer

from scripts import state_bucket
from scripts.command import UserError, run
from scripts.stage import resolve
from scripts.terraform import Terraform


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Print Terraform's outputs for a stage, as JSON."""
    target = resolve(stage, os.environ)
    target.activate()
    not_deployed = UserError(f"Stage {stage} is not deployed. Deploy it: make deploy STAGE={stage}")
    if target.is_local and target.local_cloud.port() is None:
        raise not_deployed
    terraform = Terraform(target, state_bucket.name(target, target.account()))
    terraform.init()
    outputs = terraform.outputs()
    if not outputs:
        raise not_deployed
    typer.echo(json.dumps(outputs, indent=2))


if __name__ == "__main__":
    run(main)
