"""Replaying records through the function that failed on them, and reading its answer as Lambda's stream mappings do."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from scripts.failure_bucket import Failure, Record

_PAYLOAD_BYTES = 6_000_000
"""Of the 6 MB that Invoke takes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


class Answer(NamedTuple):
    """How far a function got with a batch."""

    done: int
    """Records done, from the first on."""
    reason: str | None = None
    """Why the next was not; None when all are done."""
    crashed: bool = False
    """Whether the invocation failed as a whole, for which any one of the records may be to blame."""


Invoke = Callable[[Sequence[Record]], Answer]


def replay(records: Sequence[Record], invoke: Invoke, batch_size: int) -> list[str | None]:
    """Why each record still fails; None for those that are done.

    A crash halves the batch until the record to blame is alone. What the function reports without having got any
    further is not tried again: a throttle or a missing grant would only be met once more for each record.
    """
    reasons: list[str | None] = [None] * len(records)
    waiting = _batches(records, batch_size)[::-1]
    while waiting:
        start, end = waiting.pop()
        done, reason, crashed = invoke(records[start:end])
        if reason is None:
            continue
        if crashed and end - start > 1:
            middle = (start + end) // 2
            waiting += (middle, end), (start, middle)
        elif done:
            waiting.append((start + done, end))
        else:
            reasons[start:end] = [reason] * (end - start)
    return reasons


def interpret(payload: bytes, function_error: str | None, records: Sequence[Record]) -> Answer:
    """What a function's response says of the records that it was given.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    try:
        response: Any = json.loads(payload or b"null")
    except ValueError:
        response = payload
    if function_error:
        error = response if isinstance(response, dict) else {}
        return Answer(0, f"{error.get('errorType', function_error)}: {error.get('errorMessage', '')}", crashed=True)
    if not response:
        return Answer(len(records))
    failures = response.get("batchItemFailures", response) if isinstance(response, dict) else response
    if not failures:
        return Answer(len(records))
    positions = {sequence_number(record): position for position, record in reversed([*enumerate(records)])}
    try:
        done = min(positions[failure["itemIdentifier"]] for failure in failures)
    except (KeyError, TypeError):
        done = 0  # an identifier that is empty or unknown fails the batch as a whole
    return Answer(done, "The function reported it as failed; its log says why")


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


def sequence_number(record: Record) -> str | None:
    """The name of a record in a batch response; None for one that has none."""
    for source, field in (("dynamodb", "SequenceNumber"), ("kinesis", "sequenceNumber")):
        body = record.get(source)
        if isinstance(body, dict) and isinstance(body.get(field), str):
            return str(body[field])
    return None


def event(records: Sequence[Record]) -> bytes:
    """The batch as a stream mapping hands it to a function."""
    return json.dumps({"Records": records}, separators=(",", ":")).encode()


def _batches(records: Sequence[Record], batch_size: int) -> list[tuple[int, int]]:
    """Where each batch begins and ends: within the count, and within what an invocation takes."""
    batches = []
    start = size = 0
    for position, record in enumerate(records):
        length = len(json.dumps(record, separators=(",", ":"))) + 1
        if position > start and (position - start == batch_size or size + length > _PAYLOAD_BYTES):
            batches.append((start, position))
            start, size = position, 0
        size += length
    return [*batches, (start, len(records))] if records else []
