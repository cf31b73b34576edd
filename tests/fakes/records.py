"""GameScoreRecords in memory."""

from collections.abc import Callable
from decimal import Decimal

from handlers.process_kinesis_records.ingestion import ScoreEvent


def nothing(event: ScoreEvent) -> None:
    """A hook that does nothing."""


class InMemoryScoreRecords:
    """ScoreRecords whose hooks may raise: `before` a put that is then not done, `after` one that was."""

    def __init__(self) -> None:
        self.items: dict[Decimal, ScoreEvent] = {}
        self.before: Callable[[ScoreEvent], None] = nothing
        self.after: Callable[[ScoreEvent], None] = nothing
        self.puts: list[ScoreEvent] = []
        """All that were asked for and not refused, done or not; each takes a write unit."""

    def put(self, event: ScoreEvent, /) -> bool:
        """See ScoreRecords."""
        self.before(event)
        self.puts.append(event)
        held = self.items.get(event.record_id)
        is_later = held is None or held.position < event.position
        if is_later:
            self.items[event.record_id] = event
        self.after(event)
        return is_later

    def write(self, record_id: str, username: str, score: str) -> None:
        """Put an item as a user does. Its position, "", stands for none: every event's is greater."""
        key = Decimal(record_id)
        self.items[key] = ScoreEvent(key, username, Decimal(score), position="")
