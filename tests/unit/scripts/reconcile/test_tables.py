"""What the contract suite cannot ask of an emulator: how reconcile reads, and the answers of a DynamoDB in trouble."""

from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared.errors import RetryableError
from scripts.reconcile.tables import DynamoDBScoreTables, Table, Throttle, record_id

NAMES = {Table.RECORDS: "records-1", Table.LEDGER: "ledger-1", Table.TOTALS: "totals-1"}
RECORD = {"RecordID": {"N": "1"}, "Username": {"S": "ann"}, "Score": {"N": "2"}}
ENTRY = {**RECORD, "Version": {"S": "label#1"}}


class DynamoDB:
    """A DynamoDB that gives prepared answers, and what it was asked and how long it was left alone."""

    def __init__(self) -> None:
        client = boto3.client("dynamodb")
        self.stubber = Stubber(client)
        self.requests: list[dict[str, Any]] = []
        self.pauses: list[float] = []
        self.units: list[float] = []
        client.meta.events.register("before-parameter-build.dynamodb", self._note)
        throttle = Throttle(1, clock=lambda: 0, sleep=self.units.append)
        self.tables = DynamoDBScoreTables(client, NAMES, 4, throttle, self.pauses.append, lambda: 0)

    def _note(self, params: dict[str, Any], **_: Any) -> None:
        self.requests.append(deepcopy(params))


@pytest.fixture
def dynamodb() -> Iterator[DynamoDB]:
    dynamodb = DynamoDB()
    with dynamodb.stubber:
        yield dynamodb
        dynamodb.stubber.assert_no_pending_responses()


@pytest.mark.parametrize("table", Table)
def test_a_scan_sees_all_that_was_written_before_it_began_and_pays_for_it(table: Table, dynamodb: DynamoDB) -> None:
    key = {"Username" if table is Table.TOTALS else "RecordID": {"S": "9"}}
    dynamodb.stubber.add_response(
        "scan", {"Items": [RECORD], "ConsumedCapacity": {"CapacityUnits": 128.5}, "LastEvaluatedKey": key}
    )
    dynamodb.stubber.add_response(
        "scan", {"Items": [], "ConsumedCapacity": {"CapacityUnits": 1}, "LastEvaluatedKey": key}
    )
    dynamodb.stubber.add_response("scan", {"Items": [], "ConsumedCapacity": {"CapacityUnits": 1}})

    first = dynamodb.tables.scan(table, 3, None)
    empty = dynamodb.tables.scan(table, 3, first.next)
    assert (empty.items, empty.next) == ([], key), "DynamoDB may end a page before the first item"
    second = dynamodb.tables.scan(table, 3, empty.next)

    assert (first.items, first.next) == ([RECORD], key)
    assert (second.items, second.next) == ([], None)
    for request in dynamodb.requests:
        assert request["ConsistentRead"] is True
        assert (request["TableName"], request["Segment"], request["TotalSegments"]) == (NAMES[table], 3, 4)
    assert "ExclusiveStartKey" not in dynamodb.requests[0]
    assert dynamodb.requests[1]["ExclusiveStartKey"] == key
    assert dynamodb.units == [128.5, 129.5, 130.5]


def test_records_and_entries_are_read_as_they_are_now(dynamodb: DynamoDB) -> None:
    dynamodb.stubber.add_response(
        "batch_get_item",
        {"Responses": {"records-1": [RECORD], "ledger-1": [ENTRY]}, "UnprocessedKeys": {}},
    )

    assert dynamodb.tables.read(["1", "2"]) == {"1": (RECORD, ENTRY), "2": (None, None)}

    asked = dynamodb.requests[0]["RequestItems"]
    assert asked.keys() == {"records-1", "ledger-1"}
    for each in asked.values():
        assert each["ConsistentRead"] is True
        assert each["Keys"] == [{"RecordID": {"N": "1"}}, {"RecordID": {"N": "2"}}]
    assert dynamodb.pauses == []
    assert dynamodb.units == [4]


def test_what_dynamodb_leaves_unprocessed_is_asked_for_until_it_is_read(dynamodb: DynamoDB) -> None:
    left: Any = {"ledger-1": {"Keys": [{"RecordID": {"N": "1"}}], "ConsistentRead": True}}
    other = {**ENTRY, "RecordID": {"N": "2"}}
    dynamodb.stubber.add_response(
        "batch_get_item", {"Responses": {"records-1": [RECORD], "ledger-1": [other]}, "UnprocessedKeys": left}
    )
    dynamodb.stubber.add_response("batch_get_item", {"Responses": {}, "UnprocessedKeys": left})
    dynamodb.stubber.add_response("batch_get_item", {"Responses": {"ledger-1": [ENTRY]}, "UnprocessedKeys": {}})

    assert dynamodb.tables.read(["1", "2"]) == {"1": (RECORD, ENTRY), "2": (None, other)}

    assert [request["RequestItems"] for request in dynamodb.requests[1:]] == [left, left]
    assert dynamodb.pauses == [0.5, 0.5]
    assert dynamodb.units == [4, 5, 6]


@pytest.mark.parametrize("answer", [{}, {"Item": {"Username": {"S": "ann"}, "Correction": {"S": "another"}}}])
def test_a_total_that_has_changed_meanwhile_is_left_alone(answer: Any, dynamodb: DynamoDB) -> None:
    dynamodb.stubber.add_client_error("update_item", "ConditionalCheckFailedException", http_status_code=400)
    dynamodb.stubber.add_response("get_item", answer)

    assert not dynamodb.tables.correct("ann", {"Score": {"N": "1"}}, "2", 3, "mine")

    condition = dynamodb.requests[0]["ConditionExpression"]
    assert set(condition.split(" AND ")) >= {"Score = :Score", "attribute_not_exists(RecordCount)"}
    assert dynamodb.requests[1]["ConsistentRead"] is True


def test_a_correction_takes_one_request(dynamodb: DynamoDB) -> None:
    dynamodb.stubber.add_response("update_item", {})

    assert dynamodb.tables.correct("ann", {"Score": {"N": "1"}}, "2", 3, "mine")

    assert len(dynamodb.requests) == 1


def test_a_correction_that_is_refused_is_no_correction(dynamodb: DynamoDB) -> None:
    dynamodb.stubber.add_client_error("update_item", "AccessDeniedException", http_status_code=400)

    with pytest.raises(ClientError, match="AccessDenied"):
        dynamodb.tables.correct("ann", {}, "2", 3, "mine")


@pytest.mark.parametrize("code", ["TransactionConflictException", "ThrottlingException"])
def test_a_write_that_another_is_in_the_way_of_may_be_repeated(code: str, dynamodb: DynamoDB) -> None:
    for operation in "update_item", "put_item":
        dynamodb.stubber.add_client_error(operation, code, http_status_code=400)

    with pytest.raises(RetryableError, match=code):
        dynamodb.tables.correct("ann", {}, "2", 3, "mine")
    with pytest.raises(RetryableError, match=code):
        dynamodb.tables.mend("1", {}, Entry("v", None, Decimal(0)))


def test_whether_a_correction_was_done_may_be_asked_again(dynamodb: DynamoDB) -> None:
    dynamodb.stubber.add_client_error("update_item", "ConditionalCheckFailedException", http_status_code=400)
    dynamodb.stubber.add_client_error("get_item", "ThrottlingException", http_status_code=400)

    with pytest.raises(RetryableError, match="ThrottlingException"):
        dynamodb.tables.correct("ann", {}, "2", 3, "mine")


def test_tables_go_by_their_names_in_the_lab() -> None:
    assert sorted(Table) == ["GameScoreLedger", "GameScoreRecords", "GameScoresByUser"]


def test_a_key_has_one_spelling() -> None:
    assert record_id({"RecordID": {"N": "1E+1"}}) == "10"


def test_what_is_read_is_paid_for_at_a_steady_rate_however_late_one_asks() -> None:
    now, pauses = [100.0], list[float]()
    throttle = Throttle(10, clock=lambda: now[0], sleep=pauses.append)

    throttle.spend(5)
    now[0] = 100.25
    throttle.spend(5)
    now[0] = 200
    throttle.spend(5)

    assert pauses == [0.5, 0.75, 0.5]
