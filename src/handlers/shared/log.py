"""JSON log lines, many in one write.

Lambda's own logging handler costs more per record than decoding does, so a batch collects its lines and
writes them once. The keys are those that Lambda's JSON log format uses, so its level filter applies:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
"""

import json
import sys
import time
from collections.abc import Callable

TYPE_CHECKING = False  # see process_kinesis_records.payload
if TYPE_CHECKING:
    from typing import Any, TextIO

Line = dict[str, "Any"]
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, with milliseconds."""
    whole = int(seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{int((seconds - whole) * 1000):03d}Z"


class BatchLog:
    """Lines of one invocation, which share its timestamp and request id, until `write`."""

    def __init__(
        self, request_id: str | None, clock: Callable[[], float] = time.time, stream: "TextIO | None" = None
    ) -> None:
        self._head: Line = {"timestamp": rfc3339(clock()), "level": "INFO", "message": ""}
        if request_id is not None:  # there is none while the function is loading
            self._head["requestId"] = request_id
        self._lines: list[Line] = []
        self._stream = stream

    def info(self, message: str, **fields: "Any") -> None:
        """Something expected happened."""
        self._lines.append({**self._head, "message": message, **fields})

    def warning(self, message: str, **fields: "Any") -> None:
        """Something that a person may want to look at, and that the function has dealt with."""
        self._lines.append({**self._head, "level": "WARN", "message": message, **fields})

    def error(self, message: str, **fields: "Any") -> None:
        """Something that the function could not deal with."""
        self._lines.append({**self._head, "level": "ERROR", "message": message, **fields})

    def write(self) -> None:
        """Write what was collected, in one call, and forget it."""
        lines, self._lines = self._lines, []
        # Looked up now, not at import: Lambda and pytest both replace sys.stdout.
        stream = self._stream or sys.stdout
        text = "".join([_encode(line) + "\n" for line in lines])
        if not text.isascii():
            # UTF-8 has no lone surrogates, which an event's strings may hold; JSON's escape of one is Python's.
            text = text.encode(errors="backslashreplace").decode()
        stream.write(text)
        stream.flush()
