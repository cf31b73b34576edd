"""Remove a stage: `make destroy [STAGE=local|dev|prod] [CONFIRM=<stage>]`."""

import os

import typer

from scripts.command import agree, run
from scripts.deploy import reach
from scripts.stage import resolve


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    confirm: str = typer.Option("", help="the stage's name, to destroy it without being asked"),
) -> None:
    """Remove everything that deploy made, and stop the local cloud. The state bucket of an AWS account stays."""
    target = resolve(stage, os.environ)
    if target.is_local and target.local_cloud.port() is None:
        target.local_cloud.down()  # forget what a crash has left
        typer.echo("Nothing to destroy: the local cloud is not running.")
        return
    terraform = reach(target)
    if not terraform.plan(destroy=True, show=not target.is_local):
        typer.echo(f"Nothing to destroy in stage {target.name}.")
    else:
        if not target.is_local:
            agree(target.name, confirm, "All of the above will be destroyed.")
        terraform.apply()
    if target.is_local and target.local_cloud.down():
        typer.echo("Local cloud stopped.")


if __name__ == "__main__":
    run(main)
