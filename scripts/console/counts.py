"""How many records the functions dealt with lately: from CloudWatch, or on a local cloud from the lines they log."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from localcloud.emulator.invocation_log import embedded_metrics
from scripts.deployment import Deployed
from scripts.observe.logs import Line, fields, lines
from scripts.observe.metrics import Series, from_cloudwatch, own_metrics_of

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch.type_defs import MetricTypeDef

_PROCESSED = re.compile(r"Successfully processed (\d+) records")
_SUMMARIES = '"Successfully processed"'
"""The filter pattern of a batch's last line, which has the embedded metrics, too."""
_LOG_WINDOW, _LOG_PERIOD = 60, 10
# CloudWatch has a minute's value a minute or two after it.
_CLOUDWATCH_WINDOW, _CLOUDWATCH_PERIOD = 300, 60
_CLOUDWATCH_EVERY = 60.0
_LOG_SETTLED, _CLOUDWATCH_SETTLED = 30, 120
"""Seconds after a period until what was delivered from it is counted, too. Our choice: half a window at most."""
_OWN = {
    "ProcessKinesisRecords": ("Stored", "Outdated", "Folded", "Parked", "Failed"),
    "AggregateScoresByUser": ("Records", "Applied", "Duplicates", "Folded", "Parked", "Failed"),
}
_LAG, _ERRORS = "IteratorAge", "Errors"
_MOST = 1e15
"""Of a count: what is more, or less than 0, is none."""


@dataclass
class Counts:
    """What was counted in the last `window` seconds, by periods of `period` seconds."""

    window: int
    period: int
    is_delayed: bool
    """Whether the newest values are a minute or two old."""
    series: Mapping[tuple[str, str], Series] = field(default_factory=dict)
    """By the function's name in the lab, and metric."""
    last: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Records done and failed of the last batch of a function, where that is known."""

    def of(self, function: str, metric: str) -> Series:
        """Return the values of a metric."""
        return self.series.get((function, metric), {})

    def total(self, function: str, metrics: Iterable[str]) -> float:
        """Return the sum over the window."""
        return sum(sum(self.of(function, metric).values()) for metric in metrics)

    def is_delivered(self, function: str) -> bool:
        """Whether an event source mapping invoked the function in the window.

        Lambda measures IteratorAge for these invocations alone:
        https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
        """
        return bool(self.of(function, _LAG))

    def lag_ms(self, function: str) -> float | None:
        """Return the lag of the newest period that has one, not the greatest of the window."""
        series = self.of(function, _LAG)
        return series[max(series)] if series else None

    def failed_last(self, function: str) -> bool:
        """Whether the newest batch failed; where single batches are not known, whether the newest counted period did.

        The functions count 0 where nothing failed: a value that is missing may be one that is not there yet.
        """
        if function in self.last:
            return self.last[function][1] > 0
        failed, lag = self.of(function, "Failed"), self.of(function, _LAG)
        newest = max(failed.keys() & lag.keys(), default=None)
        return newest is not None and failed[newest] > 0

    def settled(self, function: str, metric: str, now: datetime) -> float:
        """Return the sum over the periods that ended so long ago that what followed from them is counted, too."""
        ended = now.timestamp() - (_CLOUDWATCH_SETTLED if self.is_delayed else _LOG_SETTLED)
        return sum(value for at, value in self.of(function, metric).items() if at + self.period <= ended)

    def waiting(self, function: str) -> int:
        """Return how many records of the last batch wait to be delivered again."""
        return int(self.last.get(function, (0, 0))[1])

    def backlog(self, function: str, now: datetime) -> int | None:
        """Estimate how many records wait: those that arrive, at the rate of the newest period, while the lag lasts."""
        lag = self.lag_ms(function)
        if lag is None:
            return None
        delivered = self.of(function, "Delivered") or self.of(function, "Records")
        return round(lag / 1000 * delivered.get(self.last_period(now), 0.0) / self.period)

    def last_period(self, now: datetime) -> int:
        """Return the start of the newest period that is complete."""
        newest = int(now.timestamp()) // self.period * self.period - self.period
        if self.is_delayed:
            known = [at for series in self.series.values() for at in series]
            return max(known, default=newest)
        return newest


class Counter:
    """Counts, and asks CloudWatch on AWS no more often than it has something new."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: tuple[float, Deployed, Counts] | None = None

    def count(self, system: Deployed, now: datetime) -> Counts:
        """Return what is known now."""
        if system.stage.endpoint:
            return _of_local_cloud(system, now)
        if self._known and self._known[1] == system and self._clock() - self._known[0] < _CLOUDWATCH_EVERY:
            return self._known[2]
        found = _of_aws(system, now)
        self._known = self._clock(), system, found
        return found


def _of_aws(system: Deployed, now: datetime) -> Counts:
    labs = {each["name"]: lab for lab, each in system.outputs["functions"].items()}
    metrics = [_metric("AWS/Kinesis", "IncomingRecords", "StreamName", system.outputs["stream"]["name"])]
    for name, lab in labs.items():
        metrics += [_metric("AWS/Lambda", metric, "FunctionName", name) for metric in (_LAG, _ERRORS)]
        metrics += own_metrics_of(name, _OWN.get(lab, ()))
    start = now - timedelta(seconds=_CLOUDWATCH_WINDOW)
    found = from_cloudwatch(system.session.client("cloudwatch"), metrics, start, now, _CLOUDWATCH_PERIOD)
    series = {
        (labs.get(name, "ProcessKinesisRecords"), "Delivered" if panel.metric == "IncomingRecords" else panel.metric): v
        for panel in found
        for name, v in panel.series.items()
    }
    # A batch of payloads that are no score events has no metrics of its own: what came in is what is done.
    series["ProcessKinesisRecords", "Done"] = series.get(("ProcessKinesisRecords", "Delivered"), {})
    return Counts(_CLOUDWATCH_WINDOW, _CLOUDWATCH_PERIOD, is_delayed=True, series=series)


def _of_local_cloud(system: Deployed, now: datetime) -> Counts:
    labs = {each["name"]: lab for lab, each in system.outputs["functions"].items()}
    start = now - timedelta(seconds=_LOG_WINDOW)
    groups = {lab: each["log_group"] for lab, each in system.outputs["functions"].items()}
    found = from_summaries(lines(system.session.client("logs"), groups, start, _SUMMARIES))
    metrics = [_metric("AWS/Lambda", metric, "FunctionName", name) for name in labs for metric in (_LAG, _ERRORS)]
    # A minute's value is complete when it ends, and the newest one is what there is now.
    lately = datetime.fromtimestamp(start.timestamp() // 60 * 60, UTC)
    measured = from_cloudwatch(system.session.client("cloudwatch"), metrics, lately, now + timedelta(minutes=1), 60)
    series = dict(found.series)
    for panel in measured:
        for name, values in panel.series.items():
            series[labs[name], panel.metric] = {
                at: value for at, value in values.items() if value or panel.metric == _LAG
            }
    return Counts(_LOG_WINDOW, _LOG_PERIOD, is_delayed=False, series=series, last=found.last)


def from_summaries(logged: Iterable[Line]) -> Counts:
    """Count what the last line of each batch says. The lines name their functions as the lab does."""
    series: defaultdict[tuple[str, str], Series] = defaultdict(lambda: defaultdict(float))
    last: dict[str, tuple[float, float]] = {}
    for line in logged:
        processed = _PROCESSED.match(str(fields(line.message).get("message", "")))
        if processed is None:
            continue
        at = line.at // 1000 // _LOG_PERIOD * _LOG_PERIOD
        done, failed = int(processed[1]), 0.0
        for _, name, value, *_ in embedded_metrics(line.message):
            if not 0 <= value < _MOST:
                continue
            series[line.function, name][at] += value
            if name == "Failed":
                failed = value
            if name == "Records" and value > done:
                failed = max(failed, value - done)
        series[line.function, "Done"][at] += done
        series[line.function, "Delivered"][at] += done + failed
        last[line.function] = done, failed
    return Counts(
        _LOG_WINDOW,
        _LOG_PERIOD,
        is_delayed=False,
        series={key: dict(values) for key, values in series.items()},
        last=last,
    )


def _metric(namespace: str, name: str, dimension: str, value: str) -> "MetricTypeDef":
    return {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": dimension, "Value": value}]}
