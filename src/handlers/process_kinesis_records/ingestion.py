"""Storing the score events of a batch in GameScoreRecords."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from handlers.process_kinesis_records.payload import Fields, Numeral
from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import KinesisRecord
from handlers.shared.parking import Parking, event_time, park
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers

_SEQUENCE_NUMBER_DIGITS = 129
"""https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SequenceNumberRange.html"""


class ScoreEvent(NamedTuple):
    """What a score event stores; whatever else its payload says stays in the log."""

    record_id: Decimal
    username: str
    score: Decimal
    position: str
    """Its place in the stream, see `position`."""


class ScoreRecords(Protocol):
    """GameScoreRecords."""

    def put(self, event: ScoreEvent, /) -> bool:
        """Replace the event's whole item, unless it holds an event of the same or a later position.

        Returns whether the event was stored. Raises RetryableError, after which it may have been stored, RefusedError,
        or PoisonRecordError when DynamoDB can never store this event.
        """


@dataclass(slots=True)
class Outcome:
    """What became of a batch's score events."""

    stored: int = 0
    outdated: int = 0
    """Events whose item already held them, or a later event."""
    folded: int = 0
    """Events that a later one of the same RecordID and batch replaced."""
    parked: int = 0
    unfinished: set[int] = field(default_factory=set)
    """The index in the batch of each event that is neither stored, outdated, folded nor parked."""
    poison: Counter[str] = field(default_factory=Counter)
    """Why events can never be stored."""
    reasons: set[str] = field(default_factory=set)
    """Why there are unfinished ones."""

    @property
    def metrics(self) -> dict[str, tuple[float, str]]:
        """Values and units."""
        return {
            "Stored": (self.stored, "Count"),
            "Outdated": (self.outdated, "Count"),
            "Folded": (self.folded, "Count"),
            "Parked": (self.parked, "Count"),
            "Failed": (len(self.unfinished), "Count"),
        }


class _Found(NamedTuple):
    """A score event, and where in its batch it is. Of two of one RecordID, the one to store is the greater."""

    position: str
    at: int
    event: ScoreEvent


@dataclass(frozen=True, slots=True)
class Ingestor:
    """All that storing needs from outside."""

    records: ScoreRecords
    parking: Parking
    workers: Workers
    function_name: str
    stream_arn: str
    """The stream whose positions count, see `position`."""

    def ingest(self, batch: Sequence[KinesisRecord], found: Mapping[int, Fields], patience: Patience) -> Outcome:
        """Store the score events found at these indexes of the batch, and park those that are wrong.

        Of several of one RecordID the one with the greatest position is stored. Several are put at once; after the
        first failure no other put begins, and those in flight end.
        """
        outcome = Outcome()
        events: dict[Decimal, list[_Found]] = {}
        poison: dict[int, str] = {}
        for index, fields in found.items():
            try:
                event = parse(fields, position(batch[index], self.stream_arn))
            except PoisonRecordError as error:
                poison[index] = str(error)
                continue
            events.setdefault(event.record_id, []).append(_Found(event.position, index, event))
        self._park(batch, poison, patience, outcome)
        todo = list(events.values())
        for each in todo:
            each.sort()
        while todo:
            todo = self._round(batch, todo, patience, outcome)
        return outcome

    def _round(
        self,
        batch: Sequence[KinesisRecord],
        todo: list[list[_Found]],
        patience: Patience,
        outcome: Outcome,
    ) -> list[list[_Found]]:
        """Put the last event of each list; return the lists whose last was poison, without it."""
        stopped = bool(outcome.reasons)

        def put(event: ScoreEvent) -> bool | Exception | None:
            """Whether it was stored, or why not; None when it was not begun."""
            nonlocal stopped
            if stopped:
                return None
            try:
                return patience.call(lambda: self.records.put(event))
            except PoisonRecordError as error:
                return error
            except (RetryableError, RefusedError) as error:
                stopped = True
                return error

        left: list[list[_Found]] = []
        poison: dict[int, str] = {}
        for each, result in zip(todo, self.workers.map(put, [each[-1].event for each in todo]), strict=True):
            if isinstance(result, PoisonRecordError):
                poison[each.pop().at] = str(result)
                if each:
                    left.append(each)
                continue
            if isinstance(result, bool):
                outcome.stored += result
                outcome.outdated += not result
                outcome.folded += len(each) - 1
                continue
            # Not the last alone: should the table refuse it for good next time, the one before it is to be stored.
            outcome.unfinished.update(found.at for found in each)
            if result is not None:
                outcome.reasons.add(str(result))
        self._park(batch, poison, patience, outcome)
        return left

    def _park(
        self, batch: Sequence[KinesisRecord], poison: Mapping[int, str], patience: Patience, outcome: Outcome
    ) -> None:
        """Park the events at these indexes of the batch, for these reasons."""

        def parked(index: int) -> str | None:
            record = batch[index]
            arrived = event_time(record["kinesis"].get("approximateArrivalTimestamp"))
            return park(self.parking, self.function_name, record, poison[index], arrived, patience)

        for index, failure in zip(poison, self.workers.map(parked, list(poison)), strict=True):
            outcome.poison[poison[index]] += 1
            if failure is None:
                outcome.parked += 1
            else:
                outcome.unfinished.add(index)
                outcome.reasons.add(failure)


def parse(fields: Fields, position: str) -> ScoreEvent:
    """The score event that the fields describe. Raises PoisonRecordError when they describe none."""
    username = fields["Username"]
    if type(username) is not str:
        raise PoisonRecordError("Username is not a string")
    return ScoreEvent(_number(fields, "RecordID"), usernames.check(username), _number(fields, "Score"), position)


def position(record: Any, stream_arn: str) -> str:
    """Return the record's place in the stream: of two events under one partition key, the later one's is greater.

    That is its sequence number behind the number of its digits, `056:4959...`, so that strings compare as the numbers
    do. Sequence numbers grow within a shard, and a child shard's are greater than all of its parent's
    (docs/decisions/0011). A record that is not from this stream, or has no sequence number, is a test event: its
    position begins with `#`, which is less than every digit, so that a test never outlasts a real event.
    """
    body = record.get("kinesis")
    number = body.get("sequenceNumber") if isinstance(body, dict) else None
    if not (isinstance(number, str) and number.isascii() and number.isdigit()):
        return "#"
    digits = number.lstrip("0")
    if len(digits) > _SEQUENCE_NUMBER_DIGITS:
        return "#"
    return f"{'' if record.get('eventSourceARN') == stream_arn else '#'}{len(digits):03}:{digits}"


def _number(fields: Fields, name: str) -> Decimal:
    value = fields[name]
    if not isinstance(value, Numeral):
        raise PoisonRecordError(f"{name} is not a number")
    try:
        return decimals.parse(value)
    except ValueError as error:
        raise PoisonRecordError(f"{name} {error}") from None
