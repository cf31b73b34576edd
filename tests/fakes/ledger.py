"""The ledger in memory, as true to DynamoDB as the contract suite can tell."""

from collections.abc import Callable
from decimal import Context, Decimal

from handlers.aggregate_scores_by_user.ledger import Entry, OutdatedError, Transaction, UncountableError
from handlers.shared import decimals

_EXACT = Context(prec=400)
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"


def nothing(transaction: Transaction) -> None:
    """A hook that does nothing."""


class InMemoryLedger:
    """A Ledger whose hooks may raise: `before` a transaction that is then not done, `after` one that was."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.totals: dict[str, tuple[Decimal, int]] = {}
        self.before: Callable[[Transaction], None] = nothing
        self.after: Callable[[Transaction], None] = nothing
        self.requests = 0
        self.write_units = 0
        """Of items up to 1 KB, in cancelled transactions as well."""

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
        self.entries |= {put.record_id: put.entry for put in transaction.puts}
        self.after(transaction)

    def counted(self) -> dict[str, tuple[Decimal, int]]:
        """By user, what has been counted, leaving out those with nothing, who must read 0."""
        assert all(score == 0 for score, records in self.totals.values() if records == 0)
        return {user: total for user, total in self.totals.items() if total[1]}

    def _check_conditions(self, transaction: Transaction) -> None:
        present = {put.record_id: self.entries.get(put.record_id) for put in transaction.puts}
        versions = {record_id: entry and entry.version for record_id, entry in present.items()}
        failed = [put.record_id for put in transaction.puts if versions[put.record_id] != put.replaces]
        if failed:
            raise OutdatedError({record_id: present[record_id] for record_id in failed})

    def _add(self, transaction: Transaction) -> None:
        sums = {}
        for username, score, records in transaction.adds:
            old_score, old_records = self.totals.get(username, (decimals.ZERO, 0))
            sums[username] = _EXACT.add(old_score, score), old_records + records
        too_large = [username for username, (score, _) in sums.items() if not decimals.is_storable(score)]
        if too_large:
            raise UncountableError(OVERFLOW, usernames=too_large)
        self.totals |= sums
