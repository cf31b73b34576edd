"""What every Ledger does, in memory or in DynamoDB."""

from decimal import Decimal

import pytest

from handlers.aggregate_scores_by_user.ledger import Add, Entry, OutdatedError, Put, Transaction
from tests.contract.conftest import LedgerUnderTest

ANN = Entry("label#1", "ann", Decimal("1.50"))
BOB = Entry("label#2", "bob", Decimal(-7))
TOMBSTONE = Entry("label#3", None, Decimal(0))


@pytest.fixture
def store(ledger_under_test: LedgerUnderTest) -> LedgerUnderTest:
    """Each of them."""
    return ledger_under_test


def test_a_transaction_writes_its_entries_and_what_they_add(store: LedgerUnderTest) -> None:
    store.ledger.commit(
        Transaction(
            (Put("1", ANN, None), Put("-2.5", BOB, None)),
            (Add("ann", Decimal("1.50"), 1), Add("bob", Decimal(-7), 1)),
        )
    )

    assert (store.entry("1"), store.entry("-2.5")) == (ANN, BOB)
    assert (store.total("ann"), store.total("bob")) == ((Decimal("1.5"), 1), (Decimal(-7), 1))


def test_adds_add_up(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None),), (Add("ann", Decimal("0.1"), 1),)))
    store.ledger.commit(Transaction((Put("2", ANN, None),), (Add("ann", Decimal("0.2"), 1),)))
    store.ledger.commit(Transaction((Put("3", ANN, None),), (Add("ann", Decimal("-0.3"), -2),)))

    assert store.total("ann") == (Decimal(0), 0)


def test_digits_are_kept(store: LedgerUnderTest) -> None:
    score = Decimal("-12345678901234567890.123456789012345678")
    # moto and ministack add in Python's default context, whose 28 digits are fewer than DynamoDB's 38.
    sum_ = Decimal("-12345678901234567890.12345678")

    store.ledger.commit(Transaction((Put("1", Entry("v", "ann", score), None),), (Add("ann", sum_, 1),)))

    assert store.entry("1") == Entry("v", "ann", score)
    assert store.total("ann") == (sum_, 1)


def test_an_entry_that_was_not_expected_is_handed_back(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None),), ()))

    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(Transaction((Put("1", BOB, None), Put("2", BOB, None)), ()))

    assert outdated.value.found == {"1": ANN}


def test_a_tombstone_is_handed_back_as_one(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", TOMBSTONE, None),), ()))

    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(Transaction((Put("1", ANN, None),), ()))

    assert outdated.value.found == {"1": TOMBSTONE}


def test_an_entry_of_the_expected_version_is_replaced(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None),), ()))

    store.ledger.commit(Transaction((Put("1", TOMBSTONE, ANN.version),), ()))
    assert store.entry("1") == TOMBSTONE

    store.ledger.commit(Transaction((Put("1", BOB, TOMBSTONE.version),), ()))
    assert store.entry("1") == BOB


def test_an_entry_of_another_version_stands(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", BOB, None),), ()))

    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(Transaction((Put("1", TOMBSTONE, ANN.version),), ()))

    assert outdated.value.found == {"1": BOB}
    assert store.entry("1") == BOB


def test_an_entry_that_has_vanished_is_missed(store: LedgerUnderTest) -> None:
    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(Transaction((Put("1", BOB, ANN.version),), ()))

    assert outdated.value.found == {"1": None}


def test_one_failed_condition_undoes_the_whole_transaction(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None),), (Add("ann", ANN.score, 1),)))

    with pytest.raises(OutdatedError):
        store.ledger.commit(
            Transaction(
                (Put("2", ANN, None), Put("1", ANN, None)),
                (Add("ann", ANN.score, 2), Add("bob", BOB.score, 1)),
            )
        )

    assert store.entry("2") is None
    assert (store.total("ann"), store.total("bob")) == ((ANN.score, 1), None)


def test_a_hundred_items_fit(store: LedgerUnderTest) -> None:
    puts = tuple(Put(str(record_id), ANN, None) for record_id in range(99))

    store.ledger.commit(Transaction(puts, (Add("ann", Decimal(1), 99),)))

    assert store.entry("98") == ANN
