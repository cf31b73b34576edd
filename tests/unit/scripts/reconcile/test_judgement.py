"""What is wrong with an entry, in which words, and which change repairs it."""

from decimal import Decimal

import pytest

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry, is_stale
from handlers.shared import decimals
from scripts.reconcile.judgement import Cause, Pair, difference, is_correctable, read_entry
from scripts.reconcile.snapshot import Suspect
from scripts.reconcile.tables import Item
from tests.fakes.stream import LABEL, NOW, score_image
from tests.unit.scripts.reconcile.conftest import OLD_VERSION, ZEROS


def test_a_cause_is_told_in_words() -> None:
    assert [str(cause) for cause in Cause] == [
        "never counted",
        "counted with another value",
        "orphaned: counted, but the record is gone or holds no score",
        "the ledger entry is damaged",
        "counted from a test event, no record behind it",
        "the total counts more records than the ledger: counted twice, or entries were deleted",
        "the total is not the ledger's sum: somebody else wrote it",
        "the total is damaged: an attribute is missing or is not a number",
        "the sum does not fit a DynamoDB number, so the total cannot be corrected",
    ]


@pytest.mark.parametrize(
    ("sum_", "is_right"),
    [
        (Decimal("9.99E+125"), True),
        (Decimal("1E+126"), False),
        (Decimal("1E-130"), True),
        (Decimal("1E-131"), False),
        (Decimal(10**38), True),
        (Decimal(10**38 + 1), False),
        (-Decimal(10**38 - 1), True),
    ],
)
def test_a_total_can_be_corrected_to_what_a_dynamodb_number_can_be(sum_: Decimal, is_right: bool) -> None:
    suspect = Suspect("ann", "0 0", {}, f"{decimals.canonical(sum_)} 1", None)

    assert is_correctable(suspect) is is_right
    assert (difference(suspect).cause is Cause.TOO_LARGE) is not is_right


def test_a_test_event_for_a_record_that_holds_no_score_is_orphaned() -> None:
    record = Change("1", f"{LABEL}#{ZEROS}", None, Decimal(0), False, 0, NOW)
    entry = Entry(f"#{111:040}", "ann", Decimal(1))

    assert Pair(record, True, {}, entry, None).cause is Cause.ORPHANED
    assert Pair(record, False, {}, entry, None).cause is Cause.TEST_EVENT


def test_a_version_of_the_stream_needs_a_sequence_number() -> None:
    sound: Item = {**score_image(1, "ann", "1"), "Version": {"S": f"{LABEL}#{7:040}"}}

    assert read_entry(sound, LABEL).damage is None
    for version in f"{LABEL}#", f"{LABEL}#7", f"{LABEL}#{7:039}", "9999":
        damage = read_entry({**sound, "Version": {"S": version}}, LABEL).damage
        assert damage == "Version is above those of all changes of the table's stream", version


def test_a_version_with_a_sign_more_is_sound() -> None:
    item: Item = {"RecordID": {"N": "1"}, "Version": {"S": f"{LABEL}#{7:040}++"}}

    assert read_entry(item, LABEL) == (Entry(f"{LABEL}#{7:040}++", None, Decimal(0)), None)


def test_a_damaged_entry_is_a_finding_of_the_user_whom_it_names_and_of_the_records() -> None:
    item: Item = {"RecordID": {"N": "1"}, "Version": {"S": "v"}, "Username": {"S": "eve"}, "Score": {"S": "many"}}
    record = Change("1", f"{LABEL}#{ZEROS}", "bob", Decimal(2), True, 0, NOW)
    found = Pair(record, True, item, *read_entry(item, LABEL)).findings()

    assert [(each.username, each.present, each.expected) for each in found] == [
        ("bob", "nothing", "2"),
        ("eve", "unreadable", "nothing"),
    ]


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (None, f"{LABEL}#{ZEROS}"),
        (Entry(OLD_VERSION, "ann", Decimal(1)), f"{LABEL}#{ZEROS}"),
        (Entry(f"#{111:040}", "ann", Decimal(1)), f"{LABEL}#{ZEROS}"),
        (Entry(f"{LABEL}#{7:040}", "ann", Decimal(1)), f"{LABEL}#{7:040}+"),
        (Entry(f"{LABEL}#{7:040}+", "ann", Decimal(1)), f"{LABEL}#{7:040}++"),
        (Entry(f"{LABEL}#{7:040}", None, Decimal(0)), f"{LABEL}#{7:040}"),
        (Entry(f"{LABEL}#{7:040}+", None, Decimal(0)), f"{LABEL}#{7:040}+"),
        (Entry(OLD_VERSION, None, Decimal(0)), f"{LABEL}#{ZEROS}"),
    ],
)
def test_a_repair_sorts_behind_what_it_replaces_and_before_every_change_to_come(
    entry: Entry | None, version: str
) -> None:
    record = Change("1", f"{LABEL}#{ZEROS}", "ann", Decimal(2), True, 0, NOW)

    assert Pair(record, True, None, Entry(version, "ann", Decimal(2)), None).findings() == []
    repair = Pair(record, True, None, entry, None).repair()
    assert (repair.version, repair.is_insert) == (version, entry is None)
    # A tombstone gives way to a score of its own version, and the ledger adds the sign (ledger.transaction).
    assert is_stale(record._replace(version=version), entry) is False
    assert (entry.version if entry else "") <= version < f"{LABEL}#{8:040}"


@pytest.mark.parametrize(
    ("held", "mended"),
    [("", f"{LABEL}#{ZEROS}"), (f"{LABEL}#{7:040}", f"{LABEL}#{7:040}+"), (OLD_VERSION, f"{LABEL}#{ZEROS}")],
)
def test_a_mended_entry_sorts_behind_the_damaged_one_and_before_every_change_to_come(held: str, mended: str) -> None:
    record = Change("1", f"{LABEL}#{ZEROS}", "ann", Decimal(2), True, 0, NOW)
    entry = Entry(held, "bob", Decimal(1))

    assert Pair(record, True, {}, entry, "damage").mended() == entry._replace(version=mended)
