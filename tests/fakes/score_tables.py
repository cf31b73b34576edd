"""The three tables as reconcile reads and repairs them, in memory."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random

from handlers.aggregate_scores_by_user.dynamodb import parse_entry
from handlers.aggregate_scores_by_user.ledger import DAMAGED, Entry, OutdatedError, Transaction, UncountableError
from handlers.shared import decimals
from handlers.shared.retrying import Patience
from scripts.reconcile.reconciliation import Reconciliation
from scripts.reconcile.snapshot import Snapshot
from scripts.reconcile.tables import Item, Page, Table
from tests.fakes.invocation import ShuffledWorkers
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import ARN, SourceTable

_PAGE_ITEMS = 2


def nothing() -> None:
    """A hook that does nothing."""


class OpenLedger(InMemoryLedger):
    """A Ledger into whose tables anybody may write anything; the function meets it as it would meet DynamoDB's."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        super().__init__(clock)
        self.foreign_entries: dict[str, Item] = {}
        """Items of the ledger that somebody else wrote, by RecordID."""
        self.foreign_totals: dict[str, Item] = {}
        """The same of the totals, by Username."""

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """See Ledger."""
        found = super().read(record_ids)
        return {each: parse_entry(self.foreign_entries.get(each)) or entry for each, entry in found.items()}

    def _check_conditions(self, transaction: Transaction) -> None:
        damaged: dict[str, Entry | None] = {}
        for put in transaction.puts:
            item = self.foreign_entries.get(put.record_id)
            entry = parse_entry(item)
            if item is None or entry is None:
                continue
            if entry is DAMAGED and put.replaces is not None and item.get("Version") == {"S": put.replaces}:
                entry = Entry(put.replaces, None, decimals.ZERO)
            if entry is DAMAGED:
                damaged[put.record_id] = entry
            else:
                self.entries[put.record_id] = entry
        if damaged:
            raise OutdatedError(damaged)
        super()._check_conditions(transaction)

    def _add(self, transaction: Transaction) -> None:
        wrong = []
        for username in [add.username for add in transaction.adds if add.username in self.foreign_totals]:
            numbers = [self.foreign_totals[username].get(name, {"N": "0"}) for name in ("Score", "RecordCount")]
            score, records = (Decimal(number["N"]) if "N" in number else None for number in numbers)
            if score is None or records is None:
                wrong.append(username)
            else:
                self.totals[username] = score, int(records)
        if wrong:
            raise UncountableError("An operand in the update expression has an incorrect data type", usernames=wrong)
        super()._add(transaction)
        for put in transaction.puts:
            self.foreign_entries.pop(put.record_id, None)
        for add in transaction.adds:
            self.foreign_totals.pop(add.username, None)


class InMemoryScoreTables:
    """ScoreTables of one segment in short pages.

    Hooks: `between` any two requests; `before` a write that is then not done, and `after` one that was, may raise.
    """

    def __init__(self, source: SourceTable, ledger: OpenLedger) -> None:
        self._source = source
        self._ledger = ledger
        self._corrections: dict[str, str] = {}
        self.between: Callable[[], None] = nothing
        self.before: Callable[[], None] = nothing
        self.after: Callable[[], None] = nothing
        self.scans = 0

    def scan(self, table: Table, segment: int, start: Item | None, /) -> Page:
        """See ScoreTables. The order of the items is that of their keys, as strings."""
        assert segment == 0
        self.between()
        self.scans += 1
        items, key = self.items(table), "Username" if table is Table.TOTALS else "RecordID"
        after = next(iter(start[key].values())) if start else ""
        rest = sorted(each for each in items if each > after)
        page = [items[each] for each in rest[:_PAGE_ITEMS]]
        return Page(page, {key: page[-1][key]} if len(rest) > _PAGE_ITEMS else None)

    def read(self, record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        """See ScoreTables."""
        assert 1 <= len(record_ids) <= 50, f"DynamoDB reads at most 100 items, and these are 2 for each {record_ids}"
        self.between()
        records = self.items(Table.RECORDS)
        self.between()
        entries = self.items(Table.LEDGER)
        return {each: (records.get(each), entries.get(each)) for each in record_ids}

    def correct(self, username: str, was: Item, score: str, records: int, correction: str, /) -> bool:
        """See ScoreTables."""
        self.between()
        self.before()
        present = self.items(Table.TOTALS).get(username, {})
        if _differ(present, was, "Score", "RecordCount", "Correction"):
            return present.get("Correction") == {"S": correction}
        assert decimals.is_storable(Decimal(score)), f"DynamoDB cannot hold {score}"
        assert correction != self._corrections.get(username), "another correction has the same name"
        self._ledger.foreign_totals.pop(username, None)
        self._ledger.totals[username] = Decimal(score), records
        self._corrections[username] = correction
        self.after()
        return True

    def mend(self, record_id: str, was: Item, entry: Entry, /) -> bool:
        """See ScoreTables."""
        self.between()
        self.before()
        present = self.items(Table.LEDGER).get(record_id, {})
        if _differ(present, was, "Version", "Username", "Score", "ExpiresAt"):
            return False
        self._ledger.foreign_entries.pop(record_id, None)
        self._ledger.entries[record_id] = entry
        assert _differ(_item(record_id, entry), was, "Version"), "a condition holds after its own commit"
        self.after()
        return True

    def items(self, table: Table) -> dict[str, Item]:
        """All items of a table, by key."""
        if table is Table.RECORDS:
            return {str(record_id): image for record_id, image in self._source.items.items()}
        if table is Table.LEDGER:
            entries = {record_id: _item(record_id, entry) for record_id, entry in self._ledger.entries.items()}
            return entries | self._ledger.foreign_entries
        totals: dict[str, Item] = {
            username: {
                "Username": {"S": username},
                "Score": {"N": decimals.canonical(score)},
                "RecordCount": {"N": str(records)},
            }
            for username, (score, records) in self._ledger.totals.items()
        }
        marks: dict[str, Item] = {username: {"Correction": {"S": mark}} for username, mark in self._corrections.items()}
        return {
            username: item | marks.get(username, {})
            for username, item in (totals | self._ledger.foreign_totals).items()
        }


def reconciliation(tables: InMemoryScoreTables, ledger: OpenLedger, random: Random) -> Reconciliation:
    """Return a reconcile of these tables that neither pauses nor speaks."""
    return Reconciliation(
        tables=tables,
        ledger=ledger,
        snapshot=Snapshot(":memory:"),
        stream_arn=ARN,
        segments=1,
        workers=ShuffledWorkers(random),
        patience=lambda: Patience(lambda: 1.0, lambda _: None, random.random),
        pause=nothing,
        tell=lambda _: None,
        new_id=lambda: f"correction {random.getrandbits(64)}",
    )


def _differ(one: Item, other: Item, *names: str) -> bool:
    return any(one.get(name) != other.get(name) for name in names)


def _item(record_id: str, entry: Entry) -> Item:
    item: Item = {"RecordID": {"N": record_id}, "Version": {"S": entry.version}}
    if entry.username is None:
        return item | {"ExpiresAt": {"N": "1"}}
    return item | {"Username": {"S": entry.username}, "Score": {"N": decimals.canonical(entry.score)}}
