"""Show what a deploy would change: `make plan [STAGE=<stage>] [PLAN=<file>]`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from scripts.deploy.deploy import look
from scripts.deploy.terraform import HOLDS_DATA
from scripts.stage import LOCAL, StageName, resolve


def main(
    stage: StageName = LOCAL,
    plan: Annotated[Path | None, typer.Option(help="where to save the plan, for make deploy to apply it")] = None,
) -> None:
    """Show what a deploy would change, and save it if asked. Nothing in the stage is changed, locked or started."""
    target = resolve(stage, os.environ)
    terraform = look(target)
    changed = terraform.plan(lock=False, out=plan)
    for change in terraform.changes() if changed else []:
        if change.is_tainted and change.type in HOLDS_DATA:
            typer.echo(
                f"\n{change.address} was left half-made by an interrupted deploy. Once it is ready for use, make "
                "deploy keeps and completes it rather than replacing it."
            )
    if plan:
        typer.echo(f"\nSaved. To apply exactly this: make deploy STAGE={target.name} PLAN={plan}")
