"""Reconcile: what it accuses of what, what it leaves alone, and how it goes on after an interrupt."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from threading import Lock, Thread
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.ledger import Entry, Transaction
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.cli import UserError
from scripts.reconcile import reconciliation
from scripts.reconcile.judgement import Cause, Judgement, Summary
from scripts.reconcile.reconcile import describe
from scripts.reconcile.reconciliation import Reconciliation
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import Item, Page, Table
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.score_tables import InMemoryScoreTables, OpenLedger
from tests.fakes.stream import ARN, LABEL, SourceTable, score_image

ZEROS = "0" * 40


OLD_VERSION = f"2025-01-01T00:00:00.000#{9:040}"


class World:
    """Tables in which ann has 1 and 2, and bob has 10, all of it counted."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.source = SourceTable(100)
        self.ledger = OpenLedger()
        self.tables = InMemoryScoreTables(self.source, self.ledger)
        self.snapshot = Snapshot(path)
        self.pauses = 0
        self.lines: list[str] = []
        self.on_pause: Callable[[], None] = lambda: None
        self._ids = itertools.count()
        for record_id, username, score in (1, "ann", "1"), (2, "ann", "2"), (3, "bob", "10"):
            self.put(record_id, username, score)
        self.count()

    def put(self, record_id: int, username: str, score: str) -> None:
        self.source.put(record_id, score_image(record_id, username, score))

    def count(self) -> None:
        """Deliver the whole stream, of which the ledger drops what it knows."""
        Function(self.ledger, InMemoryParking()).invoke(self.source.stream)

    def count_test_event(self, record_id: str, username: str, score: str, number: int = 111) -> None:
        """Count an event that comes from no stream of the table."""
        record: Any = {
            "eventName": "INSERT",
            "dynamodb": {
                "Keys": {"RecordID": {"N": record_id}},
                "NewImage": {"Username": {"S": username}, "Score": {"N": score}},
                "SequenceNumber": str(number),
            },
        }
        Function(self.ledger, InMemoryParking()).invoke([record])

    def damage_entry(self, record_id: str, attributes: Mapping[str, Any]) -> None:
        """Write these attributes of an entry; None removes one."""
        item = self.tables.items(Table.LEDGER)[record_id] | dict(attributes)
        self.ledger.foreign_entries[record_id] = {name: value for name, value in item.items() if value is not None}

    def counted(self) -> dict[str, tuple[Decimal, int]]:
        """The totals of users with records, all of them numbers."""
        assert not self.ledger.foreign_totals
        return {user: total for user, total in self.ledger.totals.items() if total[1]}

    def reconcile(self, *, fix: bool = False) -> list[Finding]:
        self.summary = self.reconciliation().run(fix=fix)
        return list(self.snapshot.findings())

    def reconciliation(self) -> Reconciliation:
        def pause() -> None:
            self.pauses += 1
            self.on_pause()

        return Reconciliation(
            tables=self.tables,
            ledger=self.ledger,
            snapshot=self.snapshot,
            stream_arn=ARN,
            segments=1,
            workers=Threads(2),
            patience=lambda: Patience(lambda: 1.0, lambda _: None, Random(0).random),
            pause=pause,
            tell=self.lines.append,
            new_id=lambda: f"correction {next(self._ids)}",
        )


def test_no_drift_is_told_at_once() -> None:
    world = World()

    assert world.reconcile() == []
    assert world.summary == Summary(in_drift=0, left=0, unjudged=0, tests=0)
    assert world.pauses == 0
    assert world.lines == ["Reading the tables", "records: 3, entries: 3, totals: 2"], "nothing is in doubt"


@pytest.mark.parametrize("fix", [False, True])
def test_each_cause_is_told_and_repaired(fix: bool) -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1
    world.ledger.entries["9"] = Entry(OLD_VERSION, "cid", Decimal(5))
    world.ledger.totals |= {"cid": (Decimal(5), 1), "Dan": (Decimal(3), 0)}
    world.source.items[3] = score_image(3, "eve", "11")

    found = world.reconcile(fix=fix)

    assert set(found) == {
        Finding("ann", "1", Cause.NEVER_COUNTED, "nothing", "1", fix, False),
        Finding("bob", "3", Cause.OTHER_VALUE, "10", "nothing", fix, False),
        Finding("eve", "3", Cause.OTHER_VALUE, "nothing", "11", fix, False),
        Finding("cid", "9", Cause.ORPHANED, "5", "nothing", fix, False),
        Finding("Dan", None, Cause.MISCOUNTED, "3 0", "0 0", fix, False),
    }
    assert (world.summary.in_drift, world.summary.left) == (5, 0 if fix else 5)
    if fix:
        assert {id_: entry.version for id_, entry in world.ledger.entries.items() if id_ in ("1", "9")} == {
            "1": f"{LABEL}#{ZEROS}",
            "9": f"{LABEL}#{ZEROS}",
        }
        assert {user: total for user, total in world.ledger.totals.items() if total[1]} == world.source.sums()


def test_a_record_that_was_never_counted_is_counted_without_reading_the_ledger_again() -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1

    world.reconcile(fix=True)

    assert world.ledger.read_units == 0
    assert world.counted()["ann"] == (Decimal(3), 2)


def test_a_total_that_counts_more_records_than_the_ledger_was_counted_twice() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2

    assert world.reconcile() == [Finding("bob", None, Cause.COUNTED_TWICE, "20 2", "10 1", False, False)]


def test_what_is_counted_while_it_is_in_doubt_is_not_accused() -> None:
    world = World()
    world.put(4, "ann", "4")
    world.on_pause = world.count

    assert world.reconcile() == []
    assert world.summary.unjudged == 0
    assert world.pauses == 1, "what is sound is looked at no further"
    assert world.lines == [
        "Reading the tables",
        "records: 4, entries: 3, totals: 2",
        "Records in doubt: 1",
        "Records in doubt: 1",
    ]


def test_what_never_keeps_still_is_not_judged() -> None:
    world = World()

    def play() -> None:
        world.put(4, "ann", str(world.pauses))

    world.put(4, "ann", "4")
    world.on_pause = play

    assert world.reconcile() == []
    assert (world.summary.unjudged, world.summary.judgement) == (1, Judgement.NOT_JUDGED)
    assert "No drift" not in describe(world.summary)


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


def test_a_scan_that_fails_ends_the_others() -> None:
    world = World()
    scan, pages = world.tables.scan, itertools.count(1)

    def fail(table: Table, segment: int, start: Item | None, /) -> Page:
        if table is Table.RECORDS:
            raise PermissionError("AccessDeniedException")
        if table is Table.LEDGER:
            assert next(pages) < 100_000, "the ledger is read to the end, though its records cannot be"
            return Page([], {"RecordID": {"N": "1"}})
        return scan(table, segment, start)

    world.tables.scan = fail  # type: ignore[method-assign]

    with pytest.raises(PermissionError):
        world.reconcile()


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


class LastFirst:
    """Workers who begin with the last item."""

    def map(self, work: Callable[[Any], Any], items: Sequence[Any], /) -> list[Any]:
        return [work(item) for item in reversed(items)][::-1]


def test_totals_are_read_before_and_after_the_entries_that_they_are_measured_by() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    scanned: list[str] = []
    add_entries, add_totals = world.snapshot.add_entries, world.snapshot.add_totals

    def noted(add: Callable[..., None], scan: str, *rest: Any) -> None:
        scanned.extend([scan] if scan not in scanned else [])
        add(scan, *rest)

    world.snapshot.add_entries = partial(noted, add_entries)  # type: ignore[method-assign]
    world.snapshot.add_totals = partial(noted, add_totals)  # type: ignore[method-assign]
    world.on_pause = scanned.clear
    replace(world.reconciliation(), workers=LastFirst()).run(fix=False)

    assert world.pauses > 0
    assert scanned == ["before", "recount", "after"]


@pytest.mark.parametrize("at", [2, 5, 7])
def test_an_interrupted_scan_goes_on_where_it_was(tmp_path: Path, at: int) -> None:
    def drifted(file: Path) -> World:
        world = World(file)
        for record_id in 4, 5, 6, 7:
            world.put(record_id, "ann", "1")
        world.count()
        world.ledger.totals["bob"] = Decimal(20), 2
        return world

    world = drifted(tmp_path / "snapshot")
    world.reconcile()
    scans = world.tables.scans
    world.tables.scans = 0
    interrupted = drifted(tmp_path / "other")
    scan = interrupted.tables.scan

    def interrupt(table: Table, segment: int, start: Item | None, /) -> Page:
        if interrupted.tables.scans == at:
            raise KeyboardInterrupt
        return scan(table, segment, start)

    interrupted.tables.scan = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        interrupted.reconcile()
    interrupted.snapshot.close()
    interrupted.snapshot = Snapshot(tmp_path / "other")
    interrupted.tables.scan = scan  # type: ignore[method-assign]
    found = interrupted.reconcile()

    assert [finding.username for finding in found] == ["bob"]
    assert interrupted.tables.scans == scans


@pytest.mark.parametrize("interrupted_at", range(1, 13))
def test_what_changes_between_an_interrupt_and_the_next_run_hides_no_drift(tmp_path: Path, interrupted_at: int) -> None:
    """Bob's total lacks a record; it was read before he got another of the same score, the ledger after it, or so."""
    world = World(tmp_path / "snapshot")
    for record_id in 4, 5, 6:
        world.put(record_id, "cid", "5")
    world.count()
    world.ledger.totals["cid"] = Decimal(10), 2
    world.put(7, "ann", "1")  # in doubt, so there are looks to interrupt
    scan = world.tables.scan

    def interrupt(table: Table, segment: int, start: Item | None, /) -> Page:
        if world.tables.scans == interrupted_at:
            raise KeyboardInterrupt
        return scan(table, segment, start)

    world.tables.scan = interrupt  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.reconcile()
    world.tables.scan = scan  # type: ignore[method-assign]
    world.snapshot.close()
    world.put(8, "cid", "5")
    world.count()

    world.snapshot = Snapshot(tmp_path / "snapshot")
    found = world.reconcile()

    assert [(finding.username, finding.present, finding.expected) for finding in found] == [("cid", "15 3", "20 4")]
    assert world.summary.judgement is Judgement.WRONG


def test_what_was_read_before_repairs_is_read_again_after_an_interrupt(tmp_path: Path) -> None:
    world = World(tmp_path / "snapshot")
    world.reconcile(fix=True)
    world.snapshot.close()
    scans = world.tables.scans

    world.snapshot = Snapshot(tmp_path / "snapshot")
    world.reconcile()

    assert world.tables.scans == 2 * scans


@pytest.mark.parametrize("fix", [False, True])
def test_a_test_event_is_named_and_can_be_taken_back_and_is_no_drift(fix: bool) -> None:
    world = World()
    world.count_test_event("7", "Jane Doe", "100")

    found = world.reconcile(fix=fix)

    assert found == [Finding("Jane Doe", "7", Cause.TEST_EVENT, "100", "nothing", fix, True)]
    assert world.summary == Summary(in_drift=0, left=0, unjudged=0, tests=0 if fix else 1)
    assert world.summary.judgement is Judgement.EXACT
    assert world.pauses == 0, "nothing that is on its way explains a test event"
    assert ("make reconcile FIX=1" in describe(world.summary)) is not fix
    assert world.ledger.totals["Jane Doe"] == ((Decimal(0), 0) if fix else (Decimal(100), 1))


def test_a_test_event_that_was_taken_back_leaves_room_for_the_next_one() -> None:
    world = World()
    world.count_test_event("7", "Jane Doe", "100")
    world.reconcile(fix=True)

    world.count_test_event("7", "Jane Doe", "150", number=112)

    assert world.ledger.totals["Jane Doe"] == (Decimal(150), 1)


def test_a_test_event_for_a_record_that_exists_is_drift_when_it_differs() -> None:
    world = World()
    world.source.items[7] = score_image(7, "ann", "3")
    world.source.items[8] = score_image(8, "ann", "4")
    world.count_test_event("7", "ann", "5")
    world.count_test_event("8", "ann", "4")

    assert world.reconcile() == [Finding("ann", "7", Cause.OTHER_VALUE, "5", "3", False, False)]
    assert (world.summary.judgement, world.summary.tests) == (Judgement.WRONG, 0)


def test_a_change_that_is_on_its_way_to_where_a_test_event_was_is_waited_for() -> None:
    world = World()
    world.count_test_event("4", "ann", "5")
    world.put(4, "ann", "4")
    world.on_pause = world.count

    assert world.reconcile() == []
    assert world.pauses == 1


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


def test_every_page_of_records_in_doubt_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "READ_ITEMS", 1)
    monkeypatch.setattr(reconciliation, "_COUNTED_AT_ONCE", 1)
    world = World()
    world.ledger.entries.clear()
    world.ledger.totals.clear()

    assert [each.record_id for each in world.reconcile()] == ["1", "2", "3"]


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


@pytest.mark.parametrize("fix", [False, True])
def test_what_was_read_is_kept_unless_it_is_repaired(fix: bool, tmp_path: Path) -> None:
    world = World(tmp_path / "snapshot")
    world.reconcile(fix=fix)
    world.snapshot.close()

    assert Snapshot(tmp_path / "snapshot").size()["records"] == (0 if fix else 3)


def test_a_record_that_can_never_be_counted_is_blamed_itself() -> None:
    world = World()
    world.put(4, "cid", "9" * 38 + "0" * 88)
    world.count()
    world.put(5, "cid", "9" * 38 + "0" * 88)
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1

    found = {each.record_id: each for each in world.reconcile(fix=True)}

    assert (found["1"].repaired, found["1"].cause) == (True, Cause.NEVER_COUNTED)
    assert not found["5"].repaired
    assert found["5"].cause.startswith(f"{Cause.NEVER_COUNTED}; not repaired: Number overflow")


def test_what_is_counted_while_the_ledger_is_read_is_not_doubted() -> None:
    world = World()
    scan, scanned, lock = world.tables.scan, list[Table](), Lock()

    def scan_beside_a_player(table: Table, segment: int, start: Item | None, /) -> Page:
        with lock:
            if table is not Table.TOTALS and Table.TOTALS in scanned and scanned[-1] is Table.TOTALS:
                world.put(4, "ann", "4")
                world.count()
            scanned.append(table)
        return scan(table, segment, start)

    world.tables.scan = scan_beside_a_player  # type: ignore[method-assign]

    assert world.reconcile() == []
    assert world.lines == ["Reading the tables", "records: 4, entries: 4, totals: 2"]


def test_an_interrupted_scan_of_the_totals_goes_on_behind_what_was_read() -> None:
    world = World()
    for number in range(100):
        world.ledger.totals[f"user-{number}"] = Decimal(1), 1
    scan, left = world.tables.scan, iter(range(3))

    def scan_until_interrupted(table: Table, segment: int, start: Item | None, /) -> Page:
        if next(left, None) is None:
            raise UserError("interrupted")
        return scan(table, segment, start)

    world.tables.scan = scan_until_interrupted  # type: ignore[method-assign]
    with pytest.raises(UserError):
        world.reconcile()

    assert world.snapshot.position("before", 0) == (False, {"Username": {"S": "user-11"}})


def test_an_interrupt_stops_a_scan() -> None:
    world = World()
    for number in range(100):
        world.ledger.totals[f"user-{number}"] = Decimal(1), 1
    scan, pages, threads = world.tables.scan, list[Page](), list[Thread]()

    def scan_slowly(table: Table, segment: int, start: Item | None, /) -> Page:
        time.sleep(0.02)
        pages.append(scan(table, segment, start))
        return pages[-1]

    class Interrupted:
        def map(self, work: Callable[[Any], Any], items: Sequence[Any], /) -> list[Any]:
            threads.append(Thread(target=work, args=(items[0],)))
            threads[0].start()
            raise KeyboardInterrupt

    world.tables.scan = scan_slowly  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        replace(world.reconciliation(), workers=Interrupted()).run(fix=False)
    threads[0].join(10)

    assert len(pages) < 10


def test_an_orphan_of_a_record_without_a_score_is_withdrawn_as_of_the_present_stream() -> None:
    world = World()
    world.source.items[7] = {"RecordID": {"N": "7"}}
    world.ledger.entries["7"] = Entry(OLD_VERSION, "cid", Decimal(5))
    world.ledger.totals["cid"] = Decimal(5), 1

    world.reconcile(fix=True)

    assert world.ledger.entries["7"] == Entry(f"{LABEL}#{ZEROS}", None, Decimal(0))


def test_a_score_that_counts_for_another_user_is_drift() -> None:
    world = World()
    world.ledger.entries["3"] = world.ledger.entries["3"]._replace(username="ann")
    world.ledger.totals = {"ann": (Decimal(13), 3)}

    assert set(world.reconcile()) == {
        Finding("ann", "3", Cause.OTHER_VALUE, "10", "nothing", False, False),
        Finding("bob", "3", Cause.OTHER_VALUE, "nothing", "10", False, False),
    }


def test_each_correction_has_a_name_of_its_own() -> None:
    world = World()
    for _ in range(2):
        world.ledger.totals["bob"] = Decimal(20), 2
        world.snapshot = Snapshot(":memory:")
        world.reconcile(fix=True)

    assert world.counted() == world.source.sums()


def test_records_in_doubt_are_read_together() -> None:
    world = World()
    world.ledger.entries.clear()
    read, sizes = world.tables.read, list[int]()

    def read_and_note(record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        sizes.append(len(record_ids))
        return read(record_ids)

    world.tables.read = read_and_note  # type: ignore[method-assign]
    world.reconcile()

    assert set(sizes) == {3}


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


def test_a_test_event_for_a_record_without_a_score_is_orphaned() -> None:
    world = World()
    world.source.items[7] = {"RecordID": {"N": "7"}}
    world.count_test_event("7", "ann", "5")

    assert [(each.record_id, each.cause, each.is_test) for each in world.reconcile()] == [("7", Cause.ORPHANED, False)]


def test_a_record_that_is_changed_after_it_was_accused_is_not_judged() -> None:
    world = World()
    world.source.items[3] = score_image(3, "bob", "11")
    judge_totals = world.tables.scan

    def scan(table: Table, segment: int, start: Item | None, /) -> Page:
        if world.pauses > 2:
            world.source.items[3] = score_image(3, "bob", "12")
        return judge_totals(table, segment, start)

    world.ledger.totals["ann"] = Decimal(0), 0  # so that the totals are scanned once more
    world.tables.scan = scan  # type: ignore[method-assign]

    assert [each.username for each in world.reconcile()] == ["ann"]
    assert (world.summary.left, world.summary.unjudged) == (1, 1)
