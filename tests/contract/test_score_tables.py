"""What ScoreTables do, in memory or in DynamoDB."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import uuid4

import boto3
import pytest

from handlers.aggregate_scores_by_user.ledger import Entry
from scripts.score_tables import DynamoDBScoreTables, Item, ScoreTables, Table, Throttle
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.score_tables import InMemoryScoreTables
from tests.fakes.stream import SourceTable, score_image

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.literals import ScalarAttributeTypeType

RECORDS = {str(number): score_image(number, "ann", "1.5") for number in range(1, 8)}
ENTRY = Entry("label#1", "ann", Decimal("1.5"))
ENTRY_ITEM: Item = {**RECORDS["1"], "Version": {"S": "label#1"}}
TOTAL: Item = {"Username": {"S": "ann"}, "Score": {"N": "10.5"}, "RecordCount": {"N": "7"}}


@dataclass(frozen=True)
class Tables:
    """Tables that hold the above, and a way to see a total."""

    tables: ScoreTables
    total: Callable[[str], tuple[str, str] | None]


@pytest.fixture
def stored(place: str) -> Iterator[Tables]:
    """Each of them."""
    if place == "memory":
        source, ledger = SourceTable(1), InMemoryLedger()
        source.items |= {int(record_id): image for record_id, image in RECORDS.items()}
        ledger.entries["1"] = ENTRY
        ledger.totals["ann"] = Decimal("10.5"), 7

        def total(username: str) -> tuple[str, str] | None:
            found = ledger.totals.get(username)
            return found and (str(found[0]), str(found[1]))

        yield Tables(InMemoryScoreTables(source, ledger), total)
    else:
        with ExitStack() as stack:
            yield _dynamodb(stack)


def _dynamodb(stack: ExitStack) -> Tables:
    client = boto3.client("dynamodb")
    names = {table: f"contract-{table}-{uuid4()}" for table in Table}
    for table, name in names.items():
        key: str = "Username" if table is Table.TOTALS else "RecordID"
        type_: ScalarAttributeTypeType = "S" if table is Table.TOTALS else "N"
        client.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_}],
            BillingMode="PAY_PER_REQUEST",
        )
        stack.callback(client.delete_table, TableName=name)
    for image in RECORDS.values():
        client.put_item(TableName=names[Table.RECORDS], Item={**image, "Nickname": {"S": "any"}})
    client.put_item(TableName=names[Table.LEDGER], Item=ENTRY_ITEM)
    client.put_item(TableName=names[Table.TOTALS], Item=TOTAL)

    def total(username: str) -> tuple[str, str] | None:
        item = client.get_item(TableName=names[Table.TOTALS], Key={"Username": {"S": username}}).get("Item")
        return (item["Score"]["N"], item["RecordCount"]["N"]) if item else None

    throttle = Throttle(1e6, clock=lambda: 0, sleep=lambda _: None)
    return Tables(DynamoDBScoreTables(client, names, 1, throttle, lambda _: None), total)


@pytest.mark.parametrize(("table", "items"), [(Table.RECORDS, 7), (Table.LEDGER, 1), (Table.TOTALS, 1)])
def test_a_scan_gives_every_item_once(stored: Tables, table: Table, items: int) -> None:
    found: list[Item] = []
    start: Item | None = None
    while True:
        page = stored.tables.scan(table, 0, start)
        found += page.items
        start = page.next
        if start is None:
            break

    expected = {Table.RECORDS: list(RECORDS.values()), Table.LEDGER: [ENTRY_ITEM], Table.TOTALS: [TOTAL]}[table]
    assert len(found) == items
    assert sorted(map(str, map(sorted, (item.items() for item in found)))) == sorted(
        map(str, map(sorted, (item.items() for item in expected)))
    )


def test_records_are_read_with_their_entries(stored: Tables) -> None:
    assert stored.tables.read(["1", "2", "99"]) == {
        "1": (RECORDS["1"], ENTRY_ITEM),
        "2": (RECORDS["2"], None),
        "99": (None, None),
    }


def test_a_total_is_corrected_when_it_is_still_what_it_was(stored: Tables) -> None:
    assert stored.tables.correct("ann", TOTAL, "12", 8)
    assert stored.total("ann") == ("12", "8")

    assert not stored.tables.correct("ann", TOTAL, "13", 9)
    assert stored.total("ann") == ("12", "8")


def test_a_total_that_is_missing_is_made(stored: Tables) -> None:
    assert stored.tables.correct("bob", {}, "3", 1)
    assert stored.total("bob") == ("3", "1")

    assert not stored.tables.correct("bob", {}, "4", 2)
    assert stored.total("bob") == ("3", "1")
