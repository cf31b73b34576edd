"""Remove a stage: `make destroy [STAGE=<stage>] [CONFIRM=<stage>]`."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from scripts.cli import UserError, agree
from scripts.deploy.deploy import reach
from scripts.deploy.terraform import Change
from scripts.stage import LOCAL, Stage, StageName, resolve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def main(
    stage: StageName = LOCAL,
    confirm: str = typer.Option("", help="the stage's name, to destroy it without being asked"),
    delete_failures: bool = typer.Option(False, "--delete-failures", help="delete failures that are kept, too"),
) -> None:
    """Remove everything that deploy made, and stop the local cloud. The state bucket of an AWS account stays."""
    target = resolve(stage, os.environ)
    if target.is_local and target.local_cloud.port() is None:
        target.local_cloud.down()  # forget what a crash has left
        typer.echo("Nothing to destroy: the local cloud is not running.")
        return
    terraform = reach(target)
    # Nobody else changes what is local.
    if not terraform.plan(destroy=True, show=not target.is_local, refresh=not target.is_local):
        typer.echo(f"Nothing to destroy in stage {target.name}.")
    else:
        changes = terraform.changes()
        refuse_protected(target, changes)
        full = full_buckets(target.session.client("s3"), changes)
        if full and not delete_failures:
            raise UserError(
                f"Nothing was removed: {', '.join(full)} holds failures, or what was redriven. Replay what failed: "
                f"make redrive STAGE={target.name}. To throw it all away: DELETE_FAILURES=1"
            )
        if not target.is_local:
            agree(target.name, confirm, "All of the above will be destroyed.")
        for bucket in full:
            target.session.resource("s3").Bucket(bucket).object_versions.delete()
        terraform.apply()
    if target.is_local and target.local_cloud.down():
        typer.echo("Local cloud stopped.")


def refuse_protected(stage: Stage, changes: Iterable[Change]) -> None:
    """Raise UserError for tables that AWS would refuse to delete, which would end a destroy half-way."""
    protected = [change.before["name"] for change in changes if change.before.get("deletion_protection_enabled")]
    if protected:
        raise UserError(
            f"Nothing was removed: {', '.join(protected)} are protected. To destroy them: set "
            f"deletion_protection = false in {stage.settings}, make deploy STAGE={stage.name}, and "
            "then destroy."
        )


def full_buckets(s3: "S3Client", changes: Iterable[Change]) -> list[str]:
    """Buckets that are to be deleted, are not empty, and are not said to be deleted all the same (force_destroy)."""
    buckets = [
        str(change.before["bucket"])
        for change in changes
        if change.type == "aws_s3_bucket" and change.deletes and not change.before["force_destroy"]
    ]
    return [
        bucket
        for bucket in buckets
        if {"Versions", "DeleteMarkers"} & s3.list_object_versions(Bucket=bucket, MaxKeys=1).keys()
    ]
