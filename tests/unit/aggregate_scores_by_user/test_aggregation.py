"""What the function does with a batch, from the records to the response, its stores in memory."""

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.counting import TOO_OLD
from handlers.aggregate_scores_by_user.ledger import DAMAGED, Entry, Transaction, UncountableError
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import OVERFLOW, InMemoryLedger
from tests.fakes.stream import LABEL, NOW, insert, modify, remove, spoilt_image, stream_record
from tests.property.strategies import nested

DONE: dict[str, Any] = {"batchItemFailures": []}
LARGEST = "9" * 38 + "0" * 88


def failed(sequence_number: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": str(sequence_number)}]}


def parked_at(sequence_number: int) -> str:
    return f"parked/AggregateScoresByUser/2026-11-23/event-{sequence_number}.json"


def failing(error: Exception, when: Callable[[Transaction], bool], times: int = 10**6) -> Any:
    def hook(transaction: Transaction) -> None:
        nonlocal times
        if times and when(transaction):
            times -= 1
            raise error

    return hook


def of(username: str) -> Callable[[Transaction], bool]:
    return lambda transaction: username in [add.username for add in transaction.adds]


@pytest.fixture
def ledger() -> InMemoryLedger:
    return InMemoryLedger()


@pytest.fixture
def parking() -> InMemoryParking:
    return InMemoryParking()


@pytest.fixture
def function(ledger: InMemoryLedger, parking: InMemoryParking) -> Function:
    return Function(ledger, parking)


def test_an_insert_is_counted(function: Function, ledger: InMemoryLedger) -> None:
    assert function.invoke([insert(1, 1, "ann", "42")]) == DONE

    assert ledger.totals == {"ann": (Decimal(42), 1)}


def test_an_empty_batch_is_done(function: Function, ledger: InMemoryLedger) -> None:
    assert function.invoke([]) == DONE

    assert ledger.requests == 0


def test_an_update_counts_as_the_difference(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([modify(1, 2, "ann", "40.5")])

    assert ledger.totals == {"ann": (Decimal("40.5"), 1)}


def test_an_update_of_something_else_moves_the_version_and_leaves_the_total(
    function: Function, ledger: InMemoryLedger
) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    added: list[int] = []
    ledger.after = lambda transaction: added.append(len(transaction.adds))
    function.invoke([modify(1, 2, "ann", "42.0")])

    assert added == [0]
    assert ledger.entries["1"].version.endswith("2")


def test_a_change_of_username_moves_the_score(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42"), insert(2, 2, "ann", "1")])
    function.invoke([modify(1, 3, "bob", "43")])

    assert ledger.totals == {"ann": (Decimal(1), 1), "bob": (Decimal(43), 1)}


def test_a_user_whose_records_are_all_gone_reads_zero_of_zero(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([remove(1, 2)])

    assert ledger.totals == {"ann": (Decimal(0), 0)}


def test_a_delete_leaves_a_tombstone_even_where_nothing_was_counted(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([remove(1, 2)])
    function.invoke([insert(1, 1, "ann", "42")])

    assert ledger.totals == {}


def test_an_item_inserted_again_after_its_delete_counts_again(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([remove(1, 2)])
    function.invoke([insert(1, 3, "ann", "7")])

    assert ledger.totals == {"ann": (Decimal(7), 1)}


def test_all_of_an_items_life_in_one_batch_counts_as_its_end(function: Function, ledger: InMemoryLedger) -> None:
    batch = [insert(1, 1, "ann", "1"), modify(1, 2, "bob", "2"), remove(1, 3), insert(1, 4, "cid", "3")]

    assert function.invoke(batch) == DONE

    assert ledger.totals == {"cid": (Decimal(3), 1)}
    assert ledger.requests == 1


def test_a_redelivered_batch_changes_nothing(function: Function, ledger: InMemoryLedger) -> None:
    batch = [insert(1, 1, "ann", "1"), insert(2, 2, "bob", "2"), modify(1, 3, "bob", "5"), remove(2, 4)]
    function.invoke(batch)
    totals = dict(ledger.totals)

    assert function.invoke(batch) == DONE

    assert ledger.totals == totals == {"bob": (Decimal(5), 1)}
    assert json.loads(function.log.getvalue().splitlines()[-1])["Duplicates"] == 2


def test_a_redelivered_batch_of_inserts_pays_for_one_failed_transaction_and_reads_the_rest(
    function: Function, ledger: InMemoryLedger
) -> None:
    batch = [insert(i, i, "ann", "1") for i in range(1, 496)]
    function.invoke(batch)
    totals, written = dict(ledger.totals), ledger.write_units

    assert function.invoke(batch) == DONE

    assert (ledger.write_units - written, ledger.read_units) == (2 * 100, 4 * 99)
    assert ledger.totals == totals == {"ann": (Decimal(495), 495)}


def test_new_inserts_behind_a_redelivered_one_are_read_and_then_counted(
    function: Function, ledger: InMemoryLedger
) -> None:
    function.invoke([insert(1, 1, "ann", "1")])

    assert function.invoke([insert(i, i, "ann", "1") for i in range(1, 300)]) == DONE

    assert ledger.totals == {"ann": (Decimal(299), 299)}
    assert ledger.requests == 1 + 5, "one failed, then what is left of its records, and three full ones"
    assert ledger.read_units == 299 - 99


def test_an_insert_that_shares_a_transaction_is_not_tried_once_inserts_are_known_to_be_redelivered(
    function: Function, ledger: InMemoryLedger
) -> None:
    batch = [insert(i, i, "ann", "1") for i in range(1, 101)]
    function.invoke(batch)
    written = ledger.write_units

    assert function.invoke([*batch, modify(200, 200, "ann", "1")]) == DONE

    assert ledger.write_units - written == 2 * 100 + 2 * 2, "one failed, and one for the update alone"
    assert ledger.totals == {"ann": (Decimal(101), 101)}


@pytest.mark.parametrize("seed", range(8))
def test_inserts_behind_others_that_cannot_be_read_are_reported(
    seed: int, function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    redelivered = [insert(i, i, "bob", "1") for i in range(100, 397)]
    function.invoke(redelivered)
    read = ledger.read

    def read_all_but_bobs(record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        if all(int(record_id) >= 100 for record_id in record_ids):
            raise RefusedError("AccessDeniedException")
        return read(record_ids)

    ledger.read = read_all_but_bobs  # type: ignore[method-assign]
    response = Function(ledger, parking, Random(seed)).invoke(
        [*(insert(i, i, "ann", "1") for i in range(1, 100)), *redelivered]
    )

    # Where bob's, who has more, are tried first, none of ann's is tried: they are read, behind what cannot be.
    is_counted = ledger.totals.get("ann") == (Decimal(99), 99)
    assert response == failed(199 if is_counted else 1)


def test_an_update_that_another_copy_was_faster_with_says_nothing_of_inserts(
    function: Function, ledger: InMemoryLedger
) -> None:
    function.invoke([insert(1, 1, "ann", "1")])
    newer = Entry(f"{LABEL}#{3:0>40}", "ann", Decimal(1))
    ledger.before = lambda _: ledger.entries.update({"1": newer})

    # It shares the first transaction with inserts, and others are to follow.
    assert function.invoke([modify(1, 2, "bob", "2"), *(insert(i, i, "bob", "1") for i in range(4, 200))]) == DONE

    assert ledger.read_units == 1
    assert ledger.totals == {"ann": (Decimal(1), 1), "bob": (Decimal(196), 196)}


def test_inserts_that_cannot_be_read_after_all_are_reported(function: Function, ledger: InMemoryLedger) -> None:
    batch = [insert(i, i, "ann", "1") for i in range(1, 200)]
    function.invoke(batch)

    def refuse() -> None:
        raise RefusedError("AccessDeniedException")

    ledger.before_read = refuse
    response = function.invoke(batch)

    assert response["batchItemFailures"]
    assert ledger.totals == {"ann": (Decimal(199), 199)}


def test_a_batch_cut_differently_counts_only_what_is_new(function: Function, ledger: InMemoryLedger) -> None:
    batch = [insert(i, i, "ann", "1") for i in range(1, 200)]
    function.invoke(batch[:70])
    function.invoke(batch[40:])

    assert ledger.totals == {"ann": (Decimal(199), 199)}


def test_a_stale_record_replayed_days_later_changes_nothing(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 9, "ann", "1"), modify(1, 10, "ann", "2")])
    function.invoke([insert(1, 9, "ann", "1")])

    assert ledger.totals == {"ann": (Decimal(2), 1)}


def test_an_entry_whose_tombstone_expired_meanwhile_is_no_obstacle(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([remove(1, 1)])
    ledger.after = lambda _: None

    def expire(transaction: Transaction) -> None:
        if transaction.puts[0].replaces is not None:
            ledger.entries.clear()

    ledger.before = expire
    assert function.invoke([insert(1, 2, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(1), 1)}


def test_another_copy_of_the_function_that_was_faster_is_not_counted_twice(
    function: Function, ledger: InMemoryLedger
) -> None:
    batch = [insert(1, 1, "ann", "1"), insert(2, 2, "ann", "2")]

    def race(_: Transaction) -> None:
        ledger.before = lambda _: None
        Function(ledger, InMemoryParking()).invoke(batch[:1])

    ledger.before = race
    assert function.invoke(batch) == DONE

    assert ledger.totals == {"ann": (Decimal(3), 2)}


def test_every_change_of_every_stage_that_is_not_begun_is_unfinished(
    function: Function, ledger: InMemoryLedger
) -> None:
    ledger.before = failing(RefusedError("AccessDenied"), of("cid"))
    # The update comes last in the last of three stages: full transactions, remainders, and what of them shares a user.
    batch = [modify(500, 1, "bob", "1"), *(insert(i, i, "cid", "1") for i in range(2, 101))]
    batch += [insert(i, i, "ann", "1") for i in range(101, 161)] + [insert(i, i, "bob", "1") for i in range(161, 221)]

    assert function.invoke(batch) == failed(1)

    assert ledger.totals == {}
    (error,) = [line for line in map(json.loads, function.log.getvalue().splitlines()) if line["level"] == "ERROR"]
    assert (error["message"], error["reasons"]) == ("Stopped at record 1 of 220", ["AccessDenied"])


def test_every_change_of_a_transaction_that_is_refused_is_unfinished(
    function: Function, ledger: InMemoryLedger
) -> None:
    ledger.before = failing(RefusedError("AccessDenied"), of("ann"))

    # The update is read first, and so comes last in its transaction.
    assert function.invoke([modify(1, 1, "ann", "1"), insert(2, 2, "ann", "1")]) == failed(1)


def test_nothing_is_read_again_once_a_transaction_is_given_up(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "1")])
    ledger.before = failing(RefusedError("AccessDenied"), of("bob"))
    batch = [*(insert(i, i, "ann", "1") for i in range(1, 300)), *(insert(i, i, "bob", "1") for i in range(300, 399))]

    function.invoke(batch)

    assert ledger.read_units == 0


def test_names_that_differ_in_case_are_two_users(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([modify(1, 2, "Ann", "43")])

    assert ledger.counted() == {"Ann": (Decimal(43), 1)}


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


def test_a_throttle_is_waited_out(function: Function, ledger: InMemoryLedger) -> None:
    ledger.before = failing(RetryableError("throttled"), of("ann"), times=5)

    assert function.invoke([insert(1, 1, "ann", "1")]) == DONE

    assert len(function.pauses) == 5
    assert ledger.totals == {"ann": (Decimal(1), 1)}
    assert json.loads(function.log.getvalue())["Transactions"] == 6


def test_a_lost_acknowledgement_is_harmless(function: Function, ledger: InMemoryLedger) -> None:
    ledger.after = failing(RetryableError("no answer"), of("ann"), times=1)

    assert function.invoke([insert(1, 1, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(1), 1)}


def test_what_time_did_not_suffice_for_is_reported_and_nothing_behind_it_is_claimed(
    function: Function, ledger: InMemoryLedger
) -> None:
    ledger.before = failing(RetryableError("throttled"), of("bob"))
    batch = [insert(i, i, "ann", "1") for i in range(1, 100)]
    batch += [insert(100, 100, "bob", "1"), modify(100, 101, "bob", "2"), insert(102, 102, "cid", "1")]

    assert function.invoke(batch) == failed(100)

    assert sum(function.pauses) <= 10
    assert ledger.totals == {"ann": (Decimal(99), 99)}


def test_the_first_of_several_changes_folded_together_is_reported(function: Function, ledger: InMemoryLedger) -> None:
    ledger.before = failing(RetryableError("throttled"), lambda _: True)
    batch = [remove(5, 1), insert(1, 2, "ann", "1"), modify(1, 3, "ann", "2")]

    assert function.invoke(batch[1:]) == failed(2)
    assert function.invoke(batch[::-1]) == failed(3)


def test_nothing_is_begun_without_time(ledger: InMemoryLedger, parking: InMemoryParking) -> None:
    function = Function(ledger, parking, seconds=0)

    assert function.invoke([insert(1, 1, "ann", "1"), stream_record("?", 2, 2)]) == failed(1)

    assert (ledger.requests, parking.documents) == (0, {})


def test_a_missing_grant_fails_the_batch_at_once_and_parks_nothing(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    ledger.before = failing(RefusedError("AccessDeniedException: no"), lambda _: True)
    batch = [insert(i, i, "ann", "1") for i in range(1, 300)] + [modify(300, 300, "bob", "1")]

    assert function.invoke(batch) == failed(1)

    assert function.pauses == []
    assert parking.documents == {}
    assert "AccessDeniedException" in function.log.getvalue()


def test_every_reason_for_what_is_not_done_is_logged(function: Function, ledger: InMemoryLedger) -> None:
    def refuse(transaction: Transaction) -> None:
        raise RefusedError(f"no {transaction.adds[0].username}")

    ledger.before = refuse

    function.invoke([insert(number, number, "ann" if number % 2 else "bob", "1") for number in range(1, 199)])

    error = json.loads(function.log.getvalue().splitlines()[0])
    assert (error["level"], error["reasons"]) == ("ERROR", ["no ann", "no bob"])


def test_no_transaction_of_a_user_begins_after_one_that_was_given_up(
    function: Function, ledger: InMemoryLedger
) -> None:
    ledger.before = failing(RefusedError("AccessDeniedException: no"), lambda _: True)

    response = function.invoke([insert(record_id, record_id, "ann", "1") for record_id in range(1, 251)])

    assert response == failed(1)
    assert json.loads(function.log.getvalue().splitlines()[-1])["Transactions"] == 1


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
    assert set(reasons) == (set() if counted else {TOO_OLD})
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


def test_a_read_that_is_throttled_is_waited_out(function: Function, ledger: InMemoryLedger) -> None:
    left = iter([RetryableError("ProvisionedThroughputExceededException")])

    def throttle() -> None:
        for error in left:
            raise error

    ledger.before_read = throttle

    assert function.invoke([modify(1, 2, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(1), 1)}
    assert len(function.pauses) == 1


@pytest.mark.parametrize(("changes", "reads"), [(100, 1), (101, 2)])
def test_a_hundred_entries_take_one_read(changes: int, reads: int, function: Function, ledger: InMemoryLedger) -> None:
    made: list[None] = []
    ledger.before_read = lambda: made.append(None)

    assert function.invoke([modify(number, number, "ann", "1") for number in range(1, changes + 1)]) == DONE

    assert len(made) == reads


def test_a_record_nested_too_deeply_to_park_is_reported(function: Function, ledger: InMemoryLedger) -> None:
    deep: Any = insert(2, 2, "ann", "1") | {"eventName": nested(100_000)}

    assert function.invoke([insert(1, 1, "ann", "1"), deep]) == failed(2)

    assert ledger.totals == {"ann": (Decimal(1), 1)}


def test_a_record_is_parked_under_the_day_of_its_change(function: Function, parking: InMemoryParking) -> None:
    record = stream_record("?", 1, 1, ApproximateCreationDateTime=NOW - 3 * DAYS)

    assert function.invoke([record]) == DONE

    assert parking.documents.keys() == {"parked/AggregateScoresByUser/2026-11-20/event-1.json"}


def test_the_latency_of_a_batch_is_that_of_its_oldest_change(function: Function) -> None:
    records = [insert(number, number, "ann", "1") for number in (1, 2, 3)]
    for record, age in zip(records, (10, 60, 0), strict=True):
        record["dynamodb"]["ApproximateCreationDateTime"] = NOW + 2.5 - age

    function.invoke(records)

    assert json.loads(function.log.getvalue().splitlines()[-1])["Latency"] == 60_000


def test_a_ledger_that_cannot_be_read_is_reported_and_nothing_is_begun(
    function: Function, ledger: InMemoryLedger
) -> None:
    def refuse() -> None:
        raise RefusedError("AccessDeniedException: no")

    ledger.before_read = refuse

    assert function.invoke([insert(1, 1, "ann", "1"), modify(2, 2, "ann", "1")]) == failed(1)

    assert ledger.totals == {}
    assert "AccessDeniedException" in function.log.getvalue()


def test_a_delete_that_would_overflow_is_parked(
    function: Function, ledger: InMemoryLedger, parking: InMemoryParking
) -> None:
    function.invoke([insert(1, 1, "ann", "-" + LARGEST), insert(2, 2, "ann", LARGEST)])
    function.invoke([insert(3, 3, "ann", LARGEST)])

    assert function.invoke([remove(1, 4)]) == DONE

    assert parking.documents.keys() == {parked_at(4)}


def test_the_summary_of_a_batch_is_one_line_that_is_its_metrics_too(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "1")])
    function.log.truncate(0)
    function.log.seek(0)
    unreadable: DynamoDBRecord = stream_record("?", 9, 9)
    batch = [insert(1, 1, "ann", "1"), insert(2, 2, "ann", "1"), modify(2, 3, "ann", "2"), unreadable]

    function.invoke(batch)

    warning, summary = map(json.loads, function.log.getvalue().splitlines())
    assert warning["level"] == "WARN"
    assert warning["reasons"] == {"eventName is unknown": 1}
    directive = summary.pop("_aws")
    assert summary == {
        "timestamp": "1970-01-01T00:00:00.000Z",
        "level": "INFO",
        "message": "Successfully processed 4 records.",
        "requestId": "request",
        "FunctionName": "AggregateScoresByUser",
        "Records": 4,
        "Applied": 2,
        "Duplicates": 1,
        "Folded": 1,
        "Parked": 1,
        "Failed": 0,
        "Transactions": 2,
        "Latency": 2500,
    }
    assert directive["Timestamp"] == 1_795_392_002_500
    (metrics,) = directive["CloudWatchMetrics"]
    assert (metrics["Namespace"], metrics["Dimensions"]) == ("GameScores", [["FunctionName"]])
    counts = {"Records", "Applied", "Duplicates", "Folded", "Parked", "Failed", "Transactions"}
    units = {metric["Name"]: metric["Unit"] for metric in metrics["Metrics"]}
    assert units == {**dict.fromkeys(counts, "Count"), "Latency": "Milliseconds"}


@pytest.mark.parametrize("at", [None, "now", float("nan"), -1.0, 1e12, 1e300])
def test_a_batch_of_unknown_age_has_no_latency(at: Any, function: Function) -> None:
    record = stream_record("REMOVE", 1, 1, ApproximateCreationDateTime=at)

    assert function.invoke([record]) == DONE

    assert "Latency" not in function.log.getvalue()
