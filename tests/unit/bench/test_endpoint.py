"""What the benchmarks' endpoint counts."""

from typing import Any

import pytest

from bench import updating
from bench.endpoint import Entries, endpoint, read_units, write_units
from bench.events import FIRST_RECORD, table_event
from bench.measuring import calls
from bench.peers import lab, ours, transaction_first
from bench.writing import client_of, counted, function
from handlers.shared.lambda_types import DynamoDBEvent
from tests.fakes.stream import LABEL

PUT: Any = {"TableName": "t", "Item": {"Id": {"N": "1"}, "Text": {"S": "x" * 1100}}}
INSERT: Any = {
    "Statement": "INSERT INTO \"t\" VALUE {'Id': ?, 'Text': ?}",
    "Parameters": [{"N": "1"}, {"S": "x" * 1100}],
}
UPDATE: Any = {"TableName": "t", "Key": {"Id": {"N": "1"}}, "ExpressionAttributeValues": {":score": {"N": "5"}}}


@pytest.mark.parametrize(
    ("operation", "request_", "units"),
    [
        ("putitem", PUT, 2),
        ("updateitem", UPDATE, 1),
        ("batchwriteitem", {"RequestItems": {"t": [{"PutRequest": PUT}, {"DeleteRequest": UPDATE}]}}, 3),
        ("transactwriteitems", {"TransactItems": [{"Put": PUT}, {"Update": UPDATE}]}, 6),
        ("batchexecutestatement", {"Statements": [INSERT, INSERT]}, 4),
        ("getitem", {}, 0),
    ],
)
def test_a_write_takes_a_unit_for_each_kilobyte_of_its_item_and_two_in_a_transaction(
    operation: str, request_: Any, units: int
) -> None:
    assert write_units(operation, request_) == units


def test_it_counts_what_a_function_asks_for() -> None:
    event = table_event(150, users=2)

    with endpoint() as server, client_of(server):
        one_each = counted(server, function(lab.PEER), event)
        folded = counted(server, function(ours.PEER), event)

    assert (one_each.requests, one_each.write_units) == ({"updateitem": 150}, 150)
    assert (folded.requests, folded.write_units) == ({"transactwriteitems": 2}, 2 * (150 + 3))


ENTRIES = Entries(below=10, users=3, version="v")


def test_a_read_takes_a_unit_for_each_key_and_half_where_an_older_state_will_do() -> None:
    keys = [{"RecordID": {"N": "1"}}, {"RecordID": {"N": "2"}}]

    assert read_units("batchgetitem", {"RequestItems": {"t": {"Keys": keys, "ConsistentRead": True}}}) == 2
    assert read_units("batchgetitem", {"RequestItems": {"t": {"Keys": keys}}}) == 1
    assert read_units("getitem", {"ConsistentRead": True}) == 1
    assert read_units("transactwriteitems", {}) == 0


def test_it_counts_an_update_and_a_batch_delivered_again_as_dynamodb_would() -> None:
    inserts = table_event(150, users=2)
    updates: DynamoDBEvent = {"Records": updating.updates(150, users=2)}
    earlier, later = (Entries(2 * FIRST_RECORD, 2, f"{LABEL}#{number:0>40}") for number in ("1", "9" * 40))

    with endpoint() as server, client_of(server):
        read_first = counted(server, function(ours.PEER), updates, earlier)
        written_first = counted(server, function(transaction_first.PEER), updates, earlier)
        again = counted(server, function(ours.PEER), inserts, later)
        counted(server, function(ours.PEER), inserts)
        forgotten = counted(server, function(ours.PEER), inserts)

    assert (read_first.write_units, read_first.read_units) == (2 * (150 + 3), 150)
    assert (written_first.write_units, written_first.read_units) == (2 * 2 * (150 + 3), 0)
    assert 0 < again.write_units <= 2 * (150 + 3)
    assert forgotten.write_units == 2 * (150 + 3)


@pytest.mark.parametrize(
    ("record_id", "values", "is_met"),
    [
        ("11", {}, True),
        ("1", {}, False),
        ("1", {":replaced": {"S": "v"}}, True),
        ("1", {":replaced": {"S": "w"}}, False),
        ("11", {":replaced": {"S": "v"}}, False),
    ],
)
def test_a_condition_holds_against_the_entries_that_the_ledger_is_said_to_hold(
    record_id: str, values: Any, is_met: bool
) -> None:
    put = {"Item": {"RecordID": {"N": record_id}}, **({"ExpressionAttributeValues": values} if values else {})}

    status, body = ENTRIES.answer("transactwriteitems", {"TransactItems": [{"Put": put}, {"Update": UPDATE}]})

    assert status == (200 if is_met else 400)
    assert is_met or body["CancellationReasons"][1] == {"Code": "None"}


def test_a_read_returns_the_entries_of_the_users_who_have_the_records_by_turns() -> None:
    keys = [{"RecordID": {"N": "4"}}, {"RecordID": {"N": "10"}}]

    _, body = ENTRIES.answer("batchgetitem", {"RequestItems": {"t": {"Keys": keys}}})

    assert [item["Username"] for item in body["Responses"]["t"]] == [{"S": "player-000001"}]


def test_calls_are_counted_in_python_and_in_c() -> None:
    def work() -> None:
        len("")
        len("")

    assert calls(work) - calls(lambda: None) == 2
