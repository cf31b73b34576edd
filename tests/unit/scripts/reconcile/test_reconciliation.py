"""Reconcile: what it accuses of what, and what it leaves alone."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from threading import Lock

import pytest

from handlers.aggregate_scores_by_user.ledger import Entry
from scripts.reconcile import reconciliation
from scripts.reconcile.judgement import Cause, Judgement, Summary
from scripts.reconcile.reconcile import describe
from scripts.reconcile.snapshot import Finding
from scripts.reconcile.tables import Item, Page, Table
from tests.fakes.stream import LABEL, score_image
from tests.unit.scripts.reconcile.conftest import OLD_VERSION, ZEROS, World


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


def test_every_page_of_records_in_doubt_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "READ_ITEMS", 1)
    monkeypatch.setattr(reconciliation, "_COUNTED_AT_ONCE", 1)
    world = World()
    world.ledger.entries.clear()
    world.ledger.totals.clear()

    assert [each.record_id for each in world.reconcile()] == ["1", "2", "3"]


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


def test_a_score_that_counts_for_another_user_is_drift() -> None:
    world = World()
    world.ledger.entries["3"] = world.ledger.entries["3"]._replace(username="ann")
    world.ledger.totals = {"ann": (Decimal(13), 3)}

    assert set(world.reconcile()) == {
        Finding("ann", "3", Cause.OTHER_VALUE, "10", "nothing", False, False),
        Finding("bob", "3", Cause.OTHER_VALUE, "nothing", "10", False, False),
    }


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
