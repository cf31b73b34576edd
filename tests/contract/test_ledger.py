"""What every Ledger does, in memory or in DynamoDB."""

from decimal import Decimal

import pytest

from handlers.aggregate_scores_by_user.ledger import READ_ITEMS, Add, Entry, OutdatedError, Put, Transaction
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


@pytest.mark.parametrize("expected", ["label#1", "label#3"])
def test_an_entry_of_another_version_stands(store: LedgerUnderTest, expected: str) -> None:
    store.ledger.commit(Transaction((Put("1", BOB, None),), ()))

    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(Transaction((Put("1", Entry("label#4", None, Decimal(0)), expected),), ()))

    assert outdated.value.found == {"1": BOB}
    assert store.entry("1") == BOB


def test_an_entry_of_an_empty_version_is_replaced(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", Entry("", "ann", Decimal(1)), None),), ()))

    store.ledger.commit(Transaction((Put("1", BOB, ""),), ()))

    assert store.entry("1") == BOB


def test_a_score_of_zero_is_an_entry_and_no_tombstone(store: LedgerUnderTest) -> None:
    zero = Entry("label#1", "ann", Decimal(0))

    store.ledger.commit(Transaction((Put("1", zero, None),), (Add("ann", Decimal(0), 1),)))

    assert store.entry("1") == zero
    assert store.ledger.read(["1"]) == {"1": zero}


def test_names_that_differ_in_case_are_two_users(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None),), (Add("ann", Decimal(1), 1), Add("Ann", Decimal(2), 1))))

    assert (store.total("ann"), store.total("Ann")) == ((Decimal(1), 1), (Decimal(2), 1))


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


def test_entries_are_read_as_they_were_written(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction((Put("1", ANN, None), Put("-2.5", TOMBSTONE, None)), ()))

    assert store.ledger.read(["-2.5", "1", "3"]) == {"-2.5": TOMBSTONE, "1": ANN, "3": None}


def test_a_hundred_entries_can_be_read_at_once(store: LedgerUnderTest) -> None:
    store.ledger.commit(Transaction(tuple(Put(str(each), ANN, None) for each in range(100)), ()))

    assert store.ledger.read([str(each) for each in range(READ_ITEMS)]) == {str(each): ANN for each in range(100)}


NEXT = Entry("label#2", "ann", Decimal(2))


@pytest.mark.parametrize(
    ("present", "put"),
    [
        (None, Put("1", ANN, None)),
        (None, Put("1", TOMBSTONE, None)),
        (ANN, Put("1", NEXT, ANN.version)),
        (ANN, Put("1", TOMBSTONE, ANN.version)),
        (TOMBSTONE, Put("1", Entry("label#4", "ann", Decimal(1)), TOMBSTONE.version)),
        (TOMBSTONE, Put("1", Entry("label#3+", "ann", Decimal(1)), TOMBSTONE.version)),
        (TOMBSTONE, Put("1", Entry("label#4", None, Decimal(0)), TOMBSTONE.version)),
    ],
)
def test_no_write_can_be_repeated_once_it_is_committed(store: LedgerUnderTest, present: Entry | None, put: Put) -> None:
    if present:
        store.ledger.commit(Transaction((Put("1", present, None),), ()))
    write = Transaction((put,), (Add("ann", Decimal(1), 1),))
    store.ledger.commit(write)

    with pytest.raises(OutdatedError) as outdated:
        store.ledger.commit(write)

    assert outdated.value.found == {"1": put.entry}
    assert store.total("ann") == (Decimal(1), 1)
