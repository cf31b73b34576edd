"""Start or stop the local cloud alone: `make cloud-up`, `make cloud-down`."""

import os
from enum import StrEnum

import typer

from scripts.deploy.deploy import start_local_cloud
from scripts.stage import LOCAL, resolve


class Action(StrEnum):
    """What to do with the local cloud."""

    UP = "up"
    DOWN = "down"


def main(action: Action) -> None:
    """Start the local cloud, or stop it with everything in it."""
    stage = resolve(LOCAL, os.environ)
    if action is Action.DOWN:
        stopped = stage.local_cloud.down()
        typer.echo("Local cloud stopped." if stopped else "The local cloud is not running.")
        return
    start_local_cloud(stage)
    typer.echo(f"The local cloud is running on {stage.endpoint}")
