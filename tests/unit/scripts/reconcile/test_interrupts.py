"""How reconcile reads the tables, and goes on after an interrupt."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from scripts.cli import UserError
from scripts.reconcile.judgement import Judgement
from scripts.reconcile.snapshot import Snapshot
from scripts.reconcile.tables import Item, Page, Table
from tests.unit.scripts.reconcile.conftest import World


def interrupt(world: World, pages: int) -> None:
    """Run a reconcile that is interrupted once it has read so many pages."""
    scan = world.tables.scan

    def interrupted(table: Table, segment: int, start: Item | None, /) -> Page:
        if world.tables.scans == pages:
            raise KeyboardInterrupt
        return scan(table, segment, start)

    world.tables.scan = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.reconcile()
    world.tables.scan = scan  # type: ignore[method-assign]
    world.snapshot.close()


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
    interrupt(interrupted, at)
    interrupted.snapshot = Snapshot(tmp_path / "other")
    found = interrupted.reconcile()

    assert [finding.username for finding in found] == ["bob"]
    assert interrupted.tables.scans == scans


@pytest.mark.parametrize("interrupted_at", range(1, 13))
def test_what_changes_between_an_interrupt_and_the_next_run_hides_no_drift(tmp_path: Path, interrupted_at: int) -> None:
    """Cid's total lacks a record. It may be read before Cid gets another of the same score, and the ledger after it."""
    world = World(tmp_path / "snapshot")
    for record_id in 4, 5, 6:
        world.put(record_id, "cid", "5")
    world.count()
    world.ledger.totals["cid"] = Decimal(10), 2
    world.put(7, "ann", "1")  # in doubt, so there are looks to interrupt
    interrupt(world, interrupted_at)
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
def test_what_was_read_is_kept_unless_it_is_repaired(fix: bool, tmp_path: Path) -> None:
    world = World(tmp_path / "snapshot")
    world.reconcile(fix=fix)
    world.snapshot.close()

    assert Snapshot(tmp_path / "snapshot").size()["records"] == (0 if fix else 3)


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
