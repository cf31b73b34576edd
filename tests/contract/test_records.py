"""What every ScoreRecords does, in memory or in DynamoDB."""

from decimal import Decimal

import pytest

from handlers.process_kinesis_records.ingestion import ScoreEvent
from tests.contract.conftest import RecordsUnderTest


@pytest.fixture
def store(records_under_test: RecordsUnderTest) -> RecordsUnderTest:
    """Each of them."""
    return records_under_test


def score_event(record_id: str, username: str, score: str, position: str) -> ScoreEvent:
    return ScoreEvent(Decimal(record_id), username, Decimal(score), position)


def test_what_is_put_is_stored_exactly(store: RecordsUnderTest) -> None:
    event = score_event("7", "jané", "0.10", "056:1")

    assert store.records.put(event)

    assert store.stored("7") == event


def test_a_later_event_replaces_an_earlier_one_and_no_other_item(store: RecordsUnderTest) -> None:
    store.records.put(score_event("7", "jane", "1", "001:9"))
    store.records.put(score_event("8", "joe", "1", "001:9"))

    assert store.records.put(score_event("7.0", "joe", "-2", "002:10"))

    assert store.stored("7") == score_event("7", "joe", "-2", "002:10")
    assert store.stored("8") == score_event("8", "joe", "1", "001:9")


def test_an_earlier_event_replaces_nothing(store: RecordsUnderTest) -> None:
    later = score_event("7", "jane", "1", "002:10")
    store.records.put(later)

    assert not store.records.put(score_event("7", "joe", "2", "001:9"))
    assert not store.records.put(score_event("7", "joe", "2", "#056:11"))

    assert store.stored("7") == later


def test_no_put_succeeds_again_after_it_was_done(store: RecordsUnderTest) -> None:
    event = score_event("7", "jane", "1", "001:9")
    store.records.put(event)

    assert not store.records.put(event)
    assert not store.records.put(event._replace(username="joe"))

    assert store.stored("7") == event


@pytest.mark.parametrize("position", ["#", "#056:1", "001:0"])
def test_an_item_without_a_position_is_replaced_by_any_event_once(store: RecordsUnderTest, position: str) -> None:
    store.write("7", "jane", "1")
    event = score_event("7", "joe", "2", position)

    assert store.records.put(event)
    assert not store.records.put(event)

    assert store.stored("7") == event


def test_a_user_who_writes_the_whole_item_takes_its_position_away(store: RecordsUnderTest) -> None:
    store.records.put(score_event("7", "jane", "1", "002:10"))
    store.write("7", "joe", "2")

    assert store.records.put(score_event("7", "ann", "3", "001:9"))
