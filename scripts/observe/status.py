"""Show how a stage is, on one screen: `make status [STAGE=<stage>]`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import boto3
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handlers.shared.parking import PARKED
from scripts.deployment import Deployed, deployed
from scripts.failures.store import DISCARDED
from scripts.stage import LOCAL, StageName

_LAG_WINDOW = timedelta(minutes=5)
_COUNT_LIMIT = 1000  # what one page of a listing holds
_ALARM_NAMES = 100  # what one DescribeAlarms takes


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that is deployed."""

    kind: str
    name: str
    state: str
    detail: str


@dataclass(frozen=True, slots=True)
class EventSource:
    """An event source mapping."""

    function: str
    state: str
    lag_ms: float | None
    """The greatest IteratorAge of the last five minutes; None when none was measured."""
    last_result: str


@dataclass(frozen=True, slots=True)
class Failures:
    """What lies in the failure bucket: up to 1,000 of each are counted."""

    parked: int
    discarded: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A CloudWatch alarm of the stage."""

    name: str
    state: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a stage is."""

    stage: str
    account: str
    region: str
    endpoint: str | None
    resources: Sequence[Resource]
    mappings: Sequence[EventSource]
    failures: Failures
    alarms: Sequence[Alarm]


def status(system: Deployed, now: datetime, *, with_lag: bool = True) -> Status:
    """Ask AWS how everything that is deployed is; on request without the lags, for which CloudWatch is asked."""
    session = system.session
    functions: Mapping[str, Mapping[str, str]] = system.outputs["functions"]
    names = [function["name"] for function in functions.values()]
    return Status(
        stage=system.stage.name,
        account=system.account,
        region=system.stage.region,
        endpoint=system.stage.endpoint,
        resources=[
            _stream(session, system.outputs["stream"]["name"]),
            *(_table(session, table["name"]) for table in system.outputs["tables"].values()),
            *(_function(session, name) for name in names),
        ],
        mappings=[
            _mapping(session, function["name"], function["mapping_uuid"], now if with_lag else None)
            for function in functions.values()
        ],
        failures=_failures(session, system.outputs["failure_bucket"]),
        alarms=_alarms(session, list(system.outputs["alarms"].values())),
    )


def _stream(session: boto3.Session, name: str) -> Resource:
    stream = session.client("kinesis").describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    detail = f"open shards: {stream['OpenShardCount']}, retention: {stream['RetentionPeriodHours']} h"
    return Resource("stream", name, stream["StreamStatus"], detail)


def _table(session: boto3.Session, name: str) -> Resource:
    table = session.client("dynamodb").describe_table(TableName=name)["Table"]
    # DynamoDB counts every six hours or so; to count now would be to read it all.
    items = f"{table['ItemCount']:,} item{'' if table['ItemCount'] == 1 else 's'}"
    return Resource("table", name, table["TableStatus"], f"about {items} (updated every six hours)")


def _function(session: boto3.Session, name: str) -> Resource:
    function = session.client("lambda").get_function_configuration(FunctionName=name)
    detail = f"{function['MemorySize']} MB, {function['Timeout']} s, changed {function['LastModified'][:10]}"
    return Resource("function", name, function.get("State", "unknown"), detail)


def _mapping(session: boto3.Session, function: str, uuid: str, now: datetime | None) -> EventSource:
    mapping = session.client("lambda").get_event_source_mapping(UUID=uuid)
    lag = _lag(session, function, now) if now else None
    return EventSource(function, mapping["State"], lag, mapping.get("LastProcessingResult", "unknown"))


def _lag(session: boto3.Session, function: str, now: datetime) -> float | None:
    ages = session.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="IteratorAge",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=now - _LAG_WINDOW,
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max((point["Maximum"] for point in ages), default=None)


def _failures(session: boto3.Session, bucket: str) -> Failures:
    def count(prefix: str) -> int:
        return session.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=_COUNT_LIMIT)["KeyCount"]

    return Failures(parked=count(PARKED), discarded=count(DISCARDED))


def _alarms(session: boto3.Session, names: Sequence[str]) -> list[Alarm]:
    paginator = session.client("cloudwatch").get_paginator("describe_alarms")
    return [
        Alarm(alarm["AlarmName"], alarm["StateValue"])
        for first in range(0, len(names), _ALARM_NAMES)
        for page in paginator.paginate(AlarmNames=names[first : first + _ALARM_NAMES], AlarmTypes=["MetricAlarm"])
        for alarm in page["MetricAlarms"]
    ]


def show(status: Status, console: Console) -> None:
    """Print it all on one screen."""
    console.print(
        f"[bold]Stage {status.stage}[/]: account {status.account}, region {status.region}, {status.endpoint or 'AWS'}"
    )
    resources = Table("Kind", "Name", "State", "Detail", box=SIMPLE_HEAD)
    for resource in status.resources:
        resources.add_row(resource.kind, resource.name, _coloured(resource.state), resource.detail)
    console.print(resources)
    mappings = Table("Mapping to", "State", "Lag", "Last result", box=SIMPLE_HEAD)
    for mapping in status.mappings:
        lag = "not measured in 5 min" if mapping.lag_ms is None else f"{mapping.lag_ms / 1000:,.1f} s"
        mappings.add_row(mapping.function, _coloured(mapping.state), lag, escape(mapping.last_result))
    console.print(mappings)
    parked, discarded = map(_at_least, (status.failures.parked, status.failures.discarded))
    console.print(f"Failures waiting: {parked} parked records, {discarded} discarded batches")
    for alarm in status.alarms:
        if alarm.state == "ALARM":
            console.print(f"[bold red]ALARM[/] {escape(alarm.name)}")
    states = Counter(alarm.state for alarm in status.alarms).most_common()
    alarms = ", ".join(f"{count} {_coloured(state)}" for state, count in states)
    console.print(f"Alarms: {alarms or 'this stage has none'}")


def _coloured(state: str) -> str:
    return f"[{'green' if state.upper() in {'ACTIVE', 'ENABLED', 'OK'} else 'yellow'}]{state}[/]"


def _at_least(count: int) -> str:
    return f"{count:,}" if count < _COUNT_LIMIT else f"at least {count:,}"


def main(
    stage: StageName = LOCAL,
    as_json: bool = typer.Option(False, "--json", help="print it as JSON"),
) -> None:
    """Show a stage's resources, mappings with their lag, failures waiting, and alarms."""
    found = status(deployed(stage), datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        show(found, Console(highlight=False))
