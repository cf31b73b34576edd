"""What ScoreTables do, in memory or in DynamoDB."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry
from scripts.reconcile.judgement import Pair, read_entry
from scripts.reconcile.snapshot import Snapshot, Suspect
from scripts.reconcile.tables import READ_ITEMS, DynamoDBScoreTables, Item, ScoreTables, Table, Throttle
from tests.fakes.score_tables import InMemoryScoreTables, OpenLedger
from tests.fakes.stream import NOW, SourceTable, score_image

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.literals import ScalarAttributeTypeType

RECORDS = {str(number): score_image(number, "ann", "1.5") for number in range(1, 8)}
ENTRY = Entry("label#1", "ann", Decimal("1.5"))
ENTRY_ITEM: Item = {**RECORDS["1"], "Version": {"S": "label#1"}}
TOTAL: Item = {"Username": {"S": "ann"}, "Score": {"N": "10.5"}, "RecordCount": {"N": "7"}}


@dataclass(frozen=True)
class Tables:
    """Tables that hold the above, and ways to see a total, and to write any item."""

    tables: ScoreTables
    total: Callable[[str], tuple[str, str] | None]
    write: Callable[[Table, Item], None]


@pytest.fixture
def stored(place: str) -> Iterator[Tables]:
    """Each of them."""
    if place == "memory":
        source, ledger = SourceTable(1), OpenLedger()
        source.items |= {int(record_id): image for record_id, image in RECORDS.items()}
        ledger.entries["1"] = ENTRY
        ledger.totals["ann"] = Decimal("10.5"), 7

        tables = InMemoryScoreTables(source, ledger)

        def total(username: str) -> tuple[str, str] | None:
            found = tables.items(Table.TOTALS).get(username)
            return (found["Score"]["N"], found["RecordCount"]["N"]) if found else None

        def write(table: Table, item: Item) -> None:
            if table is Table.LEDGER:
                ledger.foreign_entries[item["RecordID"]["N"]] = item
            else:
                ledger.foreign_totals[item["Username"]["S"]] = item

        yield Tables(tables, total, write)
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

    def write(table: Table, item: Item) -> None:
        client.put_item(TableName=names[table], Item=item)

    throttle = Throttle(1e6, clock=lambda: 0, sleep=lambda _: None)
    tables = DynamoDBScoreTables(client, names, 1, throttle, lambda _: None, lambda: 1)
    return Tables(tables, total, write)


@pytest.mark.parametrize(("table", "items"), [(Table.RECORDS, 7), (Table.LEDGER, 1), (Table.TOTALS, 1)])
def test_a_scan_gives_every_item_once(stored: Tables, table: Table, items: int) -> None:
    found = _scanned(stored, table)

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
    assert stored.tables.correct("ann", TOTAL, "12", 8, "first")
    assert stored.total("ann") == ("12", "8")

    assert not stored.tables.correct("ann", TOTAL, "13", 9, "second")
    assert stored.total("ann") == ("12", "8")


def test_a_total_that_is_missing_is_made(stored: Tables) -> None:
    assert stored.tables.correct("bob", {}, "3", 1, "first")
    assert stored.total("bob") == ("3", "1")

    assert not stored.tables.correct("bob", {}, "4", 2, "second")
    assert stored.total("bob") == ("3", "1")


def test_a_correction_that_is_repeated_is_done_once_and_recognised(stored: Tables) -> None:
    assert stored.tables.correct("ann", TOTAL, "12", 8, "first")
    (found,) = stored.tables.scan(Table.TOTALS, 0, None).items
    # Others count what takes the total back to what it was before.
    stored.write(Table.TOTALS, found | TOTAL)

    assert stored.tables.correct("ann", TOTAL, "12", 8, "first"), "it was done, though its answer may be lost"
    assert stored.total("ann") == ("10.5", "7"), "and is not done again"
    assert not stored.tables.correct("ann", TOTAL, "12", 8, "second")


ODD_VALUES: list[Any] = [
    {"S": ""},
    {"S": "text"},
    {"N": "1.50"},
    {"B": b"\x00\xff"},
    {"BOOL": True},
    {"NULL": True},
    {"SS": ["a", "b"]},
    {"NS": ["1", "2"]},
    {"BS": [b"a"]},
    {"L": [{"S": "a"}, {"B": b"b"}]},
    {"M": {"base64": {"S": "a"}, "b": {"L": []}}},
    None,
]


@pytest.mark.parametrize("attribute", ["Score", "RecordCount", "Correction"])
def test_a_total_with_any_attribute_is_read_and_corrected(stored: Tables, attribute: str) -> None:
    for number, value in enumerate(ODD_VALUES):
        username = f"user {number}"
        stored.write(Table.TOTALS, _with(TOTAL | {"Username": {"S": username}}, attribute, value))
        (read,) = [item for item in _scanned(stored, Table.TOTALS) if item["Username"]["S"] == username]
        was = _through_a_snapshot(read)

        assert stored.tables.correct(username, was, "12", 8, "first"), value

        assert stored.total(username) == ("12", "8")
        assert not stored.tables.correct(username, was, "13", 9, "second"), value


@pytest.mark.parametrize("attribute", ["Version", "Username", "Score", "ExpiresAt"])
def test_a_ledger_item_with_any_attribute_is_read_and_mended_once(stored: Tables, attribute: str) -> None:
    for number, value in enumerate(ODD_VALUES):
        id_ = str(number)
        stored.write(Table.LEDGER, _with(ENTRY_ITEM | {"RecordID": {"N": id_}}, attribute, value))
        (_, item) = stored.tables.read([id_])[id_]
        assert item is not None
        reading = read_entry(item, "label")
        pair = Pair(Change(id_, f"label#{0:040}", "ann", Decimal("1.5"), True, 0, NOW), True, item, *reading)

        assert stored.tables.mend(id_, item, pair.mended()), value

        (_, mended) = stored.tables.read([id_])[id_]
        entry, damage = read_entry(mended, "label")
        assert reading.entry is not None
        assert (entry, damage) == (pair.mended(), None), value
        assert entry == reading.entry._replace(version=pair.mended().version)
        assert not stored.tables.mend(id_, item, Entry("other", None, Decimal(0))), value


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("Version", {"S": "label#2"}),
        ("Username", {"S": "bob"}),
        ("Score", {"N": "2"}),
        ("ExpiresAt", {"N": "7"}),
        ("Score", None),
    ],
)
def test_an_entry_that_has_changed_in_anything_is_not_mended(stored: Tables, attribute: str, value: Any) -> None:
    changed = _with(ENTRY_ITEM, attribute, value)
    stored.write(Table.LEDGER, changed)

    assert not stored.tables.mend("1", ENTRY_ITEM, Entry("label#9", None, Decimal(0)))

    assert stored.tables.read(["1"])["1"] == (RECORDS["1"], changed)


@pytest.mark.parametrize("record_id", ["-1", "1.5", "1" + "0" * 37, f"0.{'0' * 129}1", "0"])
def test_a_record_with_any_number_as_its_key_is_read_and_mended(stored: Tables, record_id: str) -> None:
    stored.write(Table.LEDGER, {"RecordID": {"N": record_id}})

    (_, item) = stored.tables.read([record_id])[record_id]
    assert item is not None
    assert stored.tables.mend(record_id, item, Entry("label#1", None, Decimal(0)))
    (_, item) = stored.tables.read([record_id])[record_id]
    assert item is not None
    assert (item["Version"], item["ExpiresAt"]) == ({"S": "label#1"}, {"N": "1"}), "a tombstone expires"


def test_as_many_records_as_one_read_takes_can_be_read_with_their_entries(stored: Tables) -> None:
    ids = [str(each) for each in range(1, READ_ITEMS + 1)]

    read = stored.tables.read(ids)

    assert read == {each: (RECORDS.get(each), ENTRY_ITEM if each == "1" else None) for each in ids}


def _scanned(stored: Tables, table: Table) -> list[Item]:
    page = stored.tables.scan(table, 0, None)
    found = [*page.items]
    while page.next is not None:
        page = stored.tables.scan(table, 0, page.next)
        found += page.items
    return found


def _with(item: Item, attribute: str, value: Any) -> Item:
    changed: Any = item | {attribute: value}
    return {name: each for name, each in changed.items() if each is not None}


def _through_a_snapshot(item: Item) -> Item:
    """The item as reconcile has it, once it was on disk."""
    snapshot = Snapshot(":memory:")
    for scan in "before", "after":
        snapshot.add_totals(scan, 0, None, [item])
    snapshot.suspect_everyone()
    snapshot.measure("entries")
    found: list[Suspect] = list(snapshot.suspects(0))
    snapshot.close()
    assert found[0].item == item
    return found[0].item
