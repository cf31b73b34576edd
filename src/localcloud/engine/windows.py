"""Tumbling windows: the window that is open on a shard, its state, and the events that carry it.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html, and the same page for DynamoDB. Our choices,
where the guide is silent: windows begin at multiples of their length, as in its example; a final invocation has no
records; a window closes when all that came into the shard up to a second after its end was read and processed.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import ShardCheckpoint, WindowState
from localcloud.engine.record import Record, event

MOST_STATE_BYTES = 1024 * 1024
GRACE_SECONDS = 1.0
_NO_STATE = object()


@dataclass(frozen=True, slots=True)
class Windows:
    """The tumbling windows of a mapping on a shard, one after the other. The checkpoint holds the one that is open."""

    mapping: Mapping
    shard_id: str
    checkpoint: ShardCheckpoint

    def is_over(self, read_until: float) -> bool:
        """Whether a window is open of which no record can come, when all that came until then was read.

        `read_until` is in seconds since the epoch.
        """
        window = self.checkpoint.window
        return window is not None and read_until >= window.start + self.mapping.tumbling + GRACE_SECONDS

    def start_of(self, record: Record) -> int:
        """Return when the window begins that a record belongs to, by its arrival in the stream."""
        return int(record.arrived // self.mapping.tumbling * self.mapping.tumbling)

    def holds(self, record: Record) -> bool:
        """Whether a record belongs to the open window, or none is open."""
        window = self.checkpoint.window
        return window is None or window.start == self.start_of(record)

    def event(self, records: Sequence[Record], *, early: bool = False) -> bytes:
        """Return the event that delivers records, or without records the one that closes the window."""
        window = self.checkpoint.window
        if window is None:
            window = WindowState(self.start_of(records[0]), {})
        context = {
            "window": {"start": _iso(window.start), "end": _iso(window.start + self.mapping.tumbling)},
            "state": window.state,
            "shardId": self.shard_id,
            "eventSourceARN": self.mapping.source_arn,
            "isFinalInvokeForWindow": not records,
            "isWindowTerminatedEarly": early,
        }
        return event(record.body for record in records)[:-1] + b"," + json.dumps(context)[1:].encode()

    def overhead(self) -> int:
        """Return how many bytes of an event are not records, at most."""
        window = self.checkpoint.window
        return 1024 + (len(json.dumps(window.state)) if window else 0)

    def keep(self, record: Record, payload: bytes) -> bool:
        """Keep the state that a response has, for the window of a record; False when it is too large to go on."""
        state = _state(payload)
        self.checkpoint.window = WindowState(self.start_of(record), state)
        return len(json.dumps(state).encode()) <= MOST_STATE_BYTES

    def close(self) -> None:
        """Drop the state: the window was processed."""
        self.checkpoint.window = None


def has_state(payload: bytes) -> bool:
    """Whether a response has the state that a function with tumbling windows must return."""
    return _state(payload) is not _NO_STATE


def _state(payload: bytes) -> Any:
    try:
        response = json.loads(payload)
    except (ValueError, RecursionError):
        return _NO_STATE
    return response.get("state", _NO_STATE) if isinstance(response, dict) else _NO_STATE


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
