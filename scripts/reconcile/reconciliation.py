"""Checking that every total is the sum over the user's records, and making it so: docs/decisions/0005.

GameScoreRecords  <- each against each ->  GameScoreLedger  <- summed by user ->  GameScoresByUser
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from handlers.aggregate_scores_by_user import change
from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.counting import count
from handlers.aggregate_scores_by_user.ledger import Ledger
from handlers.shared.errors import PoisonRecordError, RetryableError
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers
from scripts.reconcile.judgement import Cause, Pair, Summary, difference, is_correctable, read_entry
from scripts.reconcile.snapshot import Snapshot, Suspect
from scripts.reconcile.tables import READ_ITEMS, Item, ScoreTables, Table, record_id

_STEADY_LOOKS = 2
"""How often a doubted record must be seen unchanged, after the first time, to be accused."""
_STEADY_MEASURES = 1
"""The same of a total and its ledger entries, whose measures take longer than a look."""
_LOOKS = 6
"""How often to look before records and totals that will not keep still are left unjudged, or unrepaired."""
_COUNTED_AT_ONCE = 1000
"""Records of one round of transactions: enough to fill them, few enough to be fresh when they are written."""


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
    new_id: Callable[[], str]
    """Names a correction: a text that nobody has used before."""

    def run(self, *, fix: bool) -> Summary:
        """Find what has drifted; repair it when told to."""
        self.tell("Reading the tables")
        self._scan("before")
        self._scan("records", "entries")
        self._scan("after")
        size = self.snapshot.size()
        self.tell(", ".join(f"{name}: {number}" for name, number in size.items()))
        if fix:
            self.snapshot.use_up()
        self._doubt_records()
        # Totals first: a record cannot be counted into a total that is no number.
        self._judge_totals(fix=fix)
        self._settle_records(fix=fix)
        found, left = (self.snapshot.users_in_drift(unrepaired=unrepaired) for unrepaired in (False, True))
        return Summary(found, left, self.snapshot.unjudged(), self.snapshot.tests())

    # Records against ledger entries

    def _doubt_records(self) -> None:
        """Look at the records whose entries are not as they should be, until they keep still; accuse those that do."""
        doubts = self.snapshot.find_doubts()
        for look in range(_LOOKS):
            if not doubts:
                break
            self.tell(f"Records in doubt: {doubts}")
            if look:
                self.pause()
            for ids in self._doubted(READ_ITEMS, accused=False):
                for id_, pair in self._read(ids).items():
                    self._see(id_, pair)
            doubts = self.snapshot.doubtful()

    def _doubted(self, limit: int, *, accused: bool) -> Iterator[Mapping[str, str | None]]:
        """Yield the records in doubt, each with what was last seen of it."""
        after = ""
        while rows := self.snapshot.doubts(after, limit, accused=accused):
            yield dict(rows)
            after = rows[-1][0]

    def _see(self, id_: str, pair: Pair) -> None:
        if pair.cause is None:
            self.snapshot.conclude(id_, sound=True)
        else:
            # No stream delivers a test event, so nothing that is on its way explains it.
            looks = 0 if pair.cause is Cause.TEST_EVENT else _STEADY_LOOKS
            self.snapshot.see(id_, repr(pair), pair.findings(), looks)

    def _settle_records(self, *, fix: bool) -> None:
        """Find fault with the accused that are still as they were last seen, or repair them when told to.

        A repair is believed only when the record was read again and is sound.
        """
        for look in range(_LOOKS + 1):
            unrepaired = 0
            for ids in self._doubted(_COUNTED_AT_ONCE, accused=True):
                wrong = {id_: pair for id_, pair in self._read(ids).items() if pair.cause is not None}
                for id_ in ids.keys() - wrong.keys():
                    self.snapshot.conclude(id_, sound=True)
                if fix and look < _LOOKS:
                    self._repair(wrong)
                    unrepaired += len(wrong)
                    continue
                for id_, pair in wrong.items():
                    if fix or repr(pair) == ids[id_]:
                        self.snapshot.conclude(id_, sound=False)
            if not unrepaired:
                break
            if look:
                self.pause()

    def _repair(self, pairs: Mapping[str, Pair]) -> None:
        """Mend damaged entries; count the records of the others as they should be."""
        changes: list[Change] = []
        for id_, pair in pairs.items():
            self.snapshot.try_repair(id_)
            if pair.damage is None:
                changes.append(pair.repair()._replace(position=len(changes)))
            else:
                self._mend(id_, pair)
        # No age limit: what a record of the table says is true now.
        outcome = count(changes, self.ledger, self.workers, self.patience(), judged_since=-math.inf)
        for reason in outcome.reasons:
            self.tell(f"Not repaired yet: {reason}")
        for position, reason in outcome.uncountable.items():
            self.snapshot.conclude(changes[position].record_id, sound=False, problem=reason)

    def _mend(self, id_: str, pair: Pair) -> None:
        """Put a sound entry that counts the same in place of a damaged one: then it can be judged like any other."""
        try:
            self.patience().call(lambda: self.tables.mend(id_, pair.item or {}, pair.mended()))
        except RetryableError as error:
            self.tell(f"Not mended yet: {error}")

    def _read(self, record_ids: Iterable[str]) -> dict[str, Pair]:
        found: dict[str, Pair] = {}
        ids = list(record_ids)
        for start in range(0, len(ids), READ_ITEMS):
            for id_, (image, item) in self.tables.read(ids[start : start + READ_ITEMS]).items():
                found[id_] = Pair(self._state(id_, image), image is not None, item, *read_entry(item, self._label))
        return found

    @property
    def _label(self) -> str:
        return self.stream_arn.rpartition("/")[2]

    def _state(self, id_: str, image: Item | None) -> Change:
        """Return what the function would make of a record, had it met it before all others of the present stream."""
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
        # What was read in parts, hours apart, is equal by coincidence the more easily.
        self.snapshot.measure("entries", at_either_time=not self.snapshot.is_resumed)
        for look in range(_LOOKS + 1):
            for suspect in self.snapshot.corrected():
                self._conclude(suspect, repaired=True)
            if fix:
                for suspect in self.snapshot.suspects(_STEADY_MEASURES):
                    self._correct(suspect)
            doubts = self.snapshot.suspected(_STEADY_MEASURES)
            if not doubts or look == _LOOKS:
                break
            self.tell(f"Totals in doubt: {doubts}")
            self.pause()
            self.snapshot.look_again()
            self._scan("before")
            self._scan("recount")
            self._scan("after")
            self.snapshot.measure("recount")
        for suspect in chain(self.snapshot.suspects(_STEADY_MEASURES), self.snapshot.accused()):
            self._conclude(suspect, repaired=False)

    def _correct(self, suspect: Suspect) -> None:
        """Set a total to its sum. One that has changed since it was measured is measured again."""
        if not is_correctable(suspect):
            self._conclude(suspect, repaired=False)
            return
        score, records = suspect.sum.split()
        correction = self.new_id()
        try:
            done = self.patience().call(
                lambda: self.tables.correct(suspect.username, suspect.item, score, int(records), correction)
            )
        except RetryableError as error:
            self.tell(f"Not corrected yet: {error}")
            done = False
        if done:
            self._conclude(suspect, repaired=True)
        else:
            self.snapshot.accuse(suspect.username, difference(suspect))

    def _conclude(self, suspect: Suspect, *, repaired: bool) -> None:
        self.snapshot.find((suspect.finding or difference(suspect))._replace(repaired=repaired))
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
                readings = {record_id(item): read_entry(item, self._label) for item in page.items}
                entries = {id_: (entry, bool(damage)) for id_, (entry, damage) in readings.items() if entry}
                self.snapshot.add_entries(scan, segment, page.next, entries)
        return page.next
