"""The ledger in memory, as true to DynamoDB as the contract suite can tell."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal

from handlers.aggregate_scores_by_user.ledger import (
    TOMBSTONE_SECONDS,
    Entry,
    OutdatedError,
    Put,
    Transaction,
    UncountableError,
)
from handlers.shared import decimals

_EXACT = Context(prec=400)
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"


def nothing(transaction: Transaction) -> None:
    """A hook that does nothing."""


def nothing_read() -> None:
    """A hook of a read that does nothing."""


class InMemoryLedger:
    """A Ledger whose hooks may raise: `before` a transaction that is then not done, `after` one that was.

    It holds every write to the rule that keeps retries harmless: once a write is committed, its condition fails.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.clock = clock
        self.expires: dict[str, float] = {}
        """When each tombstone may go, in seconds since the epoch."""
        self.entries: dict[str, Entry] = {}
        self.totals: dict[str, tuple[Decimal, int]] = {}
        self.before: Callable[[Transaction], None] = nothing
        self.after: Callable[[Transaction], None] = nothing
        self.before_read: Callable[[], None] = nothing_read
        self.requests = 0
        self.read_units = 0
        """Of items up to 4 KB."""
        self.write_units = 0
        """Of items up to 1 KB, in cancelled transactions as well."""

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """See Ledger."""
        self.before_read()
        assert 1 <= len(record_ids) <= 100, f"DynamoDB reads 1 to 100 items, not {len(record_ids)}"
        assert len(set(record_ids)) == len(record_ids), "DynamoDB takes each key once"
        self.read_units += len(record_ids)
        return {record_id: self.entries.get(record_id) for record_id in record_ids}

    def commit(self, transaction: Transaction) -> None:
        """See Ledger."""
        self.before(transaction)
        items = [put.record_id for put in transaction.puts], [add.username for add in transaction.adds]
        size = sum(map(len, items))
        assert 1 <= size <= 100, f"DynamoDB takes 1 to 100 items, not {size}"
        assert size == sum(map(len, map(set, items))), "DynamoDB takes one operation for an item"
        self.requests += 1
        self.write_units += 2 * size
        self._check_conditions(transaction)
        self._add(transaction)
        for put in transaction.puts:
            self._put(put)
        assert len(self._failed(transaction)) == len(transaction.puts), "a condition holds after its own commit"
        self.after(transaction)

    def forget(self, before: Callable[[], float]) -> None:
        """Expire tombstones, each when it is older than `before` says, drawn anew for each."""
        for record_id in [each for each, at in self.expires.items() if at < before()]:
            self.entries.pop(record_id, None)
            del self.expires[record_id]

    def _put(self, put: Put) -> None:
        self.entries[put.record_id] = put.entry
        self.expires.pop(put.record_id, None)
        if put.entry.username is None:
            self.expires[put.record_id] = self.clock() + TOMBSTONE_SECONDS

    def counted(self) -> dict[str, tuple[Decimal, int]]:
        """By user, what has been counted, leaving out those with nothing, who must read 0."""
        assert all(score == 0 for score, records in self.totals.values() if records == 0)
        return {user: total for user, total in self.totals.items() if total[1]}

    def _check_conditions(self, transaction: Transaction) -> None:
        failed = self._failed(transaction)
        if failed:
            raise OutdatedError(failed)

    def _failed(self, transaction: Transaction) -> dict[str, Entry | None]:
        """The present entries of the records whose conditions do not hold."""
        present = {put: self.entries.get(put.record_id) for put in transaction.puts}
        return {put.record_id: entry for put, entry in present.items() if (entry and entry.version) != put.replaces}

    def _add(self, transaction: Transaction) -> None:
        sums = {}
        for username, score, records in transaction.adds:
            old_score, old_records = self.totals.get(username, (decimals.ZERO, 0))
            sums[username] = _EXACT.add(old_score, score), old_records + records
        too_large = [username for username, (score, _) in sums.items() if not decimals.is_storable(score)]
        if too_large:
            raise UncountableError(OVERFLOW, usernames=too_large)
        self.totals |= sums
