"""List what lies in the failure bucket: `make failures [SINCE=2h] [FUNCTION=...] [JSON=1]`."""

import json
from datetime import UTC, datetime

import boto3
import typer

from scripts.command import run
from scripts.deployed import deployed
from scripts.failure_bucket import Failure, FailureBucket
from scripts.since import since as parse_since


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    since: str = typer.Option("", help="only what failed since: 15m, 2h, 7d, or a time"),
    function: str = typer.Option("", help="only this function, by its name in the lab"),
    as_json: bool = typer.Option(False, "--json", help="one JSON document a line"),
) -> None:
    """List the records that a function parked, and the batches that Lambda gave up on, with the reasons."""
    system = deployed(stage)
    earliest = parse_since(since, datetime.now(UTC)) if since else None
    name = system.function(function)["name"] if function else None
    objects = records = 0
    bucket = FailureBucket(boto3.client("s3"), system.outputs["failure_bucket"])
    for failure in bucket.failures(earliest, name):
        objects += 1
        records += len(failure.records)
        typer.echo(_json(failure) if as_json else _line(failure))
    if not as_json:
        typer.echo(f"Failed records: {records}, in {objects} objects." if objects else "Nothing has failed.")


def _json(failure: Failure) -> str:
    return json.dumps(
        {
            "key": failure.key,
            "function": failure.function,
            "failed_at": failure.failed_at.isoformat(),
            "records": len(failure.records),
            "reason": failure.reason,
        }
    )


def _line(failure: Failure) -> str:
    at = failure.failed_at.strftime("%Y-%m-%d %H:%M:%S")
    return f"{at}  {failure.function}  records: {len(failure.records)}  {failure.reason}\n    {failure.key}"


if __name__ == "__main__":
    run(main)
