"""What reconcile repairs, what it calls repaired, and what it corrects beside others who write."""

import itertools
from dataclasses import replace
from decimal import Decimal

import pytest

from handlers.aggregate_scores_by_user.ledger import Entry, Transaction
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience
from scripts.reconcile import reconciliation
from scripts.reconcile.judgement import Cause, Judgement, Summary
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import Item
from tests.fakes.stream import LABEL, score_image
from tests.unit.scripts.reconcile.conftest import OLD_VERSION, ZEROS, World


def test_a_total_that_could_not_be_corrected_is_not_called_repaired() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    world.tables.correct = lambda *_: False  # type: ignore[method-assign]

    found = world.reconcile(fix=True)

    assert [(finding.username, finding.repaired) for finding in found] == [("bob", False)]
    assert (world.summary.in_drift, world.summary.left) == (1, 1)
    assert world.ledger.totals["bob"] == (Decimal(20), 2)


def test_a_record_that_could_not_be_counted_is_not_called_repaired() -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1

    def refuse(_: Transaction) -> None:
        raise RefusedError("AccessDenied")

    world.ledger.before = refuse

    found = world.reconcile(fix=True)

    assert [(finding.username, finding.record_id, finding.repaired) for finding in found] == [("ann", "1", False)]
    assert (world.summary.in_drift, world.summary.left) == (1, 1)


def test_a_correction_that_was_done_though_its_answer_was_lost_is_a_finding_that_is_repaired() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    corrections = []

    def lose_the_answer() -> None:
        corrections.append("done")
        if len(corrections) == 1:
            raise RetryableError("no answer")

    world.tables.after = lose_the_answer
    hasty = replace(world.reconciliation(), patience=lambda: Patience(lambda: 1e-9, lambda _: None, lambda: 1.0))

    assert hasty.run(fix=True) == Summary(in_drift=1, left=0, unjudged=0, tests=0)
    assert list(world.snapshot.findings()) == [Finding("bob", None, Cause.COUNTED_TWICE, "20 2", "10 1", True, False)]
    assert corrections == ["done"], "it is read again, not written again"
    assert world.lines == [
        "Reading the tables",
        "records: 3, entries: 3, totals: 2",
        "Totals in doubt: 1",
        "Not corrected yet: no answer",
        "Totals in doubt: 1",
    ]


def test_a_correction_that_is_refused_ends_the_run_and_is_not_tried_again() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2

    def refuse() -> None:
        raise PermissionError("AccessDeniedException")

    world.tables.before = refuse

    with pytest.raises(PermissionError):
        world.reconcile(fix=True)


def test_an_entry_that_is_mended_at_the_second_attempt_is_repaired() -> None:
    world = World()
    world.damage_entry("1", {"Version": None})
    conflicts = iter([RetryableError("TransactionConflictException")])

    def conflict() -> None:
        for error in conflicts:
            raise error

    world.tables.before = conflict
    hasty = replace(world.reconciliation(), patience=lambda: Patience(lambda: 1e-9, lambda _: None, lambda: 1.0))

    assert hasty.run(fix=True).judgement is Judgement.EXACT
    assert "Not mended yet: TransactionConflictException" in world.lines


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"Version": None}, "Version is missing or is not text"),
        ({"Version": {"N": "1"}}, "Version is missing or is not text"),
        ({"Version": {"S": "zzz"}}, "Version is above those of all changes of the table's stream"),
        (
            {"Version": {"S": f"{LABEL}#" + "\u0663" * 40}},
            "Version is above those of all changes of the table's stream",
        ),
        ({"Version": {"S": f"{LABEL}#zzz"}}, "Version is above those of all changes of the table's stream"),
        ({"Score": {"S": "10"}}, "Username or Score is missing or unreadable"),
        ({"Score": None}, "Username or Score is missing or unreadable"),
        ({"Username": None}, "Username or Score is missing or unreadable"),
        ({"Username": {"B": b"bob"}}, "Username or Score is missing or unreadable"),
        ({"Username": {"S": ""}}, "Username or Score is missing or unreadable"),
        (
            {"Version": None, "Score": None},
            "Version is missing or is not text; Username or Score is missing or unreadable",
        ),
        ({"ExpiresAt": {"N": "1"}}, "ExpiresAt would delete it though it counts"),
    ],
)
def test_a_damaged_ledger_entry_is_a_finding_and_is_repaired(damage: Item, says: str) -> None:
    world = World()
    world.damage_entry("3", damage)

    found = {each.record_id: each for each in world.reconcile()}
    assert found["3"].cause == f"the ledger entry is damaged: {says}"
    assert (found["3"].username, found["3"].expected) == ("bob", "10")
    assert world.summary.judgement is Judgement.WRONG

    world.snapshot = Snapshot(":memory:")
    assert all(each.repaired for each in world.reconcile(fix=True))
    assert world.summary == Summary(in_drift=1, left=0, unjudged=0, tests=0)
    world.snapshot = Snapshot(":memory:")
    assert world.reconcile() == []
    assert world.counted() == world.source.sums()

    world.put(3, "bob", "11")
    world.count()
    assert world.counted() == world.source.sums(), "the function goes on counting the record"


def test_damage_to_a_version_alone_leaves_the_total_as_it_is() -> None:
    world = World()
    world.damage_entry("3", {"Version": None})
    totals = dict(world.ledger.totals)

    (found,) = world.reconcile(fix=True)

    assert found.cause.startswith(Cause.DAMAGED_ENTRY)
    assert world.ledger.totals == totals


def test_a_damaged_entry_that_does_not_say_whose_it_is_is_a_finding_all_the_same() -> None:
    world = World()
    world.ledger.foreign_entries["9"] = {"RecordID": {"N": "9"}, "Score": {"BOOL": True}}

    (found,) = world.reconcile()

    assert (found.username, found.present, found.expected) == (None, "unreadable", "nothing")
    assert world.summary.left == 1


def test_a_damaged_total_is_repaired_before_records_are_counted_into_it() -> None:
    world = World()
    del world.ledger.entries["3"]
    world.ledger.foreign_totals["bob"] = {"Username": {"S": "bob"}, "Score": {"B": b"\x00\xff"}}

    found = world.reconcile(fix=True)

    assert set(found) == {
        Finding("bob", None, Cause.DAMAGED_TOTAL, "? ?", "0 0", True, False),
        Finding("bob", "3", Cause.NEVER_COUNTED, "nothing", "10", True, False),
    }
    assert world.counted() == world.source.sums()


def test_a_sum_that_fits_no_number_is_said_to_and_is_not_sent() -> None:
    world = World()
    world.ledger.entries |= {
        "3": Entry(OLD_VERSION, "bob", Decimal("1E+40")),
        "4": Entry(OLD_VERSION, "bob", Decimal(7)),
    }
    world.source.items |= {3: score_image(3, "bob", "1E+40"), 4: score_image(4, "bob", "7")}

    (found,) = world.reconcile(fix=True)

    assert (found.cause, found.repaired) == (Cause.TOO_LARGE, False)
    assert world.lines.count("Totals in doubt: 1") == 1, "it is not measured any more"
    assert world.summary.judgement is Judgement.WRONG
    assert world.ledger.totals["bob"] == (Decimal(10), 1)


def test_a_record_whose_total_would_overflow_is_not_called_repaired_and_says_why() -> None:
    world = World()
    world.put(4, "bob", "1E+40")
    world.count()

    (found,) = world.reconcile(fix=True)

    assert not found.repaired
    assert "never counted; not repaired:" in found.cause
    assert world.summary.judgement is Judgement.WRONG
    assert world.ledger.totals["bob"] == (Decimal(10), 1)


def test_a_record_that_reconcile_could_not_count_either_counts_when_it_is_redriven_later() -> None:
    world = World()
    world.put(4, "bob", "1E+40")
    world.count()
    tombstone = world.ledger.entries["4"]
    world.reconcile(fix=True)
    assert world.ledger.entries["4"] == tombstone

    world.source.delete(3)
    world.count()
    world.count()  # the redrive

    assert world.counted() == world.source.sums()


def test_a_correction_that_meets_a_change_is_tried_again() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    scores = iter([5, 6])

    def play() -> None:
        for score in itertools.islice(scores, 1):
            world.put(4, "bob", str(score))
            world.count()

    world.tables.before = play

    assert [each.repaired for each in world.reconcile(fix=True)] == [True]
    assert world.summary == Summary(in_drift=1, left=0, unjudged=0, tests=0)
    assert world.counted() == world.source.sums()


def test_a_correction_that_never_meets_a_quiet_moment_is_not_called_repaired() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2

    def play() -> None:
        world.put(4, "bob", str(next(scores)))
        world.count()

    scores = itertools.count(1)
    world.tables.before = play

    assert [each.repaired for each in world.reconcile(fix=True)] == [False]
    assert world.summary.judgement is Judgement.WRONG


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("failures", [1, 12])
def test_a_correction_that_conflicts_or_loses_its_answer_is_repeated_and_counts_as_done(
    when: str, failures: int
) -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    left = iter(range(failures))

    def fail() -> None:
        if next(left, None) is not None:
            raise RetryableError("TransactionConflictException")

    setattr(world.tables, when, fail)

    assert [each.repaired for each in world.reconcile(fix=True)] == [True]
    assert world.summary.judgement is Judgement.EXACT
    assert world.counted() == world.source.sums()
    if failures == 1:
        assert world.pauses == 1, "a correction is recognised when it is repeated, and not measured once more"


def test_a_correction_whose_answer_was_lost_is_not_repeated_over_a_later_change() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    answers = iter([None])

    def lose_the_answer_while_bob_scores_what_was_counted_twice() -> None:
        for _ in answers:
            world.put(4, "bob", "10")
            world.count()
            assert world.ledger.totals["bob"] == (Decimal(20), 2), "it looks as it did before the correction"
            raise RetryableError("no answer")

    world.tables.after = lose_the_answer_while_bob_scores_what_was_counted_twice

    world.reconcile(fix=True)

    assert world.counted() == world.source.sums()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_repair_that_loses_its_answer_for_good_is_recognised_as_done(when: str) -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1
    left = iter(range(30))

    def fail(_: Transaction) -> None:
        if next(left, None) is not None:
            raise RetryableError("no answer")

    setattr(world.ledger, when, fail)

    assert world.reconcile(fix=True) == [Finding("ann", "1", Cause.NEVER_COUNTED, "nothing", "1", True, False)]
    assert world.counted() == world.source.sums()


def test_a_repair_that_is_never_done_is_not_called_repaired() -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1

    def fail(_: Transaction) -> None:
        raise RetryableError("TransactionConflictException")

    world.ledger.before = fail

    assert [each.repaired for each in world.reconcile(fix=True)] == [False]
    assert world.summary == Summary(in_drift=1, left=1, unjudged=0, tests=0)
    assert any("TransactionConflictException" in line for line in world.lines)
    assert world.pauses == 2 + 5, "two between three looks, and one before each further attempt"


def test_every_page_of_records_is_repaired_in_one_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_COUNTED_AT_ONCE", 1)
    world = World()
    for record_id in range(4, 13):
        world.put(record_id, "ann", "1")
    world.count()
    world.ledger.entries.clear()
    world.ledger.totals.clear()

    assert [each.repaired for each in world.reconcile(fix=True)] == [True] * 12
    assert world.pauses == 2, "between three looks, as for a single one"
    assert world.counted() == world.source.sums()


def test_an_orphan_of_a_record_without_a_score_is_withdrawn_as_of_the_present_stream() -> None:
    world = World()
    world.source.items[7] = {"RecordID": {"N": "7"}}
    world.ledger.entries["7"] = Entry(OLD_VERSION, "cid", Decimal(5))
    world.ledger.totals["cid"] = Decimal(5), 1

    world.reconcile(fix=True)

    assert world.ledger.entries["7"] == Entry(f"{LABEL}#{ZEROS}", None, Decimal(0))


def test_each_correction_has_a_name_of_its_own() -> None:
    world = World()
    for _ in range(2):
        world.ledger.totals["bob"] = Decimal(20), 2
        world.snapshot = Snapshot(":memory:")
        world.reconcile(fix=True)

    assert world.counted() == world.source.sums()


def test_repairs_go_on_while_any_page_of_records_has_one_to_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_COUNTED_AT_ONCE", 1)
    world = World()
    for record_id in "1", "2":
        del world.ledger.entries[record_id]
    world.ledger.totals["ann"] = Decimal(0), 0
    left = iter(range(30))

    def fail(transaction: Transaction) -> None:
        if transaction.puts[0].record_id == "1" and next(left, None) is not None:
            raise RetryableError("no answer")

    world.ledger.before = fail

    assert [each.repaired for each in world.reconcile(fix=True)] == [True, True]
    assert world.counted() == world.source.sums()
