"""Storing the score events of a batch in GameScoreRecords."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import NamedTuple, Protocol

from handlers.process_kinesis_records.payload import Fields, Numeral
from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError, RefusedError, RetryableError
from handlers.shared.lambda_types import KinesisRecord
from handlers.shared.parking import Parking, moment, parked_document, parked_key
from handlers.shared.retrying import Patience

REQUEST_ITEMS = 25
"""What one BatchWriteItem takes."""


class ScoreEvent(NamedTuple):
    """What a score event stores; whatever else its payload says stays in the log."""

    record_id: Decimal
    username: str
    score: Decimal


class ScoreRecords(Protocol):
    """GameScoreRecords."""

    def put(self, events: Sequence[ScoreEvent], /) -> Sequence[ScoreEvent]:
        """Put up to 25 events, no two of one RecordID, each in place of the whole item that it finds.

        Returns those that were not processed. Raises RetryableError, after which some may have been, or RefusedError.
        """


@dataclass(slots=True)
class Outcome:
    """What became of a batch's score events."""

    stored: int = 0
    folded: int = 0
    parked: int = 0
    unfinished: set[int] = field(default_factory=set)
    """The first position in the batch of each event that is neither stored nor parked."""
    poison: Counter[str] = field(default_factory=Counter)
    """Why events can never be stored."""
    reasons: set[str] = field(default_factory=set)
    """Why there are unfinished ones."""

    @property
    def metrics(self) -> dict[str, tuple[float, str]]:
        """Values and units."""
        return {
            "Stored": (self.stored, "Count"),
            "Folded": (self.folded, "Count"),
            "Parked": (self.parked, "Count"),
            "Failed": (len(self.unfinished), "Count"),
        }


@dataclass(frozen=True, slots=True)
class Ingestor:
    """All that storing needs from outside."""

    records: ScoreRecords
    parking: Parking
    function_name: str

    def ingest(self, batch: Sequence[KinesisRecord], found: Mapping[int, Fields], patience: Patience) -> Outcome:
        """Store the score events found at these positions of the batch, and park those that are wrong.

        Of several of one RecordID the last is stored. Once one cannot be stored no other is begun.
        """
        outcome = Outcome()
        last: dict[Decimal, ScoreEvent] = {}
        first: dict[Decimal, int] = {}
        for position, fields in found.items():
            try:
                event = parse(fields)
            except PoisonRecordError as error:
                self._park(batch[position], position, str(error), patience, outcome)
                continue
            outcome.folded += event.record_id in last
            last[event.record_id] = event
            first.setdefault(event.record_id, position)
        for events in _chunks(last.values()):
            left = events if outcome.reasons else self._put(events, patience, outcome)
            outcome.stored += len(events) - len(left)
            outcome.unfinished |= {first[event.record_id] for event in left}
        return outcome

    def _put(self, events: Sequence[ScoreEvent], patience: Patience, outcome: Outcome) -> Sequence[ScoreEvent]:
        """Put what one request takes; returns what is left when the time is up, or AWS refuses."""
        left = events

        def attempt() -> None:
            nonlocal left
            left = self.records.put(left)
            if left:
                raise RetryableError("DynamoDB left items unprocessed")

        try:
            patience.call(attempt)
        except (RetryableError, RefusedError) as error:
            outcome.reasons.add(str(error))
        return left

    def _park(self, record: KinesisRecord, position: int, reason: str, patience: Patience, outcome: Outcome) -> None:
        outcome.poison[reason] += 1
        key = parked_key(self.function_name, record, moment(record["kinesis"].get("approximateArrivalTimestamp")))
        document = parked_document(self.function_name, record, reason)
        try:
            patience.call(lambda: self.parking.park(key, document))
            outcome.parked += 1
        except (RetryableError, RefusedError) as error:
            outcome.unfinished.add(position)
            outcome.reasons.add(str(error))


def parse(fields: Fields) -> ScoreEvent:
    """The score event that the fields describe. Raises PoisonRecordError when they describe none."""
    username = fields["Username"]
    if type(username) is not str:
        raise PoisonRecordError("Username is not a string")
    return ScoreEvent(_number(fields, "RecordID"), usernames.check(username), _number(fields, "Score"))


def _number(fields: Fields, name: str) -> Decimal:
    value = fields[name]
    if not isinstance(value, Numeral):
        raise PoisonRecordError(f"{name} is not a number")
    try:
        return decimals.parse(value)
    except ValueError as error:
        raise PoisonRecordError(f"{name} {error}") from None


def _chunks(events: Iterable[ScoreEvent]) -> Iterator[list[ScoreEvent]]:
    remaining = iter(events)
    while chunk := list(islice(remaining, REQUEST_ITEMS)):
        yield chunk
