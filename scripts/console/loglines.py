"""The newest lines of a function's log."""

from collections import deque
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from scripts.observe.logs import Line, containing, fields, lines

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_FIRST_WINDOW = timedelta(seconds=2)
_GROWTH = 4


def newest(
    logs: "CloudWatchLogsClient", group: str, start: datetime, now: datetime, text: str, limit: int, *, is_aws: bool
) -> tuple[list[Line], bool]:
    """Return the last lines since `start` that contain a text, oldest first, and whether these are all.

    Looks back in windows that grow, so that the newest lines are found first however many there are.
    """
    found: deque[Line] = deque()
    end, window = now, _FIRST_WINDOW
    pattern = containing(text, is_aws=is_aws)
    while end > start:
        begin = max(start, end - window)
        # CloudWatch includes both ends.
        until = None if end is now else end - timedelta(milliseconds=1)
        part = deque(
            (line for line in lines(logs, {group: group}, begin, pattern, until) if contains(line, text)),
            maxlen=limit + 1,
        )
        found.extendleft(reversed(part))
        end, window = begin, window * _GROWTH
        if len(found) > limit:
            return list(found)[-limit:], False
    return list(found), True


def contains(line: Line, text: str) -> bool:
    """Whether a line contains a text in any case, as it is logged or as the page shows it."""
    wanted = text.casefold()
    return wanted in line.message.casefold() or wanted in message(line.message).casefold()


def message(logged: str) -> str:
    """Return the message of a line of JSON, and any other line as it is."""
    return str(fields(logged).get("message", logged))
