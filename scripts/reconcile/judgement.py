"""The rules of reconcile, without reading or writing: what is wrong with an entry or a total, and what repairs it."""

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError
from scripts.reconcile.snapshot import DAMAGED, Finding, Suspect
from scripts.reconcile.tables import Item

_SEQUENCE_NUMBER = re.compile(r"\d{40}", re.ASCII)


class Cause(StrEnum):
    """What is wrong, as far as the tables tell."""

    NEVER_COUNTED = "never counted"
    OTHER_VALUE = "counted with another value"
    ORPHANED = "orphaned: counted, but the record is gone or holds no score"
    DAMAGED_ENTRY = "the ledger entry is damaged"
    TEST_EVENT = "counted from a test event, no record behind it"
    COUNTED_TWICE = "the total counts more records than the ledger: counted twice, or entries were deleted"
    MISCOUNTED = "the total is not the ledger's sum: somebody else wrote it"
    DAMAGED_TOTAL = "the total is damaged: an attribute is missing or is not a number"
    TOO_LARGE = "the sum does not fit a DynamoDB number, so the total cannot be corrected"


class Judgement(StrEnum):
    """The three answers of reconcile."""

    EXACT = "exact"
    WRONG = "wrong"
    NOT_JUDGED = "not judged"


class Summary(NamedTuple):
    """The result of a reconcile."""

    in_drift: int
    """Users with at least one finding, test events aside."""
    left: int
    """Those of them who are not repaired."""
    unjudged: int
    """Records and totals that never kept still."""
    tests: int
    """Entries counted from test events, with no record behind them, that were not taken back."""

    @property
    def judgement(self) -> Judgement:
        """Exact only when everything was judged, and nothing is left in drift."""
        if self.left:
            return Judgement.WRONG
        return Judgement.NOT_JUDGED if self.unjudged else Judgement.EXACT

    def as_json(self) -> dict[str, Any]:
        """Return the summary as a script reads it."""
        return {"verdict": self.judgement, **self._asdict()}


class Reading(NamedTuple):
    """An item of the ledger, as reconcile reads it."""

    entry: Entry | None
    """What it counts, which mending does not change; nothing where that is unreadable. None for no item."""
    damage: str | None
    """What is wrong with the item itself."""


def read_entry(item: Item | None, stream_label: str) -> Reading:
    """Read an item of the ledger that may hold anything.

    Where the function reads an entry, this reads the same one. Some that the function reads are damaged all the same:
    a version that outranks every change of the stream, so that none would be counted, and a living entry that expires.
    """
    if item is None:
        return Reading(None, None)
    found: Mapping[str, Any] = item
    damage = []
    version = found.get("Version", {}).get("S")
    if version is None:
        damage.append("Version is missing or is not text")
    elif _outranks(version, stream_label):
        damage.append("Version is above those of all changes of the table's stream")
        version = None
    username, score = None, decimals.ZERO
    if "Username" in item or "Score" in item:
        try:
            username, score = usernames.check(found["Username"]["S"]), decimals.parse(found["Score"]["N"])
        except (KeyError, PoisonRecordError, ValueError):
            damage.append("Username or Score is missing or unreadable")
    if username is not None and "ExpiresAt" in item:
        damage.append("ExpiresAt would delete it though it counts")
    return Reading(Entry(version or "", username, score), "; ".join(damage) or None)


def _outranks(version: str, stream_label: str) -> bool:
    before = f"{stream_label}#"
    return version >= before and not (version.startswith(before) and _SEQUENCE_NUMBER.match(version, len(before)))


class Pair(NamedTuple):
    """A record of GameScoreRecords, and the ledger's item for it."""

    record: Change
    """What the function would make of the record, had it met it before all others of the present stream."""
    exists: bool
    item: Item | None
    entry: Entry | None
    damage: str | None

    @property
    def cause(self) -> Cause | None:
        """What is wrong; None for nothing."""
        record, entry = self.record, self.entry
        if self.damage is not None:
            return Cause.DAMAGED_ENTRY
        counted = entry is not None and entry.username is not None
        if record.username is None:
            if not counted:
                return None
            return Cause.TEST_EVENT if entry is not None and entry.is_test and not self.exists else Cause.ORPHANED
        if entry is None or not counted:
            return Cause.NEVER_COUNTED
        return None if (entry.username, entry.score) == (record.username, record.score) else Cause.OTHER_VALUE

    def repair(self) -> Change:
        """Return the change that makes the entry what the record says, and gives way to every real one to come.

        An entry's version says what it holds, so other contents need another version: the present one with a sign
        more, which sorts right behind it and before the next sequence number; and never before the present stream.
        A test event is taken back as what it was, so that the next one counts. A tombstone gives way to a score of its
        own version (ledger.is_stale). A score that does not fit its total leaves such a tombstone as it is, so the
        record that the function parked for the same reason still counts when it is redriven.
        """
        if self.entry is None:
            return self.record._replace(is_insert=True)
        above = self.entry.version if self.entry.username is None else f"{self.entry.version}+"
        version = above if self.cause is Cause.TEST_EVENT else max(above, self.record.version)
        return self.record._replace(version=version, is_insert=False)

    def mended(self) -> Entry:
        """Return the sound entry that counts what the damaged item counts. Its version is not the item's."""
        assert self.entry is not None, "a damaged item reads as an entry"  # noqa: S101
        return self.entry._replace(version=max(f"{self.entry.version}+", self.record.version))

    def findings(self) -> list[Finding]:
        """Return one for each user concerned, who are two when the entry counts for another than the record."""
        cause = self.cause
        if cause is None:
            return []
        counts: dict[str | None, str] = {}
        if self.damage is not None:
            counts[_username(self.item)] = "unreadable"
        if self.entry is not None:
            counts[self.entry.username] = decimals.canonical(self.entry.score)
        should = {self.record.username: decimals.canonical(self.record.score)}
        users: list[str | None] = [*sorted({user for user in (*counts, *should) if user is not None})] or [None]
        return [
            Finding(
                user,
                self.record.record_id,
                f"{cause}: {self.damage}" if self.damage else cause,
                counts.get(user, "nothing") if user is not None else "unreadable",
                should.get(user, "nothing") if user is not None else "nothing",
                repaired=False,
                is_test=cause is Cause.TEST_EVENT,
            )
            for user in users
        ]


def difference(suspect: Suspect) -> Finding:
    """Say how a total differs. Why it does cannot be known; how many records it counts is a hint."""
    if not is_correctable(suspect):
        cause = Cause.TOO_LARGE
    elif DAMAGED in suspect.total:
        cause = Cause.DAMAGED_TOTAL
    else:
        cause = Cause.COUNTED_TWICE if _records(suspect.total) > _records(suspect.sum) else Cause.MISCOUNTED
    return Finding(suspect.username, None, cause, suspect.total, suspect.sum, repaired=False, is_test=False)


def is_correctable(suspect: Suspect) -> bool:
    """Whether DynamoDB can hold the sum."""
    return decimals.is_storable(Decimal(suspect.sum.split()[0]))


def _records(total: str) -> Decimal:
    return Decimal(total.split()[1])


def _username(item: Mapping[str, Any] | None) -> str | None:
    """Whose entry a damaged item may be."""
    try:
        return usernames.check((item or {})["Username"]["S"])
    except (KeyError, PoisonRecordError):
        return None
