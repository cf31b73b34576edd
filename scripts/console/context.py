"""What the views share: the stage, and reading requests."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import request

from scripts.console.connection import Connection
from scripts.console.problems import InvalidError, Problem
from scripts.deployment import Deployed
from scripts.timespan import since

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_DIGITS = 15
"""Of a whole number in a query: what a double holds exactly."""


@dataclass(frozen=True)
class Context:
    """The stage that a console shows."""

    connection: Connection
    writes: bool
    """Whether the page may change the stage."""
    describe: Callable[[Exception], Problem]
    """Turns an error into what the page shows."""

    def system(self) -> Deployed:
        """Return what is deployed now. Raises what `deployed` raises."""
        return self.connection.system()


def body() -> dict[str, Any]:
    """Return the JSON object that was sent. Raises InvalidError for anything else."""
    try:
        sent = json.loads(request.get_data(), parse_constant=_refuse)
    except RecursionError:
        raise InvalidError("The JSON is nested too deeply") from None
    except ValueError as error:
        raise InvalidError(f"This is not JSON: {error}") from None
    if not isinstance(sent, dict):
        raise InvalidError("Send a JSON object")
    return sent


def text(sent: dict[str, Any], name: str) -> str:
    """Return a string of a body; "" where there is none. Raises InvalidError for what is not Unicode text."""
    return check_text(sent.get(name, ""), name)


def check_text(value: Any, name: str) -> str:
    """Return the value if it is text that UTF-8 can encode. Raises InvalidError."""
    if not isinstance(value, str):
        raise InvalidError(f"{name} is not text")
    if not is_unicode(value):
        raise InvalidError(f"{name} has half of a surrogate pair, which no encoding can send")
    return value


def is_unicode(value: str) -> bool:
    """Whether UTF-8 can encode the text: it holds no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def whole(name: str, default: int, most: int | None = None) -> int:
    """Return a whole number of the query, from 1 to `most` if given. Raises InvalidError."""
    value = request.args.get(name, str(default))
    is_number = value.isascii() and value.isdigit() and len(value) <= _DIGITS
    if not is_number or (most is not None and not 1 <= int(value) <= most):
        raise InvalidError(f"{name} is a whole number" + (f" from 1 to {most}" if most else ""))
    return int(value)


def start_of(default: str, now: datetime) -> datetime:
    """Return the time that the query's `since` means. Raises UserError or InvalidError."""
    start = since(request.args.get("since", default), now)
    if not _EARLIEST <= start <= now:
        raise InvalidError("since is a time of this century that is over")
    return start


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
