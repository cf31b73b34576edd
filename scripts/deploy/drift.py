"""Find what was changed by hand: `make drift [STAGE=<stage>]`."""

import os
import sys

import typer

from scripts.deploy.deploy import look
from scripts.stage import LOCAL, StageName, resolve

_DRIFT = 2


def main(stage: StageName = LOCAL) -> None:
    """Find what was changed behind Terraform's back and a deploy would change back; exit code 2 when there is some.

    What is in the code but not deployed yet is no drift: `make plan` shows it. Nothing is written.
    """
    target = resolve(stage, os.environ)
    terraform = look(target)
    found = terraform.drift()
    if not found:
        typer.echo("No drift: nothing that is deployed was changed by hand.")
        return
    typer.echo("Changed by hand, and a deploy would change it back:")
    for each in found:
        typer.echo(f"  {each}")
    typer.echo(f"Put it into the code, or take it back: make deploy STAGE={target.name}")
    sys.exit(_DRIFT)
