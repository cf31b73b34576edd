"""Print what the functions log: `make logs [FUNCTION=] [SINCE=10m] [GREP=] [FOLLOW=1]`."""

import heapq
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from scripts.cli import UserError
from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName
from scripts.timespan import since as parse_since

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_POLL_SECONDS = 1.0
_PAGE = 10_000  # the most events of an answer
_WORD = re.compile(r"[A-Za-z0-9_]+")
_LONGEST_WORD = 100
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
    logs: "CloudWatchLogsClient",
    groups: Mapping[str, str],
    start: datetime,
    pattern: str = "",
    end: datetime | None = None,
) -> Iterator[Line]:
    """Yield what the functions, by name with their log groups, have logged from `start` to `end`, in order of time.

    A pattern leaves the choice of lines to CloudWatch:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
    """
    until: dict[str, Any] = {} if end is None else {"endTime": _milliseconds(end)}
    look = partial(_group_lines, logs, start=_milliseconds(start), pattern=pattern, until=until)
    return heapq.merge(*(look(function, group) for function, group in groups.items()), key=lambda line: line.at)


def _group_lines(
    logs: "CloudWatchLogsClient", function: str, group: str, *, start: int, pattern: str, until: Mapping[str, Any]
) -> Iterator[Line]:
    pages = logs.get_paginator("filter_log_events")
    known: Counter[Line] = Counter()
    while True:
        last_page: list[Line] = []
        count = 0
        for page in pages.paginate(logGroupName=group, startTime=start, filterPattern=pattern, **until):
            last_page = [
                Line(event["timestamp"], function, event["logStreamName"], event["message"].rstrip("\n"))
                for event in page["events"]
            ]
            count = len(last_page)
            for line in last_page:
                if known[line]:
                    known[line] -= 1
                else:
                    yield line
        # The emulator ends with a full page where CloudWatch gives a token. Go on from its last millisecond.
        if count < _PAGE or last_page[-1].at == start:
            return
        start = last_page[-1].at
        known = Counter(line for line in last_page if line.at == start)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def containing(text: str, *, is_aws: bool) -> str:
    """Return a filter pattern that matches every line that contains a text in any case, and perhaps others.

    It asks for the longest word: a line of JSON writes other characters in more than one way. CloudWatch finds a part
    of a word by a regular expression, of which it takes a subset; the emulator finds any part, and has no expressions:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html
    """
    word = max(_WORD.findall(text), key=len, default="")[:_LONGEST_WORD]
    if not is_aws or not word:
        return f'"{word}"' if word else ""
    return f"%{''.join(f'[{each.lower()}{each.upper()}]' if each.isalpha() else each for each in word)}%"


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
    logged = fields(line.message)
    if "message" not in logged:
        return head + typer.style(line.message, dim=True)
    level = str(logged.get("level", ""))
    hidden = {"timestamp", "level", "message", "requestId", "_aws", "FunctionName"}
    rest = "".join(
        f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in logged.items() if name not in hidden
    )
    return (
        head + typer.style(f"{level:5}", fg=_COLOURS.get(level)) + f" {logged['message']}" + typer.style(rest, dim=True)
    )


def fields(message: str) -> dict[str, Any]:
    """Return the fields of a log line that is a JSON object; none for any other line."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


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
    logs, fresh = system.session.client("logs"), Fresh()
    is_literal = re.escape(grep) == grep
    wanted = containing(grep, is_aws=system.stage.endpoint is None) if is_literal else ""
    while True:
        looked = time.time()
        # A single look may be long, so only a follower pays for remembering it.
        look = lines(logs, groups, start, wanted)
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
