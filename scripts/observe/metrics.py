"""Draw how the functions did: `make metrics [SINCE=1h] [PNG=<file>]`, in the terminal and as a picture."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import plotext
import typer
from rich.console import Console

from scripts.deployment import Deployed, deployed
from scripts.stage import LOCAL, StageName
from scripts.timespan import since as parse_since

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDataQueryTypeDef, MetricTypeDef

NAMESPACE = "GameScores"  # of the functions' own metrics, unless METRICS_NAMESPACE says otherwise
LAMBDA = {"Invocations": "Sum", "Errors": "Sum", "Duration": "Average", "IteratorAge": "Maximum"}
_IN_MILLISECONDS = {"Duration", "IteratorAge", "Latency"}
_LONGEST_MILLISECONDS = 365 * 24 * 60 * 60 * 1000
"""No stream keeps a record longer: what is said to be older is a test event, whose time is made up."""
_POINTS = 60
_QUERIES = 500  # what one GetMetricData takes
_COLUMNS = 2

Series = dict[int, float]
"""Values by the start of their period, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A metric of all functions that have it."""

    metric: str
    series: Mapping[str, Series]
    """By function."""

    @property
    def title(self) -> str:
        """What it shows."""
        statistic = _statistic(self.metric).lower()
        return f"{self.metric}, {statistic} in ms" if self.metric in _IN_MILLISECONDS else self.metric

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it but zeros."""
        return not any(any(series.values()) for series in self.series.values())


def period(span: timedelta) -> int:
    """Seconds of a point, in whole minutes, so that the span has some sixty of them."""
    return max(60, ceil(span.total_seconds() / _POINTS / 60) * 60)


def from_cloudwatch(
    cloudwatch: "CloudWatchClient", metrics: Iterable["MetricTypeDef"], start: datetime, end: datetime, seconds: int
) -> list[Panel]:
    """The metrics, which have FunctionName as their one dimension, as CloudWatch has them."""
    named = list(metrics)
    queries: list[MetricDataQueryTypeDef] = [
        {"Id": f"m{n}", "MetricStat": {"Metric": metric, "Period": seconds, "Stat": _statistic(metric["MetricName"])}}
        for n, metric in enumerate(named)
    ]
    found: dict[str, dict[str, Series]] = defaultdict(lambda: defaultdict(dict))
    for first in range(0, len(queries), _QUERIES):
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=queries[first : first + _QUERIES], StartTime=start, EndTime=end
        )
        for page in pages:
            for result in page["MetricDataResults"]:
                metric = named[int(result["Id"][1:])]
                function = metric["Dimensions"][0]["Value"]
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    if _is_plausible(metric["MetricName"], value):
                        found[metric["MetricName"]][function][int(at.timestamp())] = value
    return [Panel(name, series) for name, series in found.items()]


def _is_plausible(metric: str, value: float) -> bool:
    return metric not in _IN_MILLISECONDS or value <= _LONGEST_MILLISECONDS


def _statistic(metric: str) -> str:
    return LAMBDA.get(metric, "Maximum" if metric in _IN_MILLISECONDS else "Sum")


def panels_of(system: Deployed, start: datetime, now: datetime) -> list[Panel]:
    """Return all metrics of the functions, as CloudWatch has them."""
    cloudwatch, seconds = system.session.client("cloudwatch"), period(now - start)
    start = datetime.fromtimestamp(start.timestamp() // seconds * seconds, UTC)
    functions = [each["name"] for each in system.outputs["functions"].values()]
    lambdas = [_metric("AWS/Lambda", name, function) for name in LAMBDA for function in functions]
    metrics = [*lambdas, *own_metrics(cloudwatch, functions)]
    found = from_cloudwatch(cloudwatch, metrics, start, now, seconds)
    points = range(int(start.timestamp()), int(now.timestamp()), seconds)
    return [_with_zeros(panel, points) for panel in found]


def own_metrics(cloudwatch: "CloudWatchClient", functions: Iterable[str]) -> "list[MetricTypeDef]":
    """Return the functions' own metrics, as far as CloudWatch has any."""
    owners = [[function] for function in functions]
    return [
        {"Namespace": metric["Namespace"], "MetricName": metric["MetricName"], "Dimensions": metric["Dimensions"]}
        for page in cloudwatch.get_paginator("list_metrics").paginate(Namespace=NAMESPACE)
        for metric in page["Metrics"]
        if [each["Value"] for each in metric["Dimensions"]] in owners
    ]


def own_metrics_of(function: str, names: Iterable[str]) -> "list[MetricTypeDef]":
    """Return these metrics of a function's own, whether CloudWatch has them yet or not."""
    return [_metric(NAMESPACE, name, function) for name in names]


def _with_zeros(panel: Panel, points: range) -> Panel:
    """Where nothing was counted the count is zero; where nothing was timed there is no time."""
    if _statistic(panel.metric) != "Sum":
        return panel
    return Panel(panel.metric, {name: dict.fromkeys(points, 0.0) | series for name, series in panel.series.items()})


def _metric(namespace: str, name: str, function: str) -> "MetricTypeDef":
    return {
        "Namespace": namespace,
        "MetricName": name,
        "Dimensions": [{"Name": "FunctionName", "Value": function}],
    }


def chart(drawn: list[Panel], start: datetime, end: datetime, width: int) -> str:
    """The panels for a terminal, two beside each other."""
    rows = ceil(len(drawn) / _COLUMNS)
    ticks = start, start + (end - start) / 2, end
    form = "%H:%M" if end - start < timedelta(days=1) else "%d %b"
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)  # to the terminal's height, which scrolls
    plotext.plot_size(width, rows * 13)
    plotext.subplots(rows, _COLUMNS)
    for index, panel in enumerate(drawn):
        plotext.subplot(index // _COLUMNS + 1, index % _COLUMNS + 1)
        plotext.title(panel.title)
        for (function, series), marker in zip(panel.series.items(), "ox+*", strict=False):
            plotext.scatter(sorted(series), [series[at] for at in sorted(series)], label=function, marker=marker)
        plotext.ylim(0, 1.1 * max(value for series in panel.series.values() for value in series.values()))
        plotext.xlim(start.timestamp(), end.timestamp())
        plotext.xticks([at.timestamp() for at in ticks], [f"{at:{form}}" for at in ticks])
    return str(plotext.uncolorize(plotext.build()))


def picture(drawn: list[Panel], start: datetime, end: datetime, title: str, file: Path) -> None:
    """The panels as a PNG."""
    # Imported now, as it takes a second.
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    rows = ceil(len(drawn) / _COLUMNS)
    figure = Figure(figsize=(6.5 * _COLUMNS, 2.8 * rows + 0.6), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(rows, _COLUMNS, squeeze=False)
    colours: dict[str, str] = {}
    for index, panel in enumerate(drawn):
        axes: Axes = grid[index // _COLUMNS][index % _COLUMNS]
        axes.set_title(panel.title, fontsize="medium")
        for function, series in panel.series.items():
            times = sorted(series)
            moments: Any = [datetime.fromtimestamp(at, UTC) for at in times]
            colour = colours.setdefault(function, f"C{len(colours)}")
            axes.plot(moments, [series[at] for at in times], ".-", label=function, color=colour)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.set_xlim(start, end)  # type: ignore[arg-type]
        axes.xaxis.set_major_locator(locator := AutoDateLocator(maxticks=6))  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.legend(fontsize="small", frameon=False)
    for unused in grid.flat[len(drawn) :]:
        unused.set_axis_off()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)


def main(
    stage: StageName = LOCAL,
    since: str = typer.Option("1h", help="from when on: 15m, 2h, 7d, or a time"),
    png: Annotated[Path | None, typer.Option(help="picture to write; by default LOCAL_DIR/metrics-<stage>.png")] = None,
    as_json: bool = typer.Option(False, "--json", help="print the values as JSON, and draw nothing"),
) -> None:
    """Draw the functions' metrics in the terminal and as a PNG."""
    now = datetime.now(UTC)
    start = parse_since(since, now)
    system = deployed(stage)
    found = panels_of(system, start, now)
    if as_json:
        typer.echo(json.dumps({panel.metric: panel.series for panel in found}))
        return
    console = Console(highlight=False)
    drawn, empty = [panel for panel in found if not panel.is_empty], [panel for panel in found if panel.is_empty]
    if drawn:
        typer.echo(chart(drawn, start, now, console.width))
        file = png or system.stage.folder / f"metrics-{stage}.png"
        picture(drawn, start, now, f"Stage {stage}, {start:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M} UTC", file)
        typer.echo(f"Picture: {file}")
    nothing = [metric for metric in LAMBDA if metric not in {panel.metric for panel in found}]
    if empty:
        typer.echo(f"Zero throughout: {', '.join(panel.metric for panel in empty)}")
    if nothing:
        typer.echo(f"Not measured since {since}: {', '.join(nothing)}")
