"""What the function counts of a batch, what that costs, and what it says of it; its stores in memory."""

import json
from decimal import Decimal
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.ledger import Entry, Transaction
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import LABEL, NOW, insert, modify, remove, stream_record
from tests.unit.aggregate_scores_by_user.conftest import DONE


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


def test_names_that_differ_in_case_are_two_users(function: Function, ledger: InMemoryLedger) -> None:
    function.invoke([insert(1, 1, "ann", "42")])
    function.invoke([modify(1, 2, "Ann", "43")])

    assert ledger.counted() == {"Ann": (Decimal(43), 1)}


@pytest.mark.parametrize(("changes", "reads"), [(100, 1), (101, 2)])
def test_a_hundred_entries_take_one_read(changes: int, reads: int, function: Function, ledger: InMemoryLedger) -> None:
    made: list[None] = []
    ledger.before_read = lambda: made.append(None)

    assert function.invoke([modify(number, number, "ann", "1") for number in range(1, changes + 1)]) == DONE

    assert len(made) == reads


def test_the_latency_of_a_batch_is_that_of_its_oldest_change(function: Function) -> None:
    records = [insert(number, number, "ann", "1") for number in (1, 2, 3)]
    for record, age in zip(records, (10, 60, 0), strict=True):
        record["dynamodb"]["ApproximateCreationDateTime"] = NOW + 2.5 - age

    function.invoke(records)

    assert json.loads(function.log.getvalue().splitlines()[-1])["Latency"] == 60_000


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
