"""Print a stage's names and ARNs as JSON: `make output [STAGE=<stage>]`."""

import json

import typer

from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName


def main(stage: StageName = LOCAL) -> None:
    """Print Terraform's outputs for a stage, as JSON."""
    typer.echo(json.dumps(deployed(stage).outputs, indent=2))
