"""What every ScoreRecords does, in memory or in DynamoDB."""

from decimal import Decimal

import pytest

from handlers.process_kinesis_records.ingestion import ScoreEvent
from tests.contract.conftest import RecordsUnderTest


@pytest.fixture
def store(records_under_test: RecordsUnderTest) -> RecordsUnderTest:
    """Each of them."""
    return records_under_test


def score_event(record_id: str, username: str, score: str) -> ScoreEvent:
    return ScoreEvent(Decimal(record_id), username, Decimal(score))


def test_what_is_put_is_stored_exactly(store: RecordsUnderTest) -> None:
    events = [score_event(str(number), "jané", f"{number}.10") for number in range(25)]

    assert not store.records.put(events)

    assert [store.stored(str(number)) for number in range(25)] == events


def test_a_later_event_takes_the_place_of_an_earlier_one(store: RecordsUnderTest) -> None:
    store.records.put([score_event("7", "jane", "1"), score_event("8", "joe", "1")])
    store.records.put([score_event("7.0", "joe", "-2")])

    assert store.stored("7") == score_event("7", "joe", "-2")
    assert store.stored("8") == score_event("8", "joe", "1")
