"""The three tables as reconcile reads them, in memory."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared import decimals
from scripts.score_tables import Item, Page, Table
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import SourceTable

_PAGE_ITEMS = 2


def nothing() -> None:
    """A hook that does nothing."""


class InMemoryScoreTables:
    """ScoreTables of one segment in short pages, with a hook `between` any two requests."""

    def __init__(self, source: SourceTable, ledger: InMemoryLedger) -> None:
        self._source = source
        self._ledger = ledger
        self.between: Callable[[], None] = nothing
        self.scans = 0

    def scan(self, table: Table, segment: int, start: Item | None, /) -> Page:
        """See ScoreTables. The order of the items is that of their keys, as strings."""
        assert segment == 0
        self.between()
        self.scans += 1
        items, key = self._items(table), "Username" if table is Table.TOTALS else "RecordID"
        after = next(iter(start[key].values())) if start else ""
        rest = sorted(each for each in items if each > after)
        page = [items[each] for each in rest[:_PAGE_ITEMS]]
        return Page(page, {key: page[-1][key]} if len(rest) > _PAGE_ITEMS else None)

    def read(self, record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        """See ScoreTables."""
        self.between()
        records = self._items(Table.RECORDS)
        self.between()
        entries = self._items(Table.LEDGER)
        return {each: (records.get(each), entries.get(each)) for each in record_ids}

    def correct(self, username: str, was: Item, score: str, records: int, /) -> bool:
        """See ScoreTables."""
        self.between()
        present = self._items(Table.TOTALS).get(username, {})
        if any(present.get(name) != was.get(name) for name in ("Score", "RecordCount")):
            return False
        self._ledger.totals[username] = Decimal(score), records
        return True

    def _items(self, table: Table) -> dict[str, Item]:
        if table is Table.RECORDS:
            return {str(record_id): image for record_id, image in self._source.items.items()}
        if table is Table.LEDGER:
            return {record_id: _entry(record_id, entry) for record_id, entry in self._ledger.entries.items()}
        return {
            username: {
                "Username": {"S": username},
                "Score": {"N": decimals.spell(score)},
                "RecordCount": {"N": str(records)},
            }
            for username, (score, records) in self._ledger.totals.items()
        }


def _entry(record_id: str, entry: Entry) -> Item:
    item: Item = {"RecordID": {"N": record_id}, "Version": {"S": entry.version}}
    if entry.username is None:
        return item | {"ExpiresAt": {"N": "1"}}
    return item | {"Username": {"S": entry.username}, "Score": {"N": decimals.spell(entry.score)}}
