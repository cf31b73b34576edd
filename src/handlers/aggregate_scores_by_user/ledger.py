"""The ledger of what has been counted, and what a change means against it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, Protocol

from handlers.aggregate_scores_by_user.change import SEQUENCE_NUMBER_DIGITS, Change, is_test
from handlers.shared import decimals

_DAY = 24 * 60 * 60

TOMBSTONE_SECONDS = 45 * _DAY
"""How long the ledger remembers an item that is gone."""

REPLAY_SECONDS = 35 * _DAY
"""Up to which age a change is counted when the ledger holds no earlier change of its item.

An older one may be a change of a deleted item whose tombstone has expired. The ten days between the two are for
clocks that differ, and for DynamoDB, which deletes an expired item within days, not at once:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html

Both are constants. If they could be raised, the tombstones written before would still expire on their old day.
"""

_NO_SEQUENCE_NUMBER = "0" * SEQUENCE_NUMBER_DIGITS
"""In the versions that reconcile gives to records the ledger does not know: it precedes every sequence number."""

READ_ITEMS = 100
"""How many entries one read takes:
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""


class Entry(NamedTuple):
    """The ledger's item for one RecordID: the version last counted, and what that version adds to whose total."""

    version: str
    username: str | None
    """None in a tombstone: the item is gone, or holds no score that can be counted."""
    score: Decimal

    @property
    def is_test(self) -> bool:
        """Whether a test event was counted here, and no change of the table since."""
        return is_test(self.version)

    @property
    def is_substitute(self) -> bool:
        """Whether no change of the table's stream was counted here, only a test event or what reconcile read.

        Such an entry may have been written after the item's tombstone expired, so a change above its version may
        be below that of the tombstone.
        """
        return self.is_test or self.version.partition("#")[2].startswith(_NO_SEQUENCE_NUMBER)


DAMAGED = Entry("damaged", None, decimals.ZERO)
"""Stands for an item that is no entry, because somebody else wrote it. Compared by identity."""


class Put(NamedTuple):
    """Write an entry, on condition that the present one is still of the version `replaces` (None: absent).

    The new version differs from the one that it replaces, so the condition fails once the write is committed:
    repeating the write, by whoever, changes nothing.
    """

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

    def read(self, record_ids: Sequence[str]) -> Mapping[str, Entry | None]:
        """Return the present entry of each of up to READ_ITEMS records, None where there is none.

        Every write that ended before is seen. An item that is no entry reads as DAMAGED. Raises RetryableError or
        RefusedError.
        """

    def commit(self, transaction: Transaction) -> None:
        """Do all of it or nothing.

        Raises OutdatedError when a condition failed, UncountableError when DynamoDB can never store one of
        the writes, and RetryableError or RefusedError. After a RetryableError it may have been done.
        """


class OutdatedError(Exception):
    """Conditions failed: `found` has the present entry of each record concerned, None where there is none."""

    def __init__(self, found: Mapping[str, Entry | None]) -> None:
        self.found = found


class UncountableError(Exception):
    """These writes can never succeed: a total that overflows 38 digits, for example."""

    def __init__(self, reason: str, record_ids: Collection[str] = (), usernames: Collection[str] = ()) -> None:
        super().__init__(reason)
        self.record_ids = frozenset(record_ids)
        self.usernames = frozenset(usernames)

    def blames(self, task: "Task") -> bool:
        """Whether the task has a part in one of these writes."""
        return task.change.record_id in self.record_ids or not self.usernames.isdisjoint(task.users)


class Task(NamedTuple):
    """A change to count, the entry it is expected to replace, and what follows for the totals."""

    change: Change
    entry: Entry | None
    adds: tuple[Add, ...]
    users: tuple[str, ...]
    """Whose totals it touches."""
    is_alone: bool
    """Whether it shares no transaction, to find out if it is the one that cannot be counted."""
    is_guess: bool
    """Whether nobody has looked for the entry: the change is an insert, so it is expected to have none."""
    then: Change | None
    """The change to count once this one is committed, when the two do not fit into one transaction."""


def plan(
    change: Change,
    entry: Entry | None,
    *,
    is_alone: bool = False,
    is_guess: bool = False,
    then: Change | None = None,
) -> Task:
    """Plan the count of a change that is not stale against its entry."""
    adds = _adds(change, entry)
    return Task(change, entry, adds, tuple([add.username for add in adds]), is_alone, is_guess, then)


def is_stale(change: Change, entry: Entry | None) -> bool:
    """Whether the ledger already knows this change, or a later one of the same item.

    A tombstone gives way to a score of its own version: an earlier release, or a total that overflowed, could not
    count that record, and now it is replayed. Never the other way round, or two releases running at once would
    undo each other.
    """
    if entry is None or entry.version < change.version:
        return False
    return entry.version > change.version or entry.username is not None or change.username is None


def transaction(tasks: Iterable[Task]) -> Transaction:
    """Combine tasks: one put for each, one add for each user."""
    puts = []
    adds: dict[str, Add] = {}
    for change, entry, task_adds, *_ in tasks:
        new = Entry(_version(change, entry), change.username, change.score)
        puts.append(Put(change.record_id, new, entry.version if entry else None))
        for add in task_adds:
            sum_ = adds.get(add.username)
            if sum_ is None:
                adds[add.username] = add
            else:
                score = decimals.add(sum_.score, add.score)
                adds[add.username] = Add(add.username, score, sum_.records + add.records)
    return Transaction(tuple(puts), tuple(adds.values()))


def _version(change: Change, entry: Entry | None) -> str:
    """Return a version above the entry's: versions only ever grow, so no put's condition outlives its commit.

    A score that replaces a tombstone of its own version takes the version right above, which is still below that of
    the item's next change.
    """
    return f"{entry.version}+" if entry is not None and entry.version == change.version else change.version


def _adds(change: Change, entry: Entry | None) -> tuple[Add, ...]:
    """Take the old score from the old user, and give the new one to the new user."""
    new = () if change.username is None else (Add(change.username, change.score, 1),)
    if entry is None or entry.username is None:
        return new
    if entry.username == change.username:
        difference = decimals.subtract(change.score, entry.score)
        return (Add(entry.username, difference, 0),) if difference else ()
    # A minus sign would round to the 28 digits of the thread's context.
    return Add(entry.username, entry.score.copy_negate(), -1), *new
