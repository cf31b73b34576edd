"""Reconcile: what it accuses of what, what it leaves alone, and how it goes on after an interrupt."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry, Transaction
from handlers.shared.errors import RefusedError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.reconciliation import Cause, Reconciliation, repair
from scripts.score_tables import Item, Page, Table, Throttle
from scripts.snapshot import Finding, Snapshot
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.score_tables import InMemoryScoreTables
from tests.fakes.stream import ARN, LABEL, SourceTable, score_image

ZEROS = "0" * 40


class World:
    """Tables in which ann has 1 and 2, and bob has 10, all of it counted."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        self.source = SourceTable(100)
        self.ledger = InMemoryLedger()
        self.tables = InMemoryScoreTables(self.source, self.ledger)
        self.snapshot = Snapshot(path)
        self.pauses = 0
        self.on_pause: Callable[[], None] = lambda: None
        for record_id, username, score in (1, "ann", "1"), (2, "ann", "2"), (3, "bob", "10"):
            self.put(record_id, username, score)
        self.count()

    def put(self, record_id: int, username: str, score: str) -> None:
        self.source.put(record_id, score_image(record_id, username, score))

    def count(self) -> None:
        """Deliver the whole stream, of which the ledger drops what it knows."""
        Function(self.ledger, InMemoryParking()).invoke(self.source.stream)

    def reconcile(self, *, fix: bool = False) -> list[Finding]:
        self.verdict = self.reconciliation().run(fix=fix)
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
            tell=lambda _: None,
        )


def test_no_drift_is_told_at_once() -> None:
    world = World()

    assert world.reconcile() == []
    assert (world.verdict.in_drift, world.verdict.left, world.pauses) == (0, 0, 0)


@pytest.mark.parametrize("fix", [False, True])
def test_each_cause_is_told_and_repaired(fix: bool) -> None:
    world = World()
    del world.ledger.entries["1"]
    world.ledger.totals["ann"] = Decimal(2), 1
    world.ledger.entries["9"] = Entry("#1", "cid", Decimal(5))
    world.ledger.totals |= {"cid": (Decimal(5), 1), "dan": (Decimal(3), 0)}
    world.source.items[3] = score_image(3, "eve", "11")

    found = world.reconcile(fix=fix)

    assert set(found) == {
        Finding("ann", "1", Cause.NEVER_COUNTED, "nothing", "1", fix),
        Finding("bob", "3", Cause.OTHER_VALUE, "10", "nothing", fix),
        Finding("eve", "3", Cause.OTHER_VALUE, "nothing", "11", fix),
        Finding("cid", "9", Cause.ORPHANED, "5", "nothing", fix),
        Finding("dan", None, Cause.MISCOUNTED, "3 0", "0 0", fix),
    }
    assert (world.verdict.in_drift, world.verdict.left) == (5, 0 if fix else 5)
    if fix:
        assert {user: total for user, total in world.ledger.totals.items() if total[1]} == world.source.sums()


def test_a_total_that_counts_more_records_than_the_ledger_was_counted_twice() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2

    assert world.reconcile() == [Finding("bob", None, Cause.COUNTED_TWICE, "20 2", "10 1", False)]


def test_what_is_counted_while_it_is_in_doubt_is_not_accused() -> None:
    world = World()
    world.put(4, "ann", "4")
    world.on_pause = world.count

    assert world.reconcile() == []
    assert world.verdict.unjudged == 0


def test_what_never_keeps_still_is_not_judged() -> None:
    world = World()

    def play() -> None:
        world.put(4, "ann", str(world.pauses))

    world.put(4, "ann", "4")
    world.on_pause = play

    assert world.reconcile() == []
    assert world.verdict.unjudged == 1


def test_a_total_that_could_not_be_corrected_is_not_called_repaired() -> None:
    world = World()
    world.ledger.totals["bob"] = Decimal(20), 2
    world.tables.correct = lambda *_: False  # type: ignore[method-assign]

    found = world.reconcile(fix=True)

    assert [(finding.username, finding.repaired) for finding in found] == [("bob", False)]
    assert (world.verdict.in_drift, world.verdict.left) == (1, 1)
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
    assert (world.verdict.in_drift, world.verdict.left) == (1, 1)


def test_an_interrupted_scan_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(tmp_path / "snapshot")
    world.ledger.totals["bob"] = Decimal(20), 2
    world.reconcile()
    scans = world.tables.scans
    world.tables.scans = 0
    interrupted = World(tmp_path / "other")
    interrupted.ledger.totals["bob"] = Decimal(20), 2
    scan = interrupted.tables.scan

    def interrupt(table: Table, segment: int, start: Item | None, /) -> Page:
        if interrupted.tables.scans == 2:
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


def test_what_was_read_before_repairs_is_read_again_after_an_interrupt(tmp_path: Path) -> None:
    world = World(tmp_path / "snapshot")
    world.reconcile(fix=True)
    world.snapshot.close()
    scans = world.tables.scans

    world.snapshot = Snapshot(tmp_path / "snapshot")
    world.reconcile()

    assert world.tables.scans == 2 * scans


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (None, f"{LABEL}#{ZEROS}"),
        (Entry("2025-01-01T00:00:00.000#9", "ann", Decimal(1)), f"{LABEL}#{ZEROS}"),
        (Entry(f"{LABEL}#{7:040}", "ann", Decimal(1)), f"{LABEL}#{7:040}+"),
        (Entry(f"{LABEL}#{7:040}+", "ann", Decimal(1)), f"{LABEL}#{7:040}++"),
    ],
)
def test_a_repair_sorts_behind_what_it_replaces_and_before_every_change_to_come(
    entry: Entry | None, version: str
) -> None:
    record = Change("1", f"{LABEL}#{ZEROS}", "ann", Decimal(2), True, 0)

    assert repair(record, entry).version == version
    assert (entry.version if entry else "") < version < f"{LABEL}#{8:040}"


def test_reading_keeps_to_its_rate() -> None:
    now, pauses = 100.0, list[float]()
    throttle = Throttle(10, clock=lambda: now, sleep=pauses.append)

    throttle.spend(5)
    throttle.spend(5)

    assert pauses == [0.5, 1.0]
