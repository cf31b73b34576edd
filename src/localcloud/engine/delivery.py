"""Batches: how large one may be, and what to deliver next after an invocation. The engine and redrive share it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from localcloud.engine.record import Record, event

T = TypeVar("T")

FIRST_PAUSE = 0.4
LONGEST_PAUSE = 60.0
PAYLOAD_BYTES = 6 * 1024 * 1024 - 1
"""The largest event, in bytes: "6 MB" at https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, of
which Lambda's own error says "Request must be smaller than 6291456 bytes"."""

_EMPTY_EVENT = len(event([]))


@dataclass(frozen=True, slots=True)
class Batch(Generic[T]):
    """Records delivered together: a new batch, or what is left of one.

    `invokes` counts invocations since the last progress; `refusals` counts refused ones since the last invocation.
    """

    records: Sequence[T]
    invokes: int = 0
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """The result of an invocation: processed records, batches to deliver next, in order, or a batch to discard."""

    processed: Sequence[T] = ()
    next: Sequence[Batch[T]] = ()
    discarded: Batch[T] | None = None


def batch_length(lengths: Iterable[int], batch_size: int, overhead: int = 0) -> int:
    """Return how many leading records form the next batch, given the length of each as JSON, in bytes.

    At most `batch_size`, and at most 6 MB as an event, of which `overhead` bytes are not records; a record that is
    larger forms a batch by itself.
    """
    count, size = 0, _EMPTY_EVENT - 1 + overhead
    for length in lengths:
        size += length + 1
        if count and (count == batch_size or size > PAYLOAD_BYTES):
            break
        count += 1
    return count


def after_invocation(batch: Batch[T], accepted: int | None, *, bisect: bool, max_retries: int | None) -> Outcome[T]:
    """Decide what to do next, given how many leading records the function accepted; None when all failed.

    Progress resets the retry count, and bisecting consumes no retry; only a batch that fails again in full does.
    `max_retries` None retries without limit.
    """
    batch = replace(batch, invokes=batch.invokes + 1, refusals=0)
    if accepted:
        rest = batch.records[accepted:]
        return Outcome(batch.records[:accepted], [Batch(rest)] if rest else ())
    if accepted is None and bisect and len(batch.records) > 1:
        middle = len(batch.records) // 2
        return Outcome(next=[Batch(batch.records[:middle]), Batch(batch.records[middle:])])
    if max_retries is not None and batch.invokes > max_retries:
        return Outcome(discarded=batch)
    return Outcome(next=[batch])


def expire(batch: Batch[Record], oldest: float) -> tuple[Batch[Record], Batch[Record]]:
    """Split a batch into the leading records that arrived before `oldest` and the rest."""
    fresh = next((i for i, record in enumerate(batch.records) if record.arrived >= oldest), len(batch.records))
    return replace(batch, records=batch.records[:fresh]), replace(batch, records=batch.records[fresh:])


def backoff(failures: int) -> float:
    """Return the seconds to wait after this many consecutive failures (1, 2, ...).

    AWS documents no curve. A maximum age of 60 s was seen to hold 8 invocations; 0.4 s, doubling, gives that:
    at 0, 0.4, 1.2, 2.8, 6, 12.4, 25.2 and 50.8 s.
    """
    return min(FIRST_PAUSE * 2.0 ** min(failures - 1, 16), LONGEST_PAUSE)
