"""The ledger of what has been counted, and what a change means against it."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from handlers.aggregate_scores_by_user.change import Change
from handlers.shared import decimals


class Entry(NamedTuple):
    """What the ledger holds for one item: the version last counted, and what that version adds to whom."""

    version: str
    username: str | None
    """None in a tombstone, of an item that is gone or cannot be counted."""
    score: Decimal

    @property
    def is_test(self) -> bool:
        """Whether a test event was counted here, and no change of the table since."""
        return self.version.startswith("#")


class Put(NamedTuple):
    """Write an entry, on condition that the present one is still of the version `replaces` (None: absent)."""

    record_id: str
    entry: Entry
    replaces: str | None


class Add(NamedTuple):
    """Add to a user's total and to the number of records it counts."""

    username: str
    score: Decimal
    records: int


class Transaction(NamedTuple):
    """Entries and what they imply for the totals: at most 100 writes in all, no two of one item."""

    puts: tuple[Put, ...]
    adds: tuple[Add, ...]


class Ledger(Protocol):
    """GameScoreLedger and GameScoresByUser, which only ever change together."""

    def commit(self, transaction: Transaction) -> None:
        """Do all of it or nothing.

        Raises OutdatedError when a condition failed, UncountableError when DynamoDB can never store one of
        the writes, and RetryableError or RefusedError. After a RetryableError it may have been done.
        """


class OutdatedError(Exception):
    """Entries are not what was expected: `found` is what stands in their place, None where nothing does."""

    def __init__(self, found: Mapping[str, Entry | None]) -> None:
        super().__init__(f"{len(found)} entries are not as expected")
        self.found = found


class UncountableError(Exception):
    """These writes can never succeed: a total that overflows 38 digits, say."""

    def __init__(self, reason: str, record_ids: Collection[str] = (), usernames: Collection[str] = ()) -> None:
        super().__init__(reason)
        self.record_ids = frozenset(record_ids)
        self.usernames = frozenset(usernames)

    def blames(self, task: "Task") -> bool:
        """Whether the task has a part in one of these writes."""
        return task.change.record_id in self.record_ids or not self.usernames.isdisjoint(task.users)


class Task(NamedTuple):
    """A change to count, the entry it is believed to replace, and what follows for the totals."""

    change: Change
    entry: Entry | None
    adds: tuple[Add, ...]
    users: tuple[str, ...]
    """Whose totals it touches."""
    is_sure: bool
    """Whether the belief has a ground, so that a transaction is not likely to fail for it."""
    is_alone: bool
    """Whether it shares no transaction, to find out if it is the one that cannot be counted."""


def first_try(change: Change) -> Task:
    """Optimistic: no entry is read, and none expected, which only for an insert is likely to be right."""
    return plan(change, None, is_sure=change.is_insert)


def plan(change: Change, entry: Entry | None, *, is_sure: bool = True, is_alone: bool = False) -> Task:
    """What it takes to count a change that is not stale against its entry."""
    adds = _adds(change, entry)
    return Task(change, entry, adds, tuple([add.username for add in adds]), is_sure, is_alone)


def is_stale(change: Change, entry: Entry | None) -> bool:
    """Whether the ledger already knows this change, or a later one of the same item.

    A tombstone gives way to a score of its own version: an earlier release, or a total that overflowed,
    could not count that record, and now it is replayed. Never the other way round, or two releases running
    at once would undo each other.
    """
    if entry is None or entry.version < change.version:
        return False
    return entry.version > change.version or entry.username is not None or change.username is None


def transaction(tasks: Iterable[Task]) -> Transaction:
    """What the tasks imply together: one put for each, one add for each user."""
    puts = []
    adds: dict[str, Add] = {}
    for change, entry, task_adds, *_ in tasks:
        new = Entry(change.version, change.username, change.score)
        puts.append(Put(change.record_id, new, entry.version if entry else None))
        for add in task_adds:
            sum_ = adds.get(add.username)
            if sum_ is None:
                adds[add.username] = add
            else:
                score = decimals.add(sum_.score, add.score)
                adds[add.username] = Add(add.username, score, sum_.records + add.records)
    return Transaction(tuple(puts), tuple(adds.values()))


def _adds(change: Change, entry: Entry | None) -> tuple[Add, ...]:
    """The old score taken from the old user, and the new one given to the new user."""
    new = () if change.username is None else (Add(change.username, change.score, 1),)
    if entry is None or entry.username is None:
        return new
    if entry.username == change.username:
        difference = decimals.subtract(change.score, entry.score)
        return (Add(entry.username, difference, 0),) if difference else ()
    # A minus sign would round to the 28 digits of the thread's context.
    return Add(entry.username, entry.score.copy_negate(), -1), *new
