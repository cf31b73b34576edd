"""Waiting for what takes a moment, and room on this machine for what waits.

How long a moment is differs between a local cloud and AWS. All of that is in `Patience`: tests name what they wait for.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import pytest

T = TypeVar("T")

For = Literal["delivery", "logs", "metrics", "alarms", "mappings"]


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds to wait for what a stage does in its own time."""

    delivery: float
    """A record passes a mapping, and has its effect."""
    logs: float
    """A line that a function logged can be read."""
    metrics: float
    """A metric is listed or counted."""
    alarms: float
    """An alarm changes its state, and says so."""
    mappings: float
    """A mapping that was created or changed behaves so."""
    roles: float
    """A role and its policies are known to other services."""
    command: float
    """A command ends."""
    look: float
    """From one look to the next."""


HERE = Patience(delivery=60, logs=60, metrics=60, alarms=60, mappings=180, roles=0, command=120, look=0.05)
# Mappings change within minutes: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html. Metrics are listed
# within 15: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_ListMetrics.html. Alarms look every 5.
AWS = Patience(delivery=300, logs=180, metrics=1200, alarms=1200, mappings=600, roles=120, command=1200, look=2)

_patience = [HERE]


def patience() -> Patience:
    """Return for how long the present tests wait."""
    return _patience[-1]


def be_patient(with_: Patience) -> None:
    """Let all tests that follow wait as long as this."""
    _patience.append(with_)


def eventually(look: Callable[[], T | None], what: str, seconds: float | For = "delivery") -> T:
    """Return what `look` returns once that is true; fail at the deadline, saying what was waited for and last seen.

    `seconds` names a kind of waiting, or is the least number of seconds.
    """
    patient = patience()
    limit: float = getattr(patient, seconds) if isinstance(seconds, str) else max(seconds, patient.delivery)
    deadline = time.monotonic() + limit
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            pytest.fail(f"not within {limit:.0f} s: {what} (last seen: {seen!r})")
        time.sleep(patient.look)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
