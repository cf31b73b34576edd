"""What the function can never count, or cannot judge any more: it parks the record, and counts the rest."""

import json
from decimal import Decimal
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.counting import TOO_OLD
from handlers.aggregate_scores_by_user.ledger import DAMAGED, Entry, Transaction, UncountableError
from handlers.shared.errors import RefusedError, RetryableError
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import OVERFLOW, InMemoryLedger
from tests.fakes.stream import LABEL, NOW, insert, modify, remove, spoilt_image, stream_record
from tests.property.strategies import nested
from tests.unit.aggregate_scores_by_user.conftest import DONE, failed, failing, of

LARGEST = "9" * 38 + "0" * 88


def parked_at(sequence_number: int) -> str:
    return f"parked/AggregateScoresByUser/2026-11-23/event-{sequence_number}.json"


def test_poison_is_parked_whole_and_the_rest_of_its_batch_is_counted(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    poison = insert(2, 2, "ann", "1")
    poison["dynamodb"]["NewImage"]["Score"] = {"S": "lots"}

    assert function.invoke([insert(1, 1, "ann", "1"), poison, insert(3, 3, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(2), 2)}
    assert {key: json.loads(document) for key, document in parking.documents.items()} == {
        parked_at(2): {
            "function": "AggregateScoresByUser",
            "reason": "Score is missing or is not of type N",
            "payload": {"Records": [poison]},
        }
    }


def test_an_update_to_poison_takes_back_what_its_item_had_counted(function: Function, ledger: InMemoryLedger) -> None:
    poison = stream_record("MODIFY", 1, 2, {"RecordID": {"N": "1"}})
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([poison])

    assert ledger.totals == {"ann": (Decimal(0), 0)}


def test_a_parked_record_counts_when_a_later_release_can_read_it(function: Function, ledger: InMemoryLedger) -> None:
    poison = insert(1, 1, "ann", "42")
    del poison["dynamodb"]["NewImage"]["Score"]
    function.invoke([poison])
    function.invoke([insert(1, 1, "ann", "42")])
    assert ledger.totals == {"ann": (Decimal(42), 1)}

    function.invoke([poison])
    assert ledger.totals == {"ann": (Decimal(42), 1)}, "an earlier release must not undo a later one"


@pytest.mark.parametrize("copies", [1, 2, 4])
def test_copies_that_replay_one_parked_record_at_once_count_it_once(copies: int, ledger: InMemoryLedger) -> None:
    record = insert(1, 1, "ann", "42")
    poison = stream_record("INSERT", 1, 1, {"RecordID": {"N": "1"}})
    Function(ledger, InMemoryParking()).invoke([poison])
    waiting = [Function(ledger, InMemoryParking()) for _ in range(copies)]

    def replay_first(_: Transaction) -> None:
        if waiting:
            assert waiting.pop().invoke([record]) == DONE

    ledger.before = ledger.after = replay_first
    replay_first(Transaction((), ()))

    assert ledger.totals == {"ann": (Decimal(42), 1)}


def test_a_lost_acknowledgement_of_a_replay_is_harmless(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([stream_record("INSERT", 1, 1, {"RecordID": {"N": "1"}})])
    ledger.after = failing(RetryableError("no answer"), of("ann"), times=1)

    assert function.invoke([insert(1, 1, "ann", "42")]) == DONE

    assert ledger.totals == {"ann": (Decimal(42), 1)}


def test_poison_that_cannot_be_parked_is_reported_though_the_rest_is_counted(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    parking.before = failing(RefusedError("NoSuchBucket: no"), lambda _: True)

    response = function.invoke([insert(1, 1, "ann", "1"), stream_record("?", 2, 2), insert(3, 3, "ann", "1")])

    assert response == failed(2)
    assert ledger.totals == {"ann": (Decimal(2), 2)}
    summary = json.loads(function.log.getvalue().splitlines()[-1])
    assert (summary["Parked"], summary["Failed"], summary["Folded"]) == (0, 1, 0)
    lines = {line["message"]: line.get("reasons") for line in map(json.loads, function.log.getvalue().splitlines())}
    assert lines["Found records that can never be counted"] == {"eventName is unknown": 1}
    assert lines["Stopped at record 2 of 3"] == ["NoSuchBucket: no"]


def test_poison_that_cannot_be_parked_is_reported_before_what_is_not_counted(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    def refuse(key: str) -> None:
        raise RefusedError("AccessDenied")

    parking.before = refuse
    ledger.before = failing(RefusedError("AccessDenied"), of("ann"))

    of_no_item: Any = {"Keys": {}}  # so there is nothing to take back
    assert function.invoke([stream_record("?", 1, 1, **of_no_item), insert(2, 2, "ann", "1")]) == failed(1)
    assert function.invoke([insert(2, 2, "ann", "1"), stream_record("?", 1, 3, **of_no_item)]) == failed(2)


@pytest.mark.parametrize("body", [None, {}, "text"])
def test_unparked_poison_without_a_sequence_number_fails_the_whole_batch(
    body: Any, function: Function, parking: InMemoryParking
) -> None:
    parking.before = failing(RefusedError("NoSuchBucket: no"), lambda _: True)
    nameless: Any = {"eventName": "INSERT", "dynamodb": body}

    assert function.invoke([nameless]) == {"batchItemFailures": [{"itemIdentifier": ""}]}


def test_a_score_that_overflows_its_total_is_parked_and_the_rest_is_counted(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", LARGEST)])
    batch = [insert(2, 2, "ann", "-1" + "0" * 100), insert(3, 3, "ann", LARGEST), insert(4, 4, "bob", "1")]

    assert function.invoke(batch) == DONE

    assert ledger.totals["ann"] == (Decimal(int(LARGEST) - 10**100), 2)
    assert ledger.totals["bob"] == (Decimal(1), 1)
    assert ledger.read_units == 0, "an overflow says nothing of what the ledger knows"
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [OVERFLOW]
    assert parked_at(3) in parking.documents


def test_an_update_that_overflows_takes_back_the_old_score_and_counts_on_a_later_replay(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", LARGEST), insert(2, 2, "ann", "-1" + "0" * 100)])
    function.invoke([modify(2, 3, "ann", LARGEST)])
    assert ledger.totals == {"ann": (Decimal(LARGEST), 1)}
    assert parking.documents.keys() == {parked_at(3)}

    function.invoke([remove(1, 4)])
    function.invoke([modify(2, 3, "ann", LARGEST)])
    assert ledger.totals == {"ann": (Decimal(LARGEST), 1)}


def test_an_entry_that_cannot_be_stored_is_parked_and_the_rest_of_its_transaction_is_counted(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    refused = UncountableError("Item size has exceeded the maximum allowed size", record_ids=["2"])
    ledger.before = failing(refused, lambda transaction: any(put.entry.score == 5 for put in transaction.puts))

    assert function.invoke([insert(1, 1, "ann", "3"), insert(2, 2, "ann", "5"), insert(3, 3, "bob", "7")]) == DONE

    assert ledger.totals == {"ann": (Decimal(3), 1), "bob": (Decimal(7), 1)}
    assert ledger.entries["2"].username is None
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [str(refused)]
    assert ledger.requests == 2, "the record at fault is known: one for its withdrawal, one for all others"


def test_scores_too_far_apart_to_add_up_are_tried_one_by_one(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    assert function.invoke([insert(1, 1, "ann", "1E+100"), insert(2, 2, "ann", "1E-100")]) == DONE

    assert ledger.totals == {"ann": (Decimal("1E+100"), 1)}
    assert parking.documents.keys() == {parked_at(2)}


def test_an_update_that_makes_its_total_overflow_takes_back_the_old_score_in_one_more_transaction(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", LARGEST), insert(2, 2, "ann", "-1E+90")])
    requests = ledger.requests

    assert function.invoke([modify(2, 3, "ann", "1E+90")]) == DONE

    assert ledger.totals == {"ann": (Decimal(LARGEST), 1)}
    assert parking.documents.keys() == {parked_at(3)}
    assert ledger.requests == requests + 2


@pytest.mark.parametrize("lost", [None, "before", "after"])
def test_an_update_whose_difference_has_too_many_digits_is_counted(
    lost: str | None, function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", "1E+100")])
    requests = ledger.requests
    if lost:
        setattr(ledger, lost, failing(RetryableError("no answer"), of("ann"), times=3))

    assert function.invoke([modify(1, 2, "ann", "1E-100"), insert(2, 3, "bob", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal("1E-100"), 1), "bob": (Decimal(1), 1)}
    assert parking.documents == {}
    if not lost:
        summary = json.loads(function.log.getvalue().splitlines()[-1])
        assert (summary["Applied"], summary["Transactions"]) == (2, 3)
        assert ledger.requests == requests + 3, "one for bob, and two for ann"


def test_a_crash_between_the_two_steps_of_such_an_update_is_made_up_for(
    function: Function, ledger: InMemoryLedger
) -> None:
    function.invoke([insert(1, 1, "ann", "1E+100")])
    ledger.before = failing(RefusedError("gone"), lambda each: each.puts[0].entry.username is not None)
    assert function.invoke([modify(1, 2, "ann", "1E-100")]) == failed(2)
    assert ledger.totals == {"ann": (Decimal(0), 0)}

    ledger.before = lambda _: None
    assert function.invoke([modify(1, 2, "ann", "1E-100")]) == DONE

    assert ledger.totals == {"ann": (Decimal("1E-100"), 1)}


DAYS = 24 * 60 * 60


@pytest.mark.parametrize(("days", "counted"), [(0, 1), (34.9, 1), (35, 1), (35.1, 0), (400, 0)])
def test_a_record_too_old_to_judge_is_parked_and_not_counted(
    days: float, counted: int, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function = Function(ledger, parking, clock=lambda: NOW + days * DAYS)

    assert function.invoke([insert(1, 1, "ann", "42"), modify(2, 2, "ann", "42"), remove(3, 3)]) == DONE

    assert ledger.counted() == ({"ann": (Decimal(84), 2)} if counted else {})
    reasons = [json.loads(document)["reason"] for document in parking.documents.values()]
    assert reasons == ([] if counted else [TOO_OLD] * 2), "a delete of what was never counted changes nothing"
    assert TOO_OLD == (
        "older than 35 days, and the ledger holds no earlier change of its item: only make reconcile can count it"
    )


def test_an_old_record_counts_where_the_ledger_knows_its_item(ledger: InMemoryLedger, parking: InMemoryParking) -> None:
    function = Function(ledger, parking, clock=lambda: NOW + 50 * DAYS)
    for record in insert(1, 1, "ann", "42"), remove(2, 2):
        Function(ledger, parking).invoke([record])

    assert function.invoke([modify(1, 3, "ann", "43"), insert(2, 1, "bob", "1")]) == DONE

    assert ledger.counted() == {"ann": (Decimal(43), 1)}
    assert parking.documents == {}


@pytest.mark.parametrize("version", [f"#{111:040}", f"#{111:040}+", f"{LABEL}#{0:040}", f"{LABEL}#{0:040}+"])
@pytest.mark.parametrize("user", ["ann", None])
def test_an_entry_that_no_change_of_the_stream_wrote_does_not_make_an_old_record_countable(
    version: str, user: str | None, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    """The record may have been deleted, and the delete forgotten, before a test event or reconcile wrote the entry."""
    ledger.entries["1"] = entry = Entry(version, user, Decimal(7 if user else 0))
    function = Function(ledger, parking, clock=lambda: NOW + 50 * DAYS)

    assert function.invoke([insert(1, 1, "ann", "42")]) == DONE
    assert function.invoke([modify(1, 2, "bob", "7")]) == DONE

    assert (ledger.entries["1"], ledger.totals) == (entry, {})
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [TOO_OLD, TOO_OLD]


def test_an_old_record_that_says_what_reconcile_has_counted_is_done(
    ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    entries = {number: Entry(f"{LABEL}#{0:040}", "ann", Decimal(42)) for number in ("1", "2")}
    ledger.entries |= entries
    function = Function(ledger, parking, clock=lambda: NOW + 50 * DAYS)

    assert function.invoke([insert(1, 1, "ann", "42"), insert(2, 2, "ann", "42")]) == DONE

    assert (ledger.entries, parking.documents) == (entries, {})
    assert json.loads(function.log.getvalue())["Duplicates"] == 2


@pytest.mark.parametrize("at", [None, "yesterday", -1])
def test_a_record_of_unknown_age_is_too_old_to_judge(
    at: Any, function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    record = insert(1, 1, "ann", "42")
    record["dynamodb"]["ApproximateCreationDateTime"] = at

    assert function.invoke([record]) == DONE

    assert ledger.totals == {}
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [TOO_OLD]


def test_a_tombstone_that_expires_between_read_and_write_leaves_an_old_record_uncounted(
    ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    Function(ledger, parking).invoke([remove(1, 1)])

    def expire(_: Transaction) -> None:
        ledger.entries.clear()
        ledger.before = lambda _: None

    ledger.before = expire
    function = Function(ledger, parking, clock=lambda: NOW + 50 * DAYS)
    assert function.invoke([insert(1, 2, "ann", "1")]) == DONE

    assert ledger.totals == {}
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [TOO_OLD]


def test_a_test_event_counts_whatever_its_age_and_has_no_latency(function: Function, ledger: InMemoryLedger) -> None:
    record = insert(1, 1, "ann", "42")
    record["eventSourceARN"] = "arn:aws:dynamodb:us-east-1:123456789012:table/Other/stream/2015-06-27T00:48:05.899"
    record["dynamodb"]["ApproximateCreationDateTime"] = 1_435_366_085

    assert function.invoke([record]) == DONE

    assert ledger.totals == {"ann": (Decimal(42), 1)}
    assert ledger.entries["1"].is_test
    assert "Latency" not in function.log.getvalue()


@pytest.mark.parametrize("make", [insert, modify])
def test_a_damaged_entry_parks_its_record_and_the_rest_is_counted(
    make: Any, function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    ledger.entries["1"] = DAMAGED

    assert function.invoke([make(1, 1, "ann", "42"), insert(2, 2, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(1), 1)}
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [
        "the ledger's entry is damaged: make reconcile FIX=1 repairs it"
    ]


def test_poison_of_no_known_item_is_not_counted_as_folded(function: Function) -> None:
    nameless: Any = {"eventName": "INSERT", "dynamodb": {}}

    assert function.invoke([insert(1, 1, "ann", "42"), nameless]) == DONE

    summary = json.loads(function.log.getvalue().splitlines()[-1])
    assert (summary["Records"], summary["Applied"], summary["Parked"], summary["Folded"]) == (2, 1, 1, 0)


def test_an_item_whose_later_record_is_poison_counts_for_nobody(function: Function, ledger: InMemoryLedger) -> None:
    spoilt = stream_record("MODIFY", 1, 2, spoilt_image(1, "ann", "42"))

    assert function.invoke([insert(1, 1, "ann", "42"), spoilt]) == DONE

    assert ledger.counted() == {}


def test_old_poison_whose_item_cannot_be_judged_is_parked_as_too_old(
    ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    ledger.entries["1"] = entry = Entry(f"#{111:040}", "ann", Decimal(7))
    function = Function(ledger, parking, clock=lambda: NOW + 50 * 24 * 60 * 60)

    assert function.invoke([stream_record("MODIFY", 1, 2, spoilt_image(1, "ann", "42"))]) == DONE

    assert ledger.entries["1"] == entry
    assert [json.loads(document)["reason"] for document in parking.documents.values()] == [TOO_OLD]


def test_a_record_nested_too_deeply_to_park_is_reported(function: Function, ledger: InMemoryLedger) -> None:
    deep: Any = insert(2, 2, "ann", "1") | {"eventName": nested(100_000)}

    assert function.invoke([insert(1, 1, "ann", "1"), deep]) == failed(2)

    assert ledger.totals == {"ann": (Decimal(1), 1)}


def test_a_record_is_parked_under_the_day_of_its_change(function: Function, parking: InMemoryParking) -> None:
    record = stream_record("?", 1, 1, ApproximateCreationDateTime=NOW - 3 * DAYS)

    assert function.invoke([record]) == DONE

    assert parking.documents.keys() == {"parked/AggregateScoresByUser/2026-11-20/event-1.json"}


def test_a_delete_that_would_overflow_is_parked(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", "-" + LARGEST), insert(2, 2, "ann", LARGEST)])
    function.invoke([insert(3, 3, "ann", LARGEST)])

    assert function.invoke([remove(1, 4)]) == DONE

    assert parking.documents.keys() == {parked_at(4)}
