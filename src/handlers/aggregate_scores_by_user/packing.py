"""Which tasks share a transaction, and which transactions may run at once.

A transaction costs two write units an item and one round trip, so it should be full. Two transactions that
add to the same user conflict, so they should never run at once: the transactions of a user form a queue,
which is serial, and queues run in parallel. A transaction is far below the 4 MB limit whatever it holds: a
Username is at most 2 KB, a number 126 digits.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from handlers.aggregate_scores_by_user.ledger import Task

_ITEMS = 100
"""https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html"""

Bin = list[Task]
"""The tasks of one transaction."""

Queue = list[Bin]
"""To be run one after the other."""

Stage = list[Queue]
"""Queues that share no user. A stage begins when the one before it has ended."""


def pack(tasks: Sequence[Task]) -> list[Stage]:
    """Pack full bins first, in a queue for each user; then the remainders of all users together."""
    full: Stage = []
    remainders: Bin = []
    for group in _by_user(tasks):
        *queue, last = _fill(group)
        if last[0].is_alone or _size(last) == _ITEMS:
            queue.append(last)
        else:
            remainders += last
        full += [queue] if last[0].users else [[bin_] for bin_ in queue]
    # The longest queue decides when the stage ends, so it begins first.
    full.sort(key=len, reverse=True)
    return [stage for stage in ([queue for queue in full if queue], *_stages_of_remainders(remainders)) if stage]


def _stages_of_remainders(remainders: Bin) -> tuple[Stage, Stage]:
    """Bins filled to the brim, though that puts a user into two of them at the cost of one more add.

    A remainder is smaller than a bin, so the two are neighbours, and two stages keep neighbours apart.
    """
    stage: Stage = []
    later: Stage = []
    before: set[str] = set()
    for bin_ in _fill(remainders):
        users = {user for task in bin_ for user in task.users}
        if users.isdisjoint(before):
            stage.append([bin_])
            before = users
        else:
            later.append([bin_])
            before = set()
    return stage, later


def _by_user(tasks: Iterable[Task]) -> Iterator[Bin]:
    """The tasks of each user together; a change of Username joins those of its two users."""
    leaders: dict[str, str] = {}

    def leader(user: str) -> str:
        while (above := leaders.setdefault(user, user)) != user:
            leaders[user] = leaders[above]
            user = above
        return user

    groups: dict[str | None, Bin] = defaultdict(list)
    for task in tasks:
        for user in task.users[1:]:
            leaders[leader(user)] = leader(task.users[0])
    for task in tasks:
        groups[leader(task.users[0]) if task.users else None].append(task)
    for group in groups.values():
        group.sort(key=lambda task: (not task.is_alone, task.users))
        yield group


def _fill(tasks: Iterable[Task]) -> list[Bin]:
    """The tasks in bins, in order, each as full as can be."""
    bins: list[Bin] = []
    users: set[str] = set()
    size = _ITEMS
    for task in tasks:
        size += 1 + len(users.union(task.users)) - len(users)
        if size > _ITEMS or task.is_alone or bins[-1][0].is_alone:
            bins.append([])
            users = set()
            size = 1 + len(task.users)
        bins[-1].append(task)
        users.update(task.users)
    return bins


def _size(bin_: Bin) -> int:
    return len(bin_) + len({user for task in bin_ for user in task.users})
