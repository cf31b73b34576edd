"""Counting changes: rounds of transactions, each planned with what the last one taught about the ledger."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from handlers.aggregate_scores_by_user import packing
from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import (
    DAMAGED,
    READ_ITEMS,
    REPLAY_SECONDS,
    Entry,
    Ledger,
    OutdatedError,
    Task,
    Transaction,
    UncountableError,
    is_stale,
    plan,
    transaction,
)
from handlers.shared import decimals
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers

TOO_OLD = (
    f"older than {REPLAY_SECONDS // 86_400} days, and the ledger holds no earlier change of its item:"
    " only make reconcile can count it"
)
ENTRY_DAMAGED = "the ledger's entry is damaged: make reconcile FIX=1 repairs it"
TOO_WIDE = "Score does not fit its user's total"


class SkippedError(Exception):
    """Not tried: inserts of this batch turned out to be in the ledger already, so the rest of them is read first."""


Failure = OutdatedError | UncountableError | RetryableError | RefusedError | SkippedError | None
"""Why a transaction was not committed; None when it was."""


@dataclass(slots=True)
class Guess:
    """The guess that the ledger has no entry for an insert. All queues share it; it ends with the first failure.

    A batch that is delivered again then pays for the transactions under way, and a read of the rest.
    """

    holds: bool = True


@dataclass(slots=True)
class Outcome:
    """The result of counting."""

    applied: int = 0
    """Changes counted: their entries are written, with what they implied for the totals."""
    duplicates: int = 0
    """Changes that the ledger knew already, or knew a later one of the same item."""
    transactions: int = 0
    """Attempts at one, committed or not."""
    uncountable: dict[int, str] = field(default_factory=dict)
    """Why the change at this position cannot be counted. What its item had counted is taken back, where possible."""
    unfinished: list[Change] = field(default_factory=list)
    """Changes that are not counted, or only half: their items' records must be delivered again."""
    reasons: set[str] = field(default_factory=set)
    """Why there are unfinished ones."""

    def stop(self, changes: Iterable[Change], reason: str) -> None:
        """Note changes as unfinished."""
        self.unfinished += changes
        self.reasons.add(reason)


def count(
    changes: Iterable[Change], ledger: Ledger, workers: Workers, patience: Patience, judged_since: float
) -> Outcome:
    """Count every change that is not yet counted, each exactly once. No two may be of the same item.

    A change made before `judged_since`, in seconds since the epoch, is counted only where the ledger holds an earlier
    change of its item.
    Once a transaction is given up no stage begins: the changes after it will be delivered again anyway.
    """
    outcome, guess = Outcome(), Guess()
    tasks: list[Task] = []
    to_read: list[Change] = []
    for change in changes:
        # Optimistic: the ledger has no entry for what the table's stream calls new.
        if change.is_insert and (change.at >= judged_since or change.is_test):
            tasks.append(plan(change, None, is_guess=True))
        else:
            to_read.append(change)
    for change, entry in _read(to_read, ledger, workers, patience, outcome):
        tasks += _replan(change, entry, judged_since, outcome)
    while tasks:
        again: list[Task] = []
        for stage in packing.pack(tasks):
            if outcome.unfinished:
                outcome.unfinished += [task.change for queue in stage for bin_ in queue for task in bin_]
                continue
            for queue in workers.map(lambda queue: _run(queue, ledger, patience, guess), stage):
                for bin_, attempts, failure in queue:
                    outcome.transactions += attempts
                    again += _settle(bin_, failure, judged_since, outcome)
        tasks = again
        if not guess.holds and not outcome.unfinished:
            tasks = [task for task in again if not task.is_guess]
            guessed = [task.change for task in again if task.is_guess]
            for change, entry in _read(guessed, ledger, workers, patience, outcome):
                tasks += _replan(change, entry, judged_since, outcome)
    return outcome


def _read(
    changes: Sequence[Change], ledger: Ledger, workers: Workers, patience: Patience, outcome: Outcome
) -> Iterator[tuple[Change, Entry | None]]:
    """Yield each change with its entry; those that cannot be read are unfinished."""

    def read(chunk: Sequence[Change]) -> "dict[str, Entry | None] | RetryableError | RefusedError":
        try:
            return dict(patience.call(lambda: ledger.read([change.record_id for change in chunk])))
        except (RetryableError, RefusedError) as error:
            return error

    remaining = iter(changes)
    chunks = list(iter(lambda: list(islice(remaining, READ_ITEMS)), []))
    for chunk, entries in zip(chunks, workers.map(read, chunks), strict=True):
        if isinstance(entries, dict):
            yield from ((change, entries[change.record_id]) for change in chunk)
        else:
            outcome.stop(chunk, str(entries))


def _run(
    queue: packing.Queue, ledger: Ledger, patience: Patience, guess: Guess
) -> list[tuple[packing.Bin, int, Failure]]:
    """Return each bin of the queue, the attempts at it, and how it failed; none is begun after one given up."""
    results: list[tuple[packing.Bin, int, Failure]] = []
    given_up: Failure = None
    for bin_ in queue:
        attempts, failure = 0, given_up
        if given_up is None and not guess.holds and any(task.is_guess for task in bin_):
            failure = SkippedError()
        elif given_up is None:
            attempts, failure = _attempt(transaction(bin_), ledger, patience)
        if isinstance(failure, RetryableError | RefusedError):
            given_up = failure
        if isinstance(failure, OutdatedError) and any(
            task.is_guess and task.change.record_id in failure.found for task in bin_
        ):
            guess.holds = False
        results.append((bin_, attempts, failure))
    return results


def _attempt(transaction: Transaction, ledger: Ledger, patience: Patience) -> tuple[int, Failure]:
    # DynamoDB refuses such a request as a whole, and does not say which add is at fault.
    too_wide = [add.username for add in transaction.adds if not decimals.is_storable(add.score)]
    if too_wide:
        return 0, UncountableError(TOO_WIDE, usernames=too_wide)
    attempts = 0

    def commit() -> None:
        nonlocal attempts
        attempts += 1
        ledger.commit(transaction)

    try:
        patience.call(commit)
    except (OutdatedError, UncountableError, RetryableError, RefusedError) as failure:
        return attempts, failure
    return attempts, None


def _settle(bin_: packing.Bin, failure: Failure, judged_since: float, outcome: Outcome) -> Iterator[Task]:
    """Book the result of a bin, and plan what is still to be done."""
    match failure:
        case None:
            outcome.applied += sum(task.then is None for task in bin_)
            for task in bin_:
                if task.then is not None:
                    yield plan(task.then, Entry(task.change.version, None, decimals.ZERO), is_alone=True)
        case SkippedError():
            yield from bin_
        case OutdatedError():
            for task in bin_:
                entry = failure.found.get(task.change.record_id, task.entry)
                yield from _replan(task.then or task.change, entry, judged_since, outcome)
        case UncountableError() if len(bin_) > 1:
            for task in bin_:
                yield task._replace(is_alone=task.is_alone or failure.blames(task))
        case UncountableError():
            yield from _without(bin_[0], str(failure), outcome)
        case RetryableError() | RefusedError():
            outcome.stop([task.change for task in bin_], str(failure))


def _replan(change: Change, entry: Entry | None, judged_since: float, outcome: Outcome) -> Iterator[Task]:
    """Plan a change against the entry that was found, unless there is nothing to count, or no way to tell."""
    if entry is DAMAGED:
        outcome.uncountable.setdefault(change.position, ENTRY_DAMAGED)
    elif is_stale(change, entry):
        outcome.duplicates += 1
    elif change.at < judged_since and not change.is_test and (entry is None or entry.is_substitute):
        # A later change may have been counted and forgotten. One that would change no total is of no interest.
        if (change.username, change.score) == ((entry.username, entry.score) if entry else (None, decimals.ZERO)):
            outcome.duplicates += 1
        else:
            outcome.uncountable.setdefault(change.position, TOO_OLD)
    else:
        yield plan(change, entry)


def _without(task: Task, reason: str, outcome: Outcome) -> Iterator[Task]:
    """Plan what to do about a task that, alone, can never be committed."""
    change, entry = task.change, task.entry
    withdrawn = change._replace(username=None, score=decimals.ZERO)
    if any(not decimals.is_storable(add.score) for add in task.adds):
        # Old and new score each have at most 38 digits, but their difference has more: take one back, then add one.
        yield plan(withdrawn, entry, is_alone=True, then=change)
        return
    outcome.uncountable.setdefault(change.position, reason)
    if withdrawn != change and not is_stale(withdrawn, entry):
        yield plan(withdrawn, entry, is_alone=True)
