"""Show what a deploy would change: `make plan [STAGE=local|dev|prod]`."""

import os

import typer

from scripts.command import run
from scripts.deploy import reach
from scripts.stage import resolve


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Show what a deploy would change. Changes nothing (but the local cloud is started for it)."""
    reach(resolve(stage, os.environ)).plan(lock=False)


if __name__ == "__main__":
    run(main)
