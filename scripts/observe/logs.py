"""Print what the functions log: `make logs [FUNCTION=] [SINCE=10m] [GREP=] [FOLLOW=1]`."""

import heapq
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import typer

from scripts.cli import UserError
from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName
from scripts.timespan import since as parse_since

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_POLL_SECONDS = 1.0
_LATE_SECONDS = 30  # CloudWatch may show an event after younger ones
_COLOURS = {"WARN": typer.colors.YELLOW, "ERROR": typer.colors.RED}


@dataclass(frozen=True, slots=True)
class Line:
    """A log event."""

    at: int
    """Milliseconds since the epoch."""
    function: str
    stream: str
    message: str


def lines(
    logs: "CloudWatchLogsClient", groups: Mapping[str, str], start: datetime, pattern: str = ""
) -> Iterator[Line]:
    """What the functions, by name with their log groups, have logged since then: page by page, in order of time.

    A pattern leaves the choice of lines to CloudWatch:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """

    def of(function: str, group: str) -> Iterator[Line]:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=int(start.timestamp() * 1000), filterPattern=pattern
        )
        for page in pages:
            for event in page["events"]:
                yield Line(event["timestamp"], function, event["logStreamName"], event["message"].rstrip("\n"))

    return heapq.merge(*(of(function, group) for function, group in groups.items()), key=lambda line: line.at)


class Fresh:
    """Tells the lines of a look that an earlier, overlapping look did not have."""

    def __init__(self) -> None:
        self._seen: Counter[Line] = Counter()

    def of(self, look: Iterable[Line]) -> Iterator[Line]:
        """The new ones, in order. What the look did not have is forgotten, and never comes again."""
        seen: Counter[Line] = Counter()
        for line in look:
            seen[line] += 1
            if seen[line] > self._seen[line]:
                yield line
        self._seen = seen


def render(line: Line) -> str:
    """A line for the eye: time, function, level, message, and what else a JSON line says but for its metrics' frame."""
    head = f"{datetime.fromtimestamp(line.at / 1000, UTC):%H:%M:%S.%f}"[:-3] + f" {line.function} "
    fields = _fields(line.message)
    if fields is None:
        return head + typer.style(line.message, dim=True)
    level = str(fields.get("level", ""))
    hidden = {"timestamp", "level", "message", "requestId", "_aws", "FunctionName"}
    rest = "".join(
        f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in fields.items() if name not in hidden
    )
    return (
        head + typer.style(f"{level:5}", fg=_COLOURS.get(level)) + f" {fields['message']}" + typer.style(rest, dim=True)
    )


def _fields(message: str) -> dict[str, Any] | None:
    try:
        fields = json.loads(message)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "message" in fields else None


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UserError(f"GREP={text} is not a regular expression: {error}") from None


def main(
    stage: StageName = LOCAL,
    function: str = typer.Option("", help="only this function's; by default every one's"),
    since: str = typer.Option("10m", help="from when on: 15m, 2h, 7d, or a time"),
    grep: str = typer.Option("", help="only lines in which this regular expression is found"),
    follow: bool = typer.Option(False, "--follow", help="wait for more, until Ctrl-C"),
    as_json: bool = typer.Option(False, "--json", help="print each as a line of JSON"),
) -> None:
    """Print what the functions log, in order of time."""
    pattern, start = _pattern(grep), parse_since(since, datetime.now(UTC))
    system = deployed(stage)
    functions = [function] if function else list(system.outputs["functions"])
    groups = {name: system.function(name)["log_group"] for name in functions}
    logs, fresh = boto3.client("logs"), Fresh()
    while True:
        looked = time.time()
        # A single look may be long, so only a follower pays for remembering it.
        look = lines(logs, groups, start)
        for line in fresh.of(look) if follow else look:
            if pattern.search(line.message):
                typer.echo(
                    json.dumps({"at": line.at, "function": line.function, "message": line.message})
                    if as_json
                    else render(line)
                )
        if not follow:
            return
        start = max(start, datetime.fromtimestamp(looked - _LATE_SECONDS, UTC))
        time.sleep(_POLL_SECONDS)
