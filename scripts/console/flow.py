"""Whether the pipeline flows: what make status and make metrics know, on its nodes and arrows."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3

from scripts.deployment import Deployed
from scripts.observe.logs import Line, lines
from scripts.observe.metrics import from_cloudwatch, from_logs, own_metrics
from scripts.observe.status import Status, status

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricTypeDef

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
_BEHIND_MS = 60_000
_WAIT = 4
"""Times what a look took before the next: looking must not become the load."""
_SHORTEST_WAIT, _SHORTEST_WAIT_AWS = 1.0, 10.0

Counts = dict[str, dict[int, float]]
"""How much went over an arrow, by the start of the period in seconds since the epoch."""

_PROCESSED = re.compile(r'"message": ?"Successfully processed (\d+) records')
_SUMMARIES = '"Successfully processed"'
"""The filter pattern of a batch's last line, which has the embedded metrics, too."""
_LOG_WINDOW, _LOG_PERIOD = 60, 10
# CloudWatch has a minute's value a minute or two after it.
_CLOUDWATCH_WINDOW, _CLOUDWATCH_PERIOD = 300, 60


class Flow:
    """The last look, shared by all pages, and not repeated sooner than is good for the stage."""

    def __init__(self, look: Callable[[Deployed], dict[str, Any]] | None = None) -> None:
        self._look = look or flow
        self._lock = threading.Lock()
        self._known: tuple[float, Deployed, dict[str, Any]] | None = None

    def of(self, system: Deployed) -> dict[str, Any]:
        """How the pipeline is."""
        with self._lock:
            if self._known and self._known[1] == system and time.monotonic() < self._known[0]:
                return self._known[2]
            started = time.monotonic()
            seen = self._look(system)
            ended = time.monotonic()
            shortest = _SHORTEST_WAIT if system.stage.endpoint else _SHORTEST_WAIT_AWS
            self._known = ended + max(shortest, _WAIT * (ended - started)), system, seen
            return seen


def flow(system: Deployed) -> dict[str, Any]:
    """How the pipeline is now."""
    now = datetime.now(UTC)
    found = status(system, now)
    counts, window, period = _counts(system, now)
    arrows = {name: _rate(counts.get(name, {}), now, period) for name in ("read", "stored", "changes", "counted")}
    parked = sum(counts.get("parked", {}).values())
    moving = any(arrow["count"] for arrow in arrows.values())
    state, reasons = verdict(found, moving)
    return {
        "state": state,
        "reasons": reasons,
        "resources": {resource.name: asdict(resource) for resource in found.resources},
        "mappings": {mapping.function: asdict(mapping) for mapping in found.mappings},
        "failures": {**asdict(found.failures), "parked_lately": parked},
        "alarms": [asdict(alarm) for alarm in found.alarms],
        "arrows": arrows,
        "window": window,
        "delayed": period == _CLOUDWATCH_PERIOD,
        "at": now.timestamp(),
    }


def verdict(found: Status, moving: bool) -> tuple[str, list[str]]:
    """Flowing, idle or blocked; and what needs somebody's attention."""
    blocked = [
        f"{resource.name} is {resource.state}" for resource in found.resources if resource.state.upper() != "ACTIVE"
    ]
    attention = []
    for mapping in found.mappings:
        if mapping.state != "Enabled":
            blocked.append(f"The mapping to {mapping.function} is {mapping.state}")
        if mapping.lag_ms is not None and mapping.lag_ms > _BEHIND_MS:
            attention.append(f"{mapping.function} was {mapping.lag_ms / 1000:,.0f} s behind in the last five minutes")
        if mapping.last_result.startswith("PROBLEM"):
            attention.append(f"{mapping.function}: {mapping.last_result}")
    attention += [f"Alarm {alarm.name}" for alarm in found.alarms if alarm.state == "ALARM"]
    if found.failures.parked or found.failures.discarded:
        attention.append("Failures wait in the failure bucket")
    return "blocked" if blocked else "flowing" if moving else "idle", blocked + attention


def _counts(system: Deployed, now: datetime) -> tuple[Counts, int, int]:
    """What went over each arrow in the last seconds, how many those are, and how many one count is of."""
    cloudwatch = boto3.client("cloudwatch")
    names = {lab: each["name"] for lab, each in system.outputs["functions"].items()}
    own = own_metrics(cloudwatch, names.values())
    if system.stage.endpoint or not own:
        groups = {each["name"]: each["log_group"] for each in system.outputs["functions"].values()}
        start = now - timedelta(seconds=_LOG_WINDOW)
        logged = lines(boto3.client("logs"), groups, start, _SUMMARIES)
        return from_summaries(logged, names), _LOG_WINDOW, _LOG_PERIOD
    stream: MetricTypeDef = {
        "Namespace": "AWS/Kinesis",
        "MetricName": "IncomingRecords",
        "Dimensions": [{"Name": "StreamName", "Value": system.outputs["stream"]["name"]}],
    }
    start = now - timedelta(seconds=_CLOUDWATCH_WINDOW)
    panels = from_cloudwatch(cloudwatch, [stream, *own], start, now, _CLOUDWATCH_PERIOD)
    series = {(panel.metric, name): values for panel in panels for name, values in panel.series.items()}
    read = series.get(("IncomingRecords", system.outputs["stream"]["name"]), {})
    return _by_arrow(series, read, names), _CLOUDWATCH_WINDOW, _CLOUDWATCH_PERIOD


def from_summaries(logged: Iterable[Line], names: Mapping[str, str]) -> Counts:
    """What went over the arrows, from the last line of each batch; `names` has the functions' real names."""
    summaries = list(logged)
    series = {
        (panel.metric, name): values
        for panel in from_logs(summaries, _LOG_PERIOD)
        for name, values in panel.series.items()
    }
    read: dict[int, float] = {}
    for line in summaries:
        processed = _PROCESSED.search(line.message)
        if processed and line.function == names[PROCESS]:
            at = line.at // 1000 // _LOG_PERIOD * _LOG_PERIOD
            read[at] = read.get(at, 0) + int(processed[1])
    return _by_arrow(series, read, names)


def _by_arrow(
    series: Mapping[tuple[str, str], dict[int, float]], read: dict[int, float], names: Mapping[str, str]
) -> Counts:
    parked: dict[int, float] = {}
    for function in names.values():
        for at, value in series.get(("Parked", function), {}).items():
            parked[at] = parked.get(at, 0) + value
    return {
        "read": read,
        "stored": series.get(("Stored", names[PROCESS]), {}),
        "changes": series.get(("Records", names[AGGREGATE]), {}),
        "counted": series.get(("Applied", names[AGGREGATE]), {}),
        "parked": parked,
    }


def _rate(series: Mapping[int, float], now: datetime, period: int) -> dict[str, float]:
    """The sum; and how many a second there were in the last period that is over."""
    last = int(now.timestamp()) // period * period - period
    if period == _CLOUDWATCH_PERIOD and series:
        last = max(series)
    return {"count": sum(series.values()), "per_second": series.get(last, 0.0) / period}
