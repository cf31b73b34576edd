"""What the benchmarks' endpoint counts."""

from typing import Any

import pytest

from bench.endpoint import endpoint, write_units
from bench.events import table_event
from bench.peers import lab, ours
from bench.writing import client_of, counted, function

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
