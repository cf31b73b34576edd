"""The function with its stores in memory, what they may raise, and what it answers."""

from collections.abc import Callable
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.ledger import Transaction
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger

DONE: dict[str, Any] = {"batchItemFailures": []}


def failed(sequence_number: int) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": str(sequence_number)}]}


def failing(error: Exception, when: Callable[[Transaction], bool], times: int = 10**6) -> Any:
    def hook(transaction: Transaction) -> None:
        nonlocal times
        if times and when(transaction):
            times -= 1
            raise error

    return hook


def of(username: str) -> Callable[[Transaction], bool]:
    return lambda transaction: username in [add.username for add in transaction.adds]


@pytest.fixture
def ledger() -> InMemoryLedger:
    return InMemoryLedger()


@pytest.fixture
def parking() -> InMemoryParking:
    return InMemoryParking()


@pytest.fixture
def function(ledger: InMemoryLedger, parking: InMemoryParking) -> Function:
    return Function(ledger, parking)
