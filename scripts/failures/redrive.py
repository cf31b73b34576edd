"""Replay what lies in the failure bucket: `make redrive [DRY_RUN=1] [SINCE=2h] [FUNCTION=...] [JSON=1]`.

Safe to interrupt, to run twice, and beside live traffic: what a function has done already it may be given again.
AggregateScoresByUser drops by version what it has counted, and ProcessKinesisRecords drops by position a score event
whose item holds a later one, in whatever order they come.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import typer
from botocore.config import Config

from scripts.deployment import Deployed, deployed
from scripts.failures.replay import Answer, Invoke, event, groups, interpret, replay
from scripts.failures.store import Failure, FailureBucket, Record
from scripts.stage import LOCAL, StageName
from scripts.timespan import since as parse_since

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

STILL_FAILING = 2
_LONGEST_INVOCATION = 900  # seconds, the most that Lambda allows


class Outcome(StrEnum):
    """What became of one object."""

    REDRIVEN = "redriven"
    FAILING = "failing"
    OVERTAKEN = "overtaken"
    """Somebody else, another redrive say, has dealt with it meanwhile: it is as they left it."""
    UNREADABLE = "unreadable"
    """Its records cannot be read, so nothing was replayed."""
    SKIPPED = "skipped"


class Result(NamedTuple):
    """What became of one object, and why."""

    failure: Failure
    outcome: Outcome
    reason: str


class Bucket(Protocol):
    """The failure bucket; see FailureBucket."""

    def latest(self, failure: Failure) -> Failure | None: ...
    def set_aside(self, failure: Failure) -> bool: ...
    def keep(self, failure: Failure, records: Sequence[Record], reason: str) -> bool: ...


@dataclass(frozen=True)
class Target:
    """A function to replay records through."""

    invoke: Invoke
    batch_size: int


def redrive(group: Sequence[Failure], bucket: Bucket, target: Target) -> Iterator[Result]:
    """Replay objects of one function; set aside what succeeds, and leave in each the records that still fail."""
    records = [record for failure in group for record in failure.records]
    reasons = iter(replay(records, target.invoke, target.batch_size))
    for failure in group:
        if not failure.records:
            yield _skip(failure, "The object holds no records")
            continue
        left = [(record, reason) for record in failure.records if (reason := next(reasons)) is not None]
        yield _conclude(failure, left, bucket)


def _conclude(failure: Failure, left: list[tuple[Record, str]], bucket: Bucket) -> Result:
    reason = "; ".join(sorted({reason for _, reason in left}))
    latest = bucket.latest(failure)
    if latest is None:
        return Result(failure, Outcome.OVERTAKEN, reason)
    # A function that parks a record again makes the object a new one, whether it then reports the record as done, or
    # not, as the invocation failed at another: the record fails still, for the reason that the new object has.
    if latest is not failure:
        if not latest.unreadable and latest.failed_at > failure.failed_at:
            # The function cannot know when the record first failed: it may not read the bucket.
            bucket.keep(replace(latest, failed_at=failure.failed_at), latest.records, latest.reason)
        return Result(failure, Outcome.FAILING, latest.reason)
    if left:
        kept = bucket.keep(failure, [record for record, _ in left], reason)
        return Result(failure, Outcome.FAILING if kept else Outcome.OVERTAKEN, reason)
    return Result(failure, Outcome.REDRIVEN if bucket.set_aside(failure) else Outcome.OVERTAKEN, "")


def _skip(failure: Failure, why: str) -> Result:
    if failure.unreadable:
        return Result(failure, Outcome.UNREADABLE, failure.reason)
    return Result(failure, Outcome.SKIPPED, why)


def targets(system: Deployed) -> dict[str, Target]:
    """The functions of a stage, by their physical names."""
    patient = Config(read_timeout=_LONGEST_INVOCATION + 10, retries={"mode": "standard", "total_max_attempts": 5})
    client = system.session.client("lambda", config=patient)
    return {
        each["name"]: Target(
            partial(invoke, client, each["live_arn"]),
            # What the function's timeout was chosen for.
            client.get_event_source_mapping(UUID=each["mapping_uuid"])["BatchSize"],
        )
        for each in system.outputs["functions"].values()
    }


def redrive_all(
    failures: Iterable[Failure], bucket: FailureBucket, targets: Mapping[str, Target], *, dry_run: bool = False
) -> Iterator[Result]:
    """Replay each failure through its function, in batches; a dry run only says what would be."""
    for group in groups(failures, max(target.batch_size for target in targets.values())):
        target = targets.get(group[0].function)
        if target is None or dry_run:
            why = "This is a dry run" if target else "This stage has no such function"
            yield from (_skip(failure, why) for failure in group)
        else:
            yield from redrive(group, bucket, target)


def invoke(client: "LambdaClient", function: str, records: Sequence[Record]) -> Answer:
    """Hand the records to a function, and wait for its answer."""
    answer = client.invoke(FunctionName=function, Payload=event(records))
    return interpret(answer["Payload"].read(), answer.get("FunctionError"), records)


def main(
    stage: StageName = LOCAL,
    since: str = typer.Option("", help="only what first failed since: 15m, 2h, 7d, or a time"),
    function: str = typer.Option("", help="only this function, by its name in the lab"),
    dry_run: bool = typer.Option(False, "--dry-run", help="say what would be replayed, and replay nothing"),
    as_json: bool = typer.Option(False, "--json", help="one JSON document a line"),
) -> None:
    """Replay failed records through the function that failed; exits 2 when any is left."""
    system = deployed(stage)
    earliest = parse_since(since, datetime.now(UTC)) if since else None
    name = system.function(function)["name"] if function else None
    bucket = FailureBucket(system.session.client("s3"), system.outputs["failure_bucket"])
    show: Callable[[Result], None] = _show_json if as_json else _show
    counts = dict.fromkeys(Outcome, 0)
    for result in redrive_all(bucket.failures(earliest, name), bucket, targets(system), dry_run=dry_run):
        counts[result.outcome] += 1
        show(result)
    if not as_json:
        summary = ", ".join(f"{outcome} {count}" for outcome, count in counts.items() if count)
        typer.echo(f"Objects: {summary}." if summary else "Nothing has failed.")
    if not dry_run and any(counts[left] for left in (Outcome.FAILING, Outcome.UNREADABLE, Outcome.SKIPPED)):
        raise typer.Exit(STILL_FAILING)


def _show(result: Result) -> None:
    failure, outcome, reason = result
    records = "not known" if failure.unreadable else len(failure.records)
    typer.echo(f"{outcome:10}  {failure.key}  records: {records}" + (f"  {reason}" if reason else ""))


def _show_json(result: Result) -> None:
    failure, outcome, reason = result
    typer.echo(
        json.dumps(
            {
                "key": failure.key,
                "function": failure.function,
                "records": None if failure.unreadable else len(failure.records),
                "outcome": outcome,
                "reason": reason,
            }
        )
    )
