"""Print what points a shell at a stage: `eval "$(make -s env [STAGE=local|dev|prod])"`."""

import os
import shlex

import typer

from scripts.command import run
from scripts.stage import resolve


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Print export and unset lines for the AWS CLI, boto3 and Terraform."""
    for name, value in resolve(stage, os.environ).environment.items():
        typer.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    run(main)
