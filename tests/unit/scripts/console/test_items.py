"""Items of tables, and what becomes of a change that somebody else was faster with."""

import base64
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from scripts.console import items
from scripts.deployment import Deployed
from tests.unit.scripts.console.conftest import ConsoleClient

Serve = Callable[..., ConsoleClient]
TABLE = "GameScoreRecords"


class HundredThousand:
    """A table of 100,000 items that counts what is read, and refuses to be read whole."""

    def __init__(self) -> None:
        self.read = 0

    def scan(self, **request: Any) -> dict[str, Any]:
        after = request.get("ExclusiveStartKey", {"RecordID": {"N": "-1"}})
        first = int(after["RecordID"]["N"]) + 1
        numbers = range(first, min(first + request["Limit"], 100_000))
        self.read += len(numbers)
        found: dict[str, Any] = {"Items": [{"RecordID": {"N": str(number)}} for number in numbers]}
        return found | ({"LastEvaluatedKey": found["Items"][-1]} if numbers and numbers[-1] < 99_999 else {})


def found(page: ConsoleClient, key: str = "7") -> Any:
    """The item as the page gets it; None for none."""
    answer = page.ask("GET", f"/api/tables/{TABLE}/item?key={key}")
    assert answer.json is not None
    return answer.json["item"]


def texts(item: Any) -> dict[str, str]:
    return {name: value["text"] for name, value in item.items()}


def read(item: Any) -> dict[str, Any]:
    """What the page sends of what it has read."""
    return {name: item.get(name) for name in ("Username", "Score")}


def put(page: ConsoleClient, **attributes: Any) -> None:
    boto3.resource("dynamodb").Table(TABLE).put_item(Item={"RecordID": 7, **attributes})


def test_a_page_of_items_reads_no_more_than_it_shows_of_a_hundred_thousand() -> None:
    table: Any = HundredThousand()

    first = items.page(table, "t", 25, "")
    second = items.page(table, "t", 25, first["next"])
    last = items.page(table, "t", 25, base64.urlsafe_b64encode(b'{"RecordID": {"N": "99979"}}').decode())

    assert table.read == 25 + 25 + 20
    assert [item["RecordID"]["text"] for item in second["items"]] == [str(number) for number in range(25, 50)]
    assert last["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "after=%7B", "after=bnVsbA=="])
def test_a_page_that_cannot_be_is_refused(serve: Serve, deployment: Deployed, query: str) -> None:
    answer = serve(deployment).ask("GET", f"/api/tables/{TABLE}/items?{query}")

    assert (answer.status_code, answer.json and answer.json["kind"]) == (400, "invalid")


def test_a_record_is_added_found_and_deleted_exactly(serve: Serve, system: Deployed) -> None:
    page = serve(system)
    exact = "0.10000000000000000000000000000000000001"
    assert found(page) is None

    added = page.ask("POST", "/api/records", json={"RecordID": "7", "Username": "ann", "Score": exact})
    item = found(page)
    deleted = page.ask("DELETE", "/api/records/7", json={"read": read(item)})

    assert (added.status_code, texts(item)) == (201, {"RecordID": "7", "Username": "ann", "Score": exact})
    assert (deleted.status_code, found(page)) == (200, None)


def test_an_edit_of_the_score_leaves_the_user_and_every_other_attribute_alone(serve: Serve, system: Deployed) -> None:
    page = serve(system)
    put(page, Username="ann\n  of two lines ", Score=5, Nickname="A")

    answer = page.ask("PUT", "/api/records/7", json={"set": {"Score": "6"}, "read": read(found(page))})

    assert answer.status_code == 200
    assert texts(found(page)) == {
        "RecordID": "7",
        "Username": "ann\n  of two lines ",
        "Score": "6",
        "Nickname": "A",
    }


@pytest.mark.parametrize(
    "username",
    [
        b"\xff",
        {b"\xff", b"a"},
        {"a", "b"},
        {1, 2},
        [b"\xff", {"nested": b"\xff", "set": {b"\xff"}, "number": 1}, None, True, "text"],
        {"list": [b"\xff"], "empty": {}},
        "x" * 300_000,
        "",
        None,
        True,
    ],
)
def test_a_record_whose_username_is_of_any_type_is_edited_and_deleted_as_it_was_read(
    serve: Serve, system: Deployed, username: Any
) -> None:
    page = serve(system)
    put(page, Username=username, Score=5)

    edited = page.ask("PUT", "/api/records/7", json={"set": {"Score": "6"}, "read": read(found(page))})
    item = boto3.resource("dynamodb").Table(TABLE).get_item(Key={"RecordID": 7})["Item"]
    deleted = page.ask("DELETE", "/api/records/7", json={"read": read(found(page))})

    assert (edited.status_code, item) == (200, {"RecordID": 7, "Username": username, "Score": 6})
    assert (deleted.status_code, found(page)) == (200, None)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("B", '"no base64"'),
        ("B", '"é"'),
        ("B", "1"),
        ("BS", '"YQ=="'),
        ("BS", "[1]"),
        ("SS", "[1]"),
        ("S2", '"a"'),
        ("L", "[1]"),
        ("L", '[{"S": "a", "B": "YQ=="}]'),
        ("L", '[{"L": ' * 200 + "[]" + "}]" * 200),
        ("M", "[]"),
        ("M", '{"a": {"B": "?"}}'),
    ],
)
def test_what_no_record_can_have_been_read_as_is_refused(serve: Serve, system: Deployed, kind: str, text: str) -> None:
    page = serve(system)
    put(page, Username="ann")

    answer = page.ask("DELETE", "/api/records/7", json={"read": {"Username": {"type": kind, "text": text}}})

    assert (answer.status_code, answer.json and answer.json["kind"]) == (400, "invalid")


@pytest.mark.parametrize(("method", "body"), [("PUT", {"set": {"Username": "bob"}}), ("DELETE", {})])
def test_a_change_of_what_another_tab_has_changed_is_a_conflict_that_shows_what_is_there_now(
    serve: Serve, system: Deployed, method: str, body: dict[str, Any]
) -> None:
    page = serve(system)
    put(page, Username="ann", Score=5)
    seen = read(found(page))
    put(page, Username="ann", Score=99)

    answer = page.ask(method, "/api/records/7", json={**body, "read": seen})

    assert answer.json is not None
    assert (answer.status_code, answer.json["kind"]) == (409, "conflict")
    assert texts(answer.json["item"])["Score"] == "99"
    assert texts(found(page)) == {"RecordID": "7", "Username": "ann", "Score": "99"}


def test_an_attribute_that_was_missing_and_is_there_now_is_a_conflict(serve: Serve, system: Deployed) -> None:
    page = serve(system)
    put(page, Score=5)
    seen = read(found(page))
    put(page, Score=5, Username="somebody else's")

    answer = page.ask("PUT", "/api/records/7", json={"set": {"Username": "ann"}, "read": seen})

    assert answer.status_code == 409
    assert texts(found(page))["Username"] == "somebody else's"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/records", {"RecordID": "1", "Username": "eve", "Score": "1"}),
        ("PUT", "/api/records/2", {"set": {"Score": "1"}, "read": {}}),
        ("DELETE", "/api/records/2", {"read": {}}),
    ],
)
def test_a_change_of_what_is_there_or_gone_against_expectation_is_refused(
    serve: Serve, system: Deployed, method: str, path: str, body: dict[str, Any]
) -> None:
    table = boto3.resource("dynamodb").Table(TABLE)
    table.put_item(Item={"RecordID": 1, "Username": "ann", "Score": 5})

    answer = serve(system).ask(method, path, json=body)

    assert (answer.status_code, answer.json and answer.json["kind"]) == (409, "conflict")
    assert table.scan()["Items"] == [{"RecordID": 1, "Username": "ann", "Score": 5}]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"RecordID": "one", "Username": "ann", "Score": "1"}, "RecordID is not a number"),
        ({"RecordID": "1", "Username": "ann", "Score": "NaN"}, "Score is not a number"),
        ({"RecordID": "1", "Username": "ann", "Score": "1e999"}, "Score does not fit"),
        ({"RecordID": "1", "Username": "", "Score": "1"}, "Username is empty"),
        ({"RecordID": "1", "Username": "\ud800", "Score": "1"}, "Username is not text"),
        ({"RecordID": "1", "Score": "1"}, "Username is empty"),
        ([], "JSON object"),
    ],
)
def test_what_is_no_score_record_is_not_written(serve: Serve, deployment: Deployed, record: Any, says: str) -> None:
    answer = serve(deployment).ask("POST", "/api/records", json=record)

    assert answer.status_code == 400
    assert answer.json is not None
    assert says in answer.json["message"]


def test_a_table_of_any_key_is_looked_up(serve: Serve, system: Deployed) -> None:
    boto3.client("dynamodb").create_table(
        TableName="third",
        KeySchema=[{"AttributeName": "Team", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Team", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    boto3.resource("dynamodb").Table("third").put_item(Item={"Team": "red", "Score": 3})
    tables = {**system.outputs["tables"], "TeamTotals": {"name": "third", "hash_key": {"name": "Team", "type": "S"}}}
    page = serve(Deployed(system.stage, system.account, {**system.outputs, "tables": tables}))

    answer = page.ask("GET", "/api/tables/TeamTotals/item?key=red").json

    assert answer is not None
    assert texts(answer["item"]) == {"Team": "red", "Score": "3"}
