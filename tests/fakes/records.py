"""GameScoreRecords in memory."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from handlers.process_kinesis_records.ingestion import REQUEST_ITEMS, ScoreEvent


def process_all(events: Sequence[ScoreEvent]) -> int:
    """A hook that leaves nothing unprocessed."""
    return len(events)


class InMemoryScoreRecords:
    """ScoreRecords whose hook says how many events of a request are processed, and may raise."""

    def __init__(self) -> None:
        self.items: dict[Decimal, ScoreEvent] = {}
        self.processed: Callable[[Sequence[ScoreEvent]], int] = process_all
        self.requests: list[int] = []

    def put(self, events: Sequence[ScoreEvent], /) -> Sequence[ScoreEvent]:
        """See ScoreRecords."""
        self.requests.append(len(events))
        assert 1 <= len(events) <= REQUEST_ITEMS, f"DynamoDB takes 1 to 25 items, not {len(events)}"
        assert len({event.record_id for event in events}) == len(events), "DynamoDB takes one operation for an item"
        processed = self.processed(events)
        self.items |= {event.record_id: event for event in events[:processed]}
        return events[processed:]
