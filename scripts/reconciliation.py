"""Checking that every total is the sum over the user's records, and making it so: docs/decisions/0005.

GameScoreRecords  <- each against each ->  GameScoreLedger  <- summed by user ->  GameScoresByUser
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from handlers.aggregate_scores_by_user import change
from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.counting import count
from handlers.aggregate_scores_by_user.dynamodb import parse_entry
from handlers.aggregate_scores_by_user.ledger import Entry, Ledger
from handlers.shared import decimals
from handlers.shared.errors import PoisonRecordError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers
from scripts.score_tables import READ_ITEMS, Item, ScoreTables, Table, record_id
from scripts.snapshot import Finding, Snapshot, Suspect

_STEADY_LOOKS = 2
"""How often a doubted record must be seen unchanged, after the first time, to be accused."""
_STEADY_MEASURES = 1
"""The same of a total and its ledger entries, whose measures take longer than a look."""
_LOOKS = 6
"""Until what will not keep still is left unjudged."""
_COUNTED_AT_ONCE = 1000
"""Records of one round of transactions: enough to fill them, few enough to be fresh when they are written."""


class Cause(StrEnum):
    """What is wrong, as far as the tables tell."""

    NEVER_COUNTED = "never counted"
    OTHER_VALUE = "counted with another value"
    ORPHANED = "orphaned: counted, but the record is gone or holds no score"
    COUNTED_TWICE = "the total counts more records than the ledger: counted twice, or entries were deleted"
    MISCOUNTED = "the total is not the ledger's sum: somebody else wrote it"


class Verdict(NamedTuple):
    """What is left to say when it is over."""

    in_drift: int
    """Users of whom something was found."""
    left: int
    """Those of them who are not repaired."""
    unjudged: int
    """Records and totals that never kept still."""


@dataclass(frozen=True)
class Reconciliation:
    """All that it needs from outside."""

    tables: ScoreTables
    ledger: Ledger
    snapshot: Snapshot
    stream_arn: str
    """Of the present stream of GameScoreRecords."""
    segments: int
    workers: Workers
    """At least as many as segments."""
    patience: Callable[[], Patience]
    """For one round of transactions."""
    pause: Callable[[], None]
    """Lets changes in flight arrive."""
    tell: Callable[[str], None]

    def run(self, *, fix: bool) -> Verdict:
        """Find what has drifted; repair it when told to."""
        self.tell("Reading the tables")
        self._scan("before")
        self._scan("records", "entries")
        self._scan("after")
        size = self.snapshot.size()
        self.tell(", ".join(f"{name}: {number}" for name, number in size.items()))
        if fix:
            self.snapshot.use_up()
        self._judge_records(fix=fix)
        self._judge_totals(fix=fix)
        unjudged = self.snapshot.doubtful(_STEADY_LOOKS) + self.snapshot.suspected(_STEADY_MEASURES)
        found, left = (self.snapshot.users_in_drift(unrepaired=unrepaired) for unrepaired in (False, True))
        return Verdict(found, left, unjudged)

    # Records against ledger entries

    def _judge_records(self, *, fix: bool) -> None:
        doubts = self.snapshot.find_doubts()
        for look in range(_LOOKS):
            if not doubts:
                break
            self.tell(f"Records in doubt: {doubts}")
            if look:
                self.pause()
            for ids in self._doubted(READ_ITEMS):
                for id_, (record, entry) in self._read(ids).items():
                    self.snapshot.see(id_, repr((record, entry)) if _cause(record, entry) else None)
            doubts = self.snapshot.doubtful(_STEADY_LOOKS)
        for ids in self._doubted(_COUNTED_AT_ONCE, steady=_STEADY_LOOKS):
            self._settle(ids, fix=fix)

    def _doubted(self, limit: int, steady: int = 0) -> Iterator[Mapping[str, str | None]]:
        """What is in doubt, with what was last seen of it."""
        after = ""
        while rows := self.snapshot.doubts(after, limit, steady):
            yield dict(rows)
            after = rows[-1][0]

    def _settle(self, doubted: Mapping[str, str | None], *, fix: bool) -> None:
        """Find fault with what is still as it was last seen, and count it as it should be when told to."""
        present = {id_: pair for id_, pair in self._read(doubted).items() if repr(pair) == doubted[id_]}
        unrepaired: set[str] = set(present)
        if fix:
            changes = [
                repair(record, entry)._replace(position=position)
                for position, (record, entry) in enumerate(present.values())
            ]
            # No age limit: what a record of the table says is true now.
            outcome = count(changes, self.ledger, self.workers, self.patience(), judged_since=-math.inf)
            unrepaired = {each.record_id for each in outcome.unfinished}
            unrepaired |= {changes[position].record_id for position in outcome.uncountable}
            for reason in {*outcome.reasons, *outcome.uncountable.values()}:
                self.tell(f"Not repaired: {reason}")
        for id_, (record, entry) in present.items():
            for finding in _findings(record, entry, repaired=id_ not in unrepaired):
                self.snapshot.find(finding)

    def _read(self, record_ids: Iterable[str]) -> dict[str, tuple[Change, Entry | None]]:
        found: dict[str, tuple[Change, Entry | None]] = {}
        ids = list(record_ids)
        for start in range(0, len(ids), READ_ITEMS):
            for id_, (record, entry) in self.tables.read(ids[start : start + READ_ITEMS]).items():
                found[id_] = self._state(id_, record), parse_entry(entry)
        return found

    def _state(self, id_: str, image: Item | None) -> Change:
        """What the function would make of a record, had it met it before all others of the present stream."""
        record: Any = {
            "eventName": "REMOVE" if image is None else "INSERT",
            "eventSourceARN": self.stream_arn,
            "dynamodb": {"Keys": {"RecordID": {"N": id_}}, "NewImage": image, "SequenceNumber": "0"},
        }
        table_arn = self.stream_arn.partition("/stream/")[0]
        try:
            return change.parse(record, 0, table_arn)
        except PoisonRecordError:
            withdrawn = change.withdrawal(record, 0, table_arn)
            assert withdrawn is not None, "the key and the version are ours"  # noqa: S101
            return withdrawn

    # Totals against ledger entries

    def _judge_totals(self, *, fix: bool) -> None:
        self.snapshot.suspect_everyone()
        self.snapshot.measure("entries")
        for _ in range(_LOOKS):
            if fix:
                for suspect in self.snapshot.suspects(_STEADY_MEASURES):
                    self._correct(suspect)
            suspects = self.snapshot.suspected(_STEADY_MEASURES)
            if not suspects:
                break
            self.tell(f"Totals in doubt: {suspects}")
            self.pause()
            self.snapshot.look_again()
            self._scan("before")
            self._scan("recount")
            self._scan("after")
            self.snapshot.measure("recount")
        for suspect in self.snapshot.suspects(_STEADY_MEASURES):
            self.snapshot.find(_difference(suspect, repaired=False))

    def _correct(self, suspect: Suspect) -> None:
        """Set a total to its sum. One that has changed since it was measured stays suspected."""
        score, records = suspect.sum.split()
        if self.tables.correct(suspect.username, suspect.item, score, int(records)):
            self.snapshot.find(_difference(suspect, repaired=True))
            self.snapshot.clear(suspect.username)

    # Scanning

    def _scan(self, *scans: str) -> None:
        """Read whole tables, in segments at once; what was read before an interrupt is not read again."""
        stopped = threading.Event()

        def read(work: tuple[str, int]) -> None:
            scan, segment = work
            done, start = self.snapshot.position(scan, segment)
            try:
                while not done and not stopped.is_set():
                    start = self._page(scan, segment, start)
                    done = start is None
            except Exception:
                stopped.set()
                raise

        try:
            self.workers.map(read, [(scan, segment) for scan in scans for segment in range(self.segments)])
        finally:
            stopped.set()  # or an interrupt would leave the threads reading to the end

    def _page(self, scan: str, segment: int, start: Item | None) -> Item | None:
        match scan:
            case "records":
                page = self.tables.scan(Table.RECORDS, segment, start)
                states = [self._state(record_id(item), item) for item in page.items]
                self.snapshot.add_records(scan, segment, page.next, states)
            case "before" | "after":
                page = self.tables.scan(Table.TOTALS, segment, start)
                self.snapshot.add_totals(scan, segment, page.next, page.items)
            case _:
                page = self.tables.scan(Table.LEDGER, segment, start)
                entries = {record_id(item): entry for item in page.items if (entry := parse_entry(item))}
                self.snapshot.add_entries(scan, segment, page.next, entries)
        return page.next


def repair(record: Change, entry: Entry | None) -> Change:
    """The change that makes the entry what the record says, and that gives way to every real one still to come.

    An entry's version says what it holds, so other contents need another version: the present one with a sign
    more, which sorts right behind it and before the next sequence number; and never before the present stream.
    """
    if entry is None:
        return record._replace(is_insert=True)
    return record._replace(version=max(f"{entry.version}+", record.version), is_insert=False)


def _cause(record: Change, entry: Entry | None) -> Cause | None:
    counted = entry is not None and entry.username is not None
    if record.username is None:
        return Cause.ORPHANED if counted else None
    if entry is None or not counted:
        return Cause.NEVER_COUNTED
    return None if (entry.username, entry.score) == (record.username, record.score) else Cause.OTHER_VALUE


def _findings(record: Change, entry: Entry | None, *, repaired: bool) -> Iterator[Finding]:
    """One for each user concerned, who are two when the entry counts for another than the record."""
    counts = {} if entry is None else {entry.username: decimals.spell(entry.score)}
    should = {record.username: decimals.spell(record.score)}
    cause = _cause(record, entry)
    for username in sorted({*counts, *should} - {None}, key=str):
        if username is not None and cause is not None:
            present, expected = counts.get(username, "nothing"), should.get(username, "nothing")
            yield Finding(username, record.record_id, cause, present, expected, repaired)


def _difference(suspect: Suspect, *, repaired: bool) -> Finding:
    """Why a total is wrong cannot be known; how many records it counts is a hint."""
    twice = _records(suspect.total) > _records(suspect.sum)
    cause = Cause.COUNTED_TWICE if twice else Cause.MISCOUNTED
    return Finding(suspect.username, None, cause, suspect.total, suspect.sum, repaired)


def _records(total: str) -> int:
    records = total.partition(" ")[2]
    return int(records) if records.isdecimal() else 0
