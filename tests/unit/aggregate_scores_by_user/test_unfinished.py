"""What the function does not get done: it waits, gives up, and reports the first record of it."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random

import pytest

from handlers.aggregate_scores_by_user import change
from handlers.aggregate_scores_by_user.counting import count
from handlers.aggregate_scores_by_user.ledger import Entry, Transaction, UncountableError, plan
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience
from tests.fakes.invocation import Function, InMemoryParking, ShuffledWorkers
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import TABLE_ARN, insert, modify, remove, stream_record
from tests.unit.aggregate_scores_by_user.conftest import DONE, failed, failing, of


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


def test_inserts_that_cannot_be_read_after_all_are_reported(function: Function, ledger: InMemoryLedger) -> None:
    batch = [insert(i, i, "ann", "1") for i in range(1, 200)]
    function.invoke(batch)

    def refuse() -> None:
        raise RefusedError("AccessDeniedException")

    ledger.before_read = refuse
    response = function.invoke(batch)

    assert response["batchItemFailures"]
    assert ledger.totals == {"ann": (Decimal(199), 199)}


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


def test_a_read_that_is_throttled_is_waited_out(function: Function, ledger: InMemoryLedger) -> None:
    left = iter([RetryableError("ProvisionedThroughputExceededException")])

    def throttle() -> None:
        for error in left:
            raise error

    ledger.before_read = throttle

    assert function.invoke([modify(1, 2, "ann", "1")]) == DONE

    assert ledger.totals == {"ann": (Decimal(1), 1)}
    assert len(function.pauses) == 1


def test_a_ledger_that_cannot_be_read_is_reported_and_nothing_is_begun(
    function: Function, ledger: InMemoryLedger
) -> None:
    def refuse() -> None:
        raise RefusedError("AccessDeniedException: no")

    ledger.before_read = refuse

    assert function.invoke([insert(1, 1, "ann", "1"), modify(2, 2, "ann", "1")]) == failed(1)

    assert ledger.totals == {}
    assert "AccessDeniedException" in function.log.getvalue()


@pytest.mark.parametrize("seed", range(60))
def test_every_change_is_counted_known_or_unfinished_whichever_transaction_is_refused(seed: int) -> None:
    random, ledger = Random(seed), InMemoryLedger()
    usernames = [f"user-{number}" for number in range(random.choice([2, 3, 40]))]
    make = [insert] if seed % 2 else [insert, modify]
    records = [random.choice(make)(number, number, random.choice(usernames), "1") for number in range(1, 501)]
    changes = [change.parse(record, position, TABLE_ARN) for position, record in enumerate(records)]
    workers, patience = ShuffledWorkers(random), Patience(lambda: 1.0, lambda _: None, random.random)
    count(random.sample(changes, random.choice([0, 50])), ledger, workers, patience, 0)  # the last delivery got so far
    ledger.before = failing(RefusedError("AccessDenied"), of(random.choice(usernames)))
    outcome = count(changes, ledger, workers, patience, 0)

    unfinished = {each.position for each in outcome.unfinished}
    assert unfinished >= {each.position for each in changes if each.record_id not in ledger.entries}
    assert len(outcome.unfinished) == len(unfinished) == len(changes) - outcome.applied - outcome.duplicates


def test_an_error_of_a_user_blames_who_moves_a_score_to_or_from_the_user() -> None:
    moved = change.parse(modify(1, 2, "ann", "1"), 0, TABLE_ARN)
    task = plan(moved, Entry("", "bob", Decimal(1)))

    assert [UncountableError("", usernames=[name]).blames(task) for name in ("ann", "bob", "cid")] == [
        True,
        True,
        False,
    ]
