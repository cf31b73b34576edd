"""Print a stage's names and ARNs as JSON: `make output [STAGE=local|dev|prod]`."""

import json

import typer

from scripts.deployment import deployed


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Print Terraform's outputs for a stage, as JSON."""
    typer.echo(json.dumps(deployed(stage).outputs, indent=2))
