"""Counting changes: rounds of transactions, each planned with what the last one taught about the ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from handlers.aggregate_scores_by_user import packing
from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import (
    Ledger,
    OutdatedError,
    Task,
    Transaction,
    UncountableError,
    first_try,
    is_stale,
    plan,
    transaction,
)
from handlers.shared import decimals
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers

Failure = OutdatedError | UncountableError | RetryableError | RefusedError | None
"""What became of a transaction; None when it was committed."""


@dataclass(slots=True)
class Outcome:
    """What became of the changes."""

    applied: int = 0
    """Entries written, each with what it implied for the totals."""
    duplicates: int = 0
    """Changes that the ledger knew already, or knew a later one of the same item."""
    transactions: int = 0
    """Attempts at one, committed or not."""
    uncountable: dict[int, str] = field(default_factory=dict)
    """Why the change at this position can never be counted. What its item had counted is withdrawn."""
    unfinished: list[Change] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    """Why there are unfinished ones."""


def count(changes: Iterable[Change], ledger: Ledger, workers: Workers, patience: Patience) -> Outcome:
    """Count every change that is not yet counted, each exactly once. No two may be of the same item.

    Once a transaction is given up no stage begins: what is behind it will be delivered again anyway.
    """
    outcome = Outcome()
    tasks = [first_try(change) for change in changes]
    while tasks:
        again: list[Task] = []
        for stage in packing.pack(tasks):
            if outcome.unfinished:
                outcome.unfinished += [task.change for lane in stage for bin_ in lane for task in bin_]
                continue
            for lane in workers.map(lambda lane: _run(lane, ledger, patience), stage):
                for bin_, attempts, failure in lane:
                    outcome.transactions += attempts
                    again += _settle(bin_, failure, outcome)
        tasks = again
    return outcome


def _run(lane: packing.Lane, ledger: Ledger, patience: Patience) -> list[tuple[packing.Bin, int, Failure]]:
    """Each bin of the lane, the attempts at it, and what became of it; none is begun behind one given up."""
    results: list[tuple[packing.Bin, int, Failure]] = []
    given_up: Failure = None
    for bin_ in lane:
        attempts, failure = (0, given_up) if given_up else _attempt(transaction(bin_), ledger, patience)
        if isinstance(failure, RetryableError | RefusedError):
            given_up = failure
        results.append((bin_, attempts, failure))
    return results


def _attempt(transaction: Transaction, ledger: Ledger, patience: Patience) -> tuple[int, Failure]:
    # DynamoDB refuses such a request as a whole, and does not say which add is at fault.
    too_wide = [add.username for add in transaction.adds if not decimals.is_storable(add.score)]
    if too_wide:
        return 0, UncountableError("Score does not fit its user's total", usernames=too_wide)
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


def _settle(bin_: packing.Bin, failure: Failure, outcome: Outcome) -> Iterator[Task]:
    """Book what became of a bin, and plan what is still to be done for it."""
    match failure:
        case None:
            outcome.applied += len(bin_)
        case OutdatedError():
            for change, entry, _, _, _, is_alone in bin_:
                present = failure.found.get(change.record_id, entry)
                if is_stale(change, present):
                    outcome.duplicates += 1
                else:
                    yield plan(change, present, is_alone=is_alone)
        case UncountableError() if len(bin_) > 1:
            for task in bin_:
                yield task._replace(is_alone=task.is_alone or failure.blames(task))
        case UncountableError():
            change, entry, *_ = bin_[0]
            outcome.uncountable.setdefault(change.position, str(failure))
            withdrawn = change._replace(username=None, score=decimals.ZERO)
            if withdrawn != change and not is_stale(withdrawn, entry):
                yield plan(withdrawn, entry, is_alone=True)
        case RetryableError() | RefusedError():
            outcome.unfinished += [task.change for task in bin_]
            outcome.reasons.add(str(failure))
