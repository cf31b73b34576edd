"""Print what points a shell at a stage: `eval "$(make -s env [STAGE=<stage>])"`."""

import os
import shlex
from contextlib import suppress

import typer
from botocore.exceptions import BotoCoreError, ClientError

from scripts.cli import UserError
from scripts.deployment import PartlyDeployedError, deployed
from scripts.stage import LOCAL, StageName, resolve


def main(stage: StageName = LOCAL) -> None:
    """Print export and unset lines for the AWS CLI, boto3 and Terraform.

    They are right whether or not the stage is deployed. That it is only partly deployed is printed as a warning.
    """
    for name, value in resolve(stage, os.environ).environment.items():
        typer.echo(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    with suppress(UserError, BotoCoreError, ClientError):
        try:
            deployed(stage)
        except PartlyDeployedError as error:
            typer.echo(f"warning: {error}", err=True)
