"""What a snapshot makes of what reconcile reads: which records are doubted, and which totals are suspected."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import Item
from tests.fakes.stream import NOW


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot(":memory:")


def total(score: str, records: str, username: str = "ann") -> Item:
    return {"Username": {"S": username}, "Score": {"N": score}, "RecordCount": {"N": records}}


def record(record_id: str, username: str | None, score: str) -> Change:
    return Change(record_id, "v", username, Decimal(score), True, 0, NOW)


def entry(score: str, version: str = "v") -> tuple[Entry, bool]:
    return Entry(version, "ann", Decimal(score)), False


def test_what_was_read_before_repairs_began_is_forgotten(tmp_path: Path) -> None:
    def reopened(snapshot: Snapshot) -> Snapshot:
        snapshot.close()
        return Snapshot(tmp_path / "snapshot")

    snapshot = Snapshot(tmp_path / "snapshot")
    snapshot.add_records("records", 0, None, [record("1", "ann", "1")])
    snapshot.add_entries("entries", 0, None, {"1": entry("1")})
    for scan in "before", "after":
        snapshot.add_totals(scan, 0, None, [total("1", "1")])
    snapshot = reopened(snapshot)
    assert snapshot.size() == {"records": 1, "entries": 1, "totals": 1}

    snapshot.use_up()

    snapshot = reopened(snapshot)
    assert snapshot.size() == {"records": 0, "entries": 0, "totals": 0}
    snapshot.add_entries("entries", 0, None, {"1": entry("1")})
    snapshot.suspect_everyone()
    snapshot.measure("entries")
    assert [each.username for each in snapshot.suspects(0)] == ["ann"], "her total is gone"


def test_a_scan_goes_on_where_it_was_interrupted(snapshot: Snapshot) -> None:
    scans: dict[str, Callable[[str, Item | None], None]] = {
        "records": lambda scan, next_: snapshot.add_records(scan, 3, next_, []),
        "entries": lambda scan, next_: snapshot.add_entries(scan, 3, next_, {}),
        "before": lambda scan, next_: snapshot.add_totals(scan, 3, next_, []),
    }
    for scan, add in scans.items():
        assert snapshot.position(scan, 3) == (False, None)
        add(scan, total("1", "1"))
        assert snapshot.position(scan, 3) == (False, total("1", "1"))
        add(scan, None)
        assert snapshot.position(scan, 3) == (True, None)


def test_a_tombstone_is_no_entry_of_the_snapshot(snapshot: Snapshot) -> None:
    snapshot.add_entries("entries", 0, None, {"1": (Entry("v", None, Decimal(0)), False)})

    assert (snapshot.size()["entries"], snapshot.find_doubts()) == (0, 0)


def test_records_in_doubt_and_suspects_are_both_unjudged(snapshot: Snapshot) -> None:
    snapshot.add_records("records", 0, None, [record("1", "ann", "1")])
    snapshot.find_doubts()
    for username in "ann", "bob":
        snapshot.add_totals("after", 0, None, [total("1", "1", username)])
    snapshot.suspect_everyone()

    assert snapshot.unjudged() == 1 + 2


def test_a_record_of_zero_without_an_entry_is_doubted(snapshot: Snapshot) -> None:
    snapshot.add_records("records", 0, None, [record("1", "ann", "0")])

    assert snapshot.find_doubts() == 1


@pytest.mark.parametrize("are_cleared", [False, True])
def test_every_suspect_is_told_whether_or_not_those_before_are_cleared(snapshot: Snapshot, are_cleared: bool) -> None:
    names = [f"user-{number:03}" for number in range(250)]
    for scan in "before", "after":
        snapshot.add_totals(scan, 0, None, [total("1", "1", name) for name in names])
    snapshot.suspect_everyone()
    snapshot.measure("entries")
    told = []

    for each in snapshot.suspects(0):
        told.append(each.username)
        if are_cleared:
            snapshot.clear(each.username)

    assert told == names


def test_what_was_found_first_of_a_suspect_is_kept(snapshot: Snapshot) -> None:
    first, second = (Finding("ann", None, cause, "1 1", "0 0", False, False) for cause in ("first", "second"))
    for scan in "before", "after":
        snapshot.add_totals(scan, 0, None, [total("1", "1")])
    snapshot.suspect_everyone()
    snapshot.measure("entries")

    for finding in first, second:
        snapshot.accuse("ann", finding)

    assert [each.finding for each in snapshot.accused()] == [first]


def test_what_was_found_before_an_interrupt_is_found_anew(tmp_path: Path) -> None:
    interrupted = Snapshot(tmp_path / "snapshot")
    interrupted.find(Finding(None, "1", "cause", "1", "2", False, False))
    interrupted.close()

    assert list(Snapshot(tmp_path / "snapshot").findings()) == []


def test_every_finding_is_told_in_order(snapshot: Snapshot) -> None:
    found = [Finding(None, str(number), "cause", "1", "2", False, False) for number in range(250)]
    for each in found:
        snapshot.find(each)

    assert list(snapshot.findings()) == found


def test_what_was_seen_last_of_a_doubted_record_is_what_was_found(snapshot: Snapshot) -> None:
    first, last = (Finding("ann", "1", "cause", present, "2", False, False) for present in ("0", "1"))
    snapshot.add_records("records", 0, None, [record("1", "ann", "2")])
    snapshot.find_doubts()

    for finding in first, last:
        snapshot.see("1", finding.present, [finding], 0)
    snapshot.conclude("1", sound=False)

    assert list(snapshot.findings()) == [last]


def test_a_doubt_that_ends_before_a_look_has_found_nothing(snapshot: Snapshot) -> None:
    snapshot.add_records("records", 0, None, [record("1", "ann", "1")])
    snapshot.find_doubts()

    snapshot.conclude("1", sound=False, problem="problem")

    assert (snapshot.doubtful(), list(snapshot.findings())) == (0, [])


def test_a_doubted_record_is_accused_the_moment_it_was_seen_unchanged_often_enough(snapshot: Snapshot) -> None:
    snapshot.add_records("records", 0, None, [record("1", "ann", "1")])
    assert snapshot.find_doubts() == 1

    accused = []
    for seen in "a", "a", "b", "b", "b":
        snapshot.see("1", seen, [], 2)
        accused.append(not snapshot.doubtful())

    assert accused == [False, False, False, False, True]


def test_a_record_without_a_score_needs_no_entry(snapshot: Snapshot) -> None:
    snapshot.add_records("records", 0, None, [record("1", None, "0")])

    assert snapshot.find_doubts() == 0


@pytest.mark.parametrize("times", [("before",), ("after",), ("before", "after")])
def test_a_total_that_was_the_sum_before_or_after_the_entries_were_read_is_cleared(
    times: tuple[str, ...], snapshot: Snapshot
) -> None:
    snapshot.add_entries("entries", 0, None, {"1": entry("1")})
    for scan in "before", "after":
        snapshot.add_totals(scan, 0, None, [total("1", "1") if scan in times else total("5", "2")])
    snapshot.suspect_everyone()

    snapshot.measure("entries")

    assert list(snapshot.suspects(0)) == []


def measured(snapshot: Snapshot, before: str, after: str, entries: dict[str, tuple[Entry, bool]]) -> int:
    """How often the last measure of ann is what it was, once more is taken."""
    snapshot.look_again()
    snapshot.add_totals("before", 0, None, [total(before, "9")])
    snapshot.add_entries("recount", 0, None, entries)
    snapshot.add_totals("after", 0, None, [total(after, "9")])
    snapshot.measure("recount")
    return max(steady for steady in range(9) if list(snapshot.suspects(steady)))


def test_a_measure_is_steady_when_totals_sum_and_versions_are_what_they_were(snapshot: Snapshot) -> None:
    entries = {str(number): entry("1") for number in range(200)}
    snapshot.add_totals("after", 0, None, [total("7", "9")])
    snapshot.suspect_everyone()

    assert measured(snapshot, "7", "7", entries) == 0
    assert measured(snapshot, "7", "7", entries) == 1
    assert measured(snapshot, "7", "7", entries) == 2
    for changed in "0", "100", "199":
        assert measured(snapshot, "7", "7", entries | {changed: entry("1", "w")}) == 0, "a version changed"
        assert measured(snapshot, "7", "7", entries) == 0
    assert measured(snapshot, "7", "7", entries) == 1
    assert measured(snapshot, "6", "7", entries) == 0, "the total changed while the entries were read"
    assert measured(snapshot, "7", "7", entries) == 0
    assert measured(snapshot, "8", "8", entries) == 0
    assert measured(snapshot, "8", "8", entries | {"0": entry("2")}) == 0, "the sum changed"
    assert measured(snapshot, "8", "8", entries | {"0": entry("2")}) == 1
    del entries["0"]
    assert measured(snapshot, "8", "8", entries) == 0, "an entry is gone"


def test_a_user_without_a_total_is_suspected(snapshot: Snapshot) -> None:
    snapshot.add_entries("entries", 0, None, {"1": entry("1")})
    snapshot.suspect_everyone()
    snapshot.measure("entries")

    assert [(each.total, each.sum) for each in snapshot.suspects(0)] == [("0 0", "1 1")]
