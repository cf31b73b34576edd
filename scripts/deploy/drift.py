"""Find what was changed by hand: `make drift [STAGE=<stage>]`."""

import os
import sys

import typer

from scripts.deploy.deploy import look
from scripts.stage import LOCAL, StageName, resolve

_DRIFT = 2
_CODE = "code_sha256"


def main(stage: StageName = LOCAL) -> None:
    """Find settings and code that were changed by hand; exit code 2 when there are some.

    A setting is named when a deploy would change it back. What is in the code but not deployed yet is no drift:
    `make plan` shows it. Nothing is written.
    """
    target = resolve(stage, os.environ)
    terraform = look(target)
    found = terraform.drift()
    if not found:
        typer.echo("No drift: nothing that is deployed was changed by hand.")
        return
    typer.echo("Changed by hand:")
    for each in found:
        typer.echo(f"  {each}")
    typer.echo(f"Put it into the code, or take it back: make deploy STAGE={target.name}")
    if any(_CODE in each for each in found):
        typer.echo(
            "Terraform uploads a function's code only when its package has changed. "
            f"To run an earlier version meanwhile: make rollback STAGE={target.name} FUNCTION=<name>"
        )
    sys.exit(_DRIFT)
