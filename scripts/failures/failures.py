"""List what lies in the failure bucket: `make failures [SINCE=2h] [FUNCTION=...] [JSON=1]`."""

import json
from datetime import UTC, datetime

import typer

from scripts.deployment import deployed
from scripts.failures.store import Failure, FailureBucket
from scripts.stage import LOCAL, StageName
from scripts.timespan import since as parse_since


def main(
    stage: StageName = LOCAL,
    since: str = typer.Option("", help="only what first failed since: 15m, 2h, 7d, or a time"),
    function: str = typer.Option("", help="only this function, by its name in the lab"),
    as_json: bool = typer.Option(False, "--json", help="one JSON document a line"),
) -> None:
    """List the records that a function parked, and the batches that Lambda discarded, with the reasons."""
    system = deployed(stage)
    earliest = parse_since(since, datetime.now(UTC)) if since else None
    name = system.function(function)["name"] if function else None
    objects = records = unreadable = 0
    bucket = FailureBucket(system.session.client("s3"), system.outputs["failure_bucket"])
    for failure in bucket.failures(earliest, name):
        objects += 1
        records += len(failure.records)
        unreadable += failure.unreadable is not None
        typer.echo(as_document(failure) if as_json else as_line(failure))
    if not as_json:
        typer.echo(f"Failed records: {records}, in {objects} objects." if objects else "Nothing has failed.")
        if unreadable:
            typer.echo(f"Objects that cannot be read, and are not counted: {unreadable}.")


def as_document(failure: Failure) -> str:
    """Describe a failure as a line of JSON. `records` is null when they cannot be read."""
    return json.dumps(
        {
            "key": failure.key,
            "function": failure.function,
            "failed_at": failure.failed_at.isoformat(),
            "oldest_record_at": failure.oldest.isoformat() if failure.oldest else None,
            "records": None if failure.unreadable else len(failure.records),
            "reason": failure.reason,
        }
    )


def as_line(failure: Failure) -> str:
    """Describe a failure to people: when it first failed, and when its oldest record was written, in UTC."""
    records = "not known" if failure.unreadable else f"{len(failure.records)}"
    oldest = f" (oldest: {_time(failure.oldest)})" if failure.oldest else ""
    function = failure.function or "unknown function"
    return f"{_time(failure.failed_at)}  {function}  records: {records}{oldest}  {failure.reason}\n    {failure.key}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
