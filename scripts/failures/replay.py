"""Replaying records through the function that failed on them, in batches that are cut and read as Lambda does it."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from localcloud.engine import record as stream_record
from localcloud.engine.delivery import Batch, after_invocation, batch_length
from localcloud.engine.record import sequence_number
from localcloud.engine.response import accepted
from scripts.failures.store import Failure, Record

_SHOWN = 200
"""Characters of a response that a reason quotes."""


class Answer(NamedTuple):
    """What a function's response says of a batch."""

    accepted: int | None
    """Records accepted, from the first on; None when the batch failed as a whole, and any of them may be to blame."""
    reason: str = ""
    """Why the next was not; "" when all were accepted."""


Invoke = Callable[[Sequence[Record]], Answer]


def replay(records: Sequence[Record], invoke: Invoke, batch_size: int) -> list[str | None]:
    """Return why each record still fails; None for those that are done.

    As a stream mapping that bisects and does not retry: a failure of the whole batch halves it until the record to
    blame is alone. What the function reports without having got any further is not tried again: a throttle or a
    missing grant would only be met once more for each record.
    """
    reasons: list[str | None] = [None] * len(records)
    waiting = [*_batches(records, batch_size)][::-1]
    while waiting:
        batch = waiting.pop()
        answer = invoke([records[position] for position in batch.records])
        outcome = after_invocation(batch, answer.accepted, bisect=True, max_retries=0)
        waiting += reversed(outcome.next)
        for position in outcome.discarded.records if outcome.discarded else ():
            reasons[position] = answer.reason
    return reasons


def interpret(payload: bytes, function_error: str | None, records: Sequence[Record]) -> Answer:
    """Read a function's response to the records that it was given."""
    taken = accepted(payload, function_error, [sequence_number(record) for record in records])
    if function_error:
        return Answer(taken, _error(payload, function_error))
    if taken is None:
        response = payload.decode(errors="replace")
        return Answer(None, f"The function's response fails the whole batch: {response[:_SHOWN]}")
    return Answer(taken, "" if taken == len(records) else "The function reported it as failed; its log says why")


def groups(failures: Iterable[Failure], batch_size: int) -> Iterator[list[Failure]]:
    """Neighbours of one function, as many as fill a batch, so that parked records do not take an invocation each."""
    group: list[Failure] = []
    for failure in failures:
        full = sum(len(each.records) for each in group) + len(failure.records) > batch_size
        if group and (full or failure.function != group[0].function):
            yield group
            group = []
        group.append(failure)
    if group:
        yield group


def event(records: Sequence[Record]) -> bytes:
    """Build the event that delivers the records, as a stream mapping does."""
    return stream_record.event(map(_encode, records))


def _batches(records: Sequence[Record], batch_size: int) -> Iterator[Batch[int]]:
    """Cut the records into batches of positions, each within the count and within what an invocation takes."""
    lengths = [len(_encode(record)) for record in records]
    start = 0
    while start < len(records):
        end = start + batch_length(islice(lengths, start, None), batch_size)
        yield Batch(range(start, end))
        start = end


def _encode(record: Record) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode()


def _error(payload: bytes, function_error: str) -> str:
    try:
        response: Any = json.loads(payload)
    except (ValueError, RecursionError):
        response = None
    error = response if isinstance(response, dict) else {}
    return f"{error.get('errorType', function_error)}: {error.get('errorMessage', '')}"
