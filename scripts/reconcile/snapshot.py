"""What reconcile has read, on disk: no table needs to fit into memory, and an interrupted scan goes on where it was."""

import base64
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from hashlib import blake2b
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from handlers.aggregate_scores_by_user.change import Change
from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared import decimals
from scripts.reconcile.tables import Item

NOTHING = "0 0"
"""The total of a user without records."""

DAMAGED = "?"
"""Stands in a total for a number that is missing or is none."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (scan TEXT, segment INT, next TEXT, PRIMARY KEY (scan, segment));
CREATE TABLE IF NOT EXISTS records (record_id TEXT PRIMARY KEY, username TEXT, score TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
    record_id TEXT PRIMARY KEY, username TEXT, score TEXT, version TEXT, is_damaged INT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recount (
    record_id TEXT PRIMARY KEY, username TEXT, score TEXT, version TEXT, is_damaged INT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS before (username TEXT PRIMARY KEY, total TEXT, item TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS after (username TEXT PRIMARY KEY, total TEXT, item TEXT) WITHOUT ROWID;
DROP TABLE IF EXISTS doubts;
CREATE TABLE doubts (
    record_id TEXT PRIMARY KEY,
    seen TEXT, steady INT DEFAULT 0, accused INT DEFAULT 0, findings TEXT, tried INT DEFAULT 0
) WITHOUT ROWID;
DROP TABLE IF EXISTS suspects;
CREATE TABLE suspects (
    username TEXT PRIMARY KEY, measure TEXT, steady INT DEFAULT 0, total TEXT, item TEXT, sum TEXT, finding TEXT
) WITHOUT ROWID;
DROP TABLE IF EXISTS sums;
CREATE TABLE sums (username TEXT PRIMARY KEY, sum TEXT, mark TEXT) WITHOUT ROWID;
DROP TABLE IF EXISTS findings;
CREATE TABLE findings (
    username TEXT, record_id TEXT, cause TEXT, present TEXT, expected TEXT, repaired INT, is_test INT
);
"""

_SCANNED = ("progress", "records", "entries", "recount", "before", "after")
_USED_UP, _USABLE = 1, 2
"""What the file says of itself. Raise the latter with the schema: a file of another one is read anew."""


class Finding(NamedTuple):
    """Something that is wrong with a user's total, or a test event that it counts."""

    username: str | None
    """None when the ledger entry that is wrong does not say whose it is."""
    record_id: str | None
    """None when it is the total that differs from what the ledger says."""
    cause: str
    present: str
    expected: str
    repaired: bool
    """Whether it is as it should be by now; of a test event, whether it was taken back."""
    is_test: bool


class Suspect(NamedTuple):
    """A user whose total differs from the sum of the ledger's entries: `<score> <number of records>` each."""

    username: str
    total: str
    item: Item
    """The total as it was read."""
    sum: str
    finding: Finding | None
    """What it is accused of, once a correction was tried."""


class Snapshot:
    """A file, which threads may share."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # What a crash of the machine could damage is only ever read again.
        self._db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        if self._number("PRAGMA user_version") != _USABLE:
            self._db.executescript("".join(f"DROP TABLE IF EXISTS {table};" for table in _SCANNED))
        self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {_USABLE}")
        self.is_resumed = self._count("progress") > 0
        """Whether an interrupted run has read a part of it, up to a day ago."""

    def use_up(self) -> None:
        """Repairs begin: what was read before them must not be set against what is read after an interrupt."""
        self._do(f"PRAGMA user_version = {_USED_UP}")

    def close(self) -> None:
        """Close the file, once no thread is in it."""
        with self._lock:
            self._db.close()

    # Scanning

    def position(self, scan: str, segment: int) -> tuple[bool, Item | None]:
        """Whether a segment is done, and if not, where it goes on."""
        row = self._one("SELECT next FROM progress WHERE scan = ? AND segment = ?", scan, segment)
        return (False, None) if row is None else (row[0] is None, row[0] and json.loads(row[0]))

    def add_records(self, scan: str, segment: int, next_: Item | None, records: Iterable[Change]) -> None:
        """Take in a page of GameScoreRecords."""
        rows = [(each.record_id, each.username, decimals.canonical(each.score)) for each in records]
        self._add("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", rows, scan, segment, next_)

    def add_entries(
        self, scan: str, segment: int, next_: Item | None, entries: Mapping[str, tuple[Entry, bool]]
    ) -> None:
        """Add a page of the ledger without its tombstones: to `entries`, or those of suspects to `recount`.

        Each entry comes with whether its item is damaged.
        """
        only = "" if scan == "entries" else "WHERE ?2 IN (SELECT username FROM suspects)"
        rows = [
            (id_, entry.username, decimals.canonical(entry.score), entry.version, is_damaged)
            for id_, (entry, is_damaged) in entries.items()
            if entry.username is not None or is_damaged
        ]
        self._add(f"INSERT OR REPLACE INTO {scan} SELECT ?1, ?2, ?3, ?4, ?5 {only}", rows, scan, segment, next_)

    def add_totals(self, scan: str, segment: int, next_: Item | None, items: Iterable[Item]) -> None:
        """Take in a page of GameScoresByUser: into `before` or `after`."""
        rows = [(item["Username"]["S"], _total(item), _dumped(item)) for item in items]
        self._add(f"INSERT OR REPLACE INTO {scan} VALUES (?, ?, ?)", rows, scan, segment, next_)  # noqa: S608

    def _add(self, statement: str, rows: list[Any], scan: str, segment: int, next_: Item | None) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN")
            self._db.executemany(statement, rows)
            position = (scan, segment, next_ and json.dumps(next_))
            self._db.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?)", position)

    def size(self) -> dict[str, int]:
        """How many records, living ledger entries and totals were read."""
        tables = {"records": "records", "entries": "entries", "totals": "after"}
        return {name: self._count(table) for name, table in tables.items()}

    # Records against ledger entries

    def find_doubts(self) -> int:
        """Doubt every record whose living entry is damaged or is not what it should be; return their number."""
        with self._lock:
            self._db.execute(
                """
                INSERT INTO doubts (record_id)
                SELECT record_id FROM records LEFT JOIN entries USING (record_id)
                WHERE (records.username, records.score) IS NOT (entries.username, coalesce(entries.score, '0'))
                UNION
                SELECT record_id FROM entries WHERE is_damaged OR record_id NOT IN (SELECT record_id FROM records)
                """
            )
        return self._count("doubts")

    def doubts(self, after: str, limit: int, *, accused: bool) -> list[tuple[str, str | None]]:
        """Return the next doubted records in order, accused or not, each with what was last seen of it."""
        return self._all(
            "SELECT record_id, seen FROM doubts WHERE record_id > ? AND accused = ? ORDER BY record_id LIMIT ?",
            after,
            accused,
            limit,
        )

    def see(self, record_id: str, seen: str, findings: Iterable[Finding], least_steady: int) -> None:
        """Note what a doubted record and its entry are, and accuse it once it was seen unchanged often enough."""
        self._do(
            """
            UPDATE doubts SET steady = iif(seen IS ?1, steady + 1, 0), seen = ?1, findings = ?2,
                accused = iif(seen IS ?1, steady + 1, 0) >= ?3
            WHERE record_id = ?4
            """,
            seen,
            json.dumps(list(findings)),
            least_steady,
            record_id,
        )

    def doubtful(self) -> int:
        """Return how many doubted records are not accused."""
        return self._number("SELECT count(*) FROM doubts WHERE NOT accused")

    def try_repair(self, record_id: str) -> None:
        """Note that a repair of an accused record begins."""
        self._do("UPDATE doubts SET tried = 1 WHERE record_id = ?", record_id)

    def conclude(self, record_id: str, *, sound: bool, problem: str = "") -> None:
        """End a doubt. What was found counts as repaired when the record is sound after a repair was tried.

        Nothing was found when it is sound although none was tried.
        """
        with self._lock:
            row = self._one("SELECT findings, tried FROM doubts WHERE record_id = ?", record_id)
            for finding in json.loads(row[0] or "[]") if row and (row[1] or not sound) else ():
                found = Finding(*finding)
                cause = f"{found.cause}; not repaired: {problem}" if problem else found.cause
                self.find(found._replace(repaired=sound, cause=cause))
            self._do("DELETE FROM doubts WHERE record_id = ?", record_id)

    # Totals against ledger entries

    def suspect_everyone(self) -> None:
        """Begin with all users that have an entry or a total."""
        self._do(
            """
            INSERT OR IGNORE INTO suspects (username)
            SELECT username FROM entries WHERE username IS NOT NULL UNION SELECT username FROM after
            """
        )

    def look_again(self) -> None:
        """Make room for another scan of the ledger, and of the totals before and after it.

        What was read of the ledger first goes, too: a run that is interrupted from here on reads it anew, after the
        totals that are to be those before it.
        """
        with self._lock, self._db:
            self._db.execute("BEGIN")
            for scan in ("before", "entries", "recount", "after"):
                self._db.execute(f"DELETE FROM {scan}")  # noqa: S608
                self._db.execute("DELETE FROM progress WHERE scan = ?", (scan,))

    def measure(self, entries: str, *, at_either_time: bool = True) -> None:
        """Set every suspect's total, as read before and after the entries were, against their sum.

        One whose total was the sum at either time, or at both, is cleared, unless it is accused. A measure is steady
        when the total, the sum, and the version of each entry are what they were in the last one.
        """
        total = "iif(now.sum = now.earlier, now.sum, now.total)" if at_either_time else "now.total"
        cleared = "total = sum" if at_either_time else "total = sum AND measure IS NOT NULL"
        with self._lock, self._db:
            self._db.execute("BEGIN")
            self._db.execute("DELETE FROM sums")
            self._db.executemany("INSERT INTO sums VALUES (?, ?, ?)", self._sums(entries))
            self._db.execute(
                f"""
                WITH now AS (
                    SELECT username, coalesce(before.total, '{NOTHING}') AS earlier,
                        coalesce(after.total, '{NOTHING}') AS total, coalesce(after.item, '{{}}') AS item,
                        coalesce(sums.sum, '{NOTHING}') AS sum, coalesce(mark, '') AS mark
                    FROM suspects LEFT JOIN before USING (username) LEFT JOIN after USING (username)
                        LEFT JOIN sums USING (username)
                )
                UPDATE suspects SET
                    total = {total}, item = now.item, sum = now.sum,
                    steady = iif(measure IS now.total || '|' || now.sum || '|' || mark AND now.earlier = now.total,
                        steady + 1, 0),
                    measure = iif(now.earlier = now.total, now.total || '|' || now.sum || '|' || mark, NULL)
                FROM now WHERE now.username = suspects.username
                """  # noqa: S608
            )
            self._db.execute(f"DELETE FROM suspects WHERE {cleared} AND finding IS NULL")  # noqa: S608

    def _sums(self, entries: str) -> Iterator[tuple[str, str, str]]:
        """By user, the sum of the entries, and a mark that tells sets of their versions apart.

        SQLite would add scores as floats.
        """
        rows = self._db.execute(
            f"""
            SELECT username, score, record_id, version FROM {entries} WHERE username IS NOT NULL ORDER BY username
            """  # noqa: S608
        )
        for username, group in groupby(rows, itemgetter(0)):
            sum_, records, mark = decimals.ZERO, 0, 0
            for _, score, record_id, version in group:
                sum_ = decimals.add(sum_, Decimal(score))
                records += 1
                mark ^= int.from_bytes(blake2b(f"{record_id} {version}".encode(), digest_size=16).digest())
            yield username, f"{decimals.canonical(sum_)} {records}", f"{mark:032x}"

    def suspects(self, least_steady: int) -> Iterator[Suspect]:
        """Yield those measured alike at least as often, until they are cleared."""
        return self._suspects("steady >= ?", least_steady)

    def corrected(self) -> Iterator[Suspect]:
        """Yield the accused whose last measure was right."""
        return self._suspects("finding IS NOT NULL AND total = sum")

    def accused(self) -> Iterator[Suspect]:
        """Yield the accused."""
        return self._suspects("finding IS NOT NULL")

    def _suspects(self, which: str, *values: Any) -> Iterator[Suspect]:
        page = f"""
            SELECT username, total, item, sum, finding FROM suspects WHERE username > ? AND {which}
            ORDER BY username LIMIT 100
        """  # noqa: S608
        after = ""
        while rows := self._all(page, after, *values):
            for username, total, item, sum_, finding in rows:
                yield Suspect(username, total, _loaded(item), sum_, finding and Finding(*json.loads(finding)))
            after = rows[-1][0]

    def accuse(self, username: str, finding: Finding) -> None:
        """Note what was found of a suspect whose total must be measured anew."""
        self._do(
            "UPDATE suspects SET finding = coalesce(finding, ?), measure = NULL, steady = 0 WHERE username = ?",
            json.dumps(finding),
            username,
        )

    def clear(self, username: str) -> None:
        """Suspect a user no longer."""
        self._do("DELETE FROM suspects WHERE username = ?", username)

    def suspected(self, least_steady: int) -> int:
        """Return how many suspects have not been measured alike as often as that."""
        return self._number("SELECT count(*) FROM suspects WHERE steady < ?", least_steady)

    def unjudged(self) -> int:
        """Return how many records are still in doubt, and users still suspected."""
        return self._count("doubts") + self._count("suspects")

    # What was found

    def find(self, finding: Finding) -> None:
        """Note a finding."""
        self._do("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)", *finding)

    def findings(self) -> Iterator[Finding]:
        """What was found, in order."""
        last = 0
        page = "SELECT *, rowid FROM findings WHERE rowid > ? ORDER BY rowid LIMIT 100"
        while rows := self._all(page, last):
            for username, record_id, cause, present, expected, repaired, is_test, _ in rows:
                yield Finding(username, record_id, cause, present, expected, bool(repaired), bool(is_test))
            last = rows[-1][-1]

    def users_in_drift(self, *, unrepaired: bool) -> int:
        """Return how many users something was found of, or how many of them are not repaired."""
        return self._number(
            "SELECT count(DISTINCT coalesce(username, '')) FROM findings WHERE NOT is_test AND NOT (repaired AND ?)",
            unrepaired,
        )

    def tests(self) -> int:
        """Return how many test events that are still counted were found."""
        return self._number("SELECT count(*) FROM findings WHERE is_test AND NOT repaired")

    def _do(self, statement: str, *values: Any) -> None:
        with self._lock:
            self._db.execute(statement, values)

    def _all(self, statement: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()

    def _one(self, statement: str, *values: Any) -> Any:
        return next(iter(self._all(statement, *values)), None)

    def _number(self, statement: str, *values: Any) -> int:
        return int(self._one(statement, *values)[0])

    def _count(self, table: str) -> int:
        return self._number(f"SELECT count(*) FROM {table}")  # noqa: S608


def _total(item: Item) -> str:
    """`<score> <number of records>` in canonical form; DAMAGED in place of what is missing or is not a number."""

    def number(name: str) -> str:
        try:
            return decimals.canonical(decimals.parse(item[name]["N"]))
        except (KeyError, ValueError):
            return DAMAGED

    return f"{number('Score')} {number('RecordCount')}"


def _dumped(item: Item) -> str:
    return json.dumps(item, default=lambda data: {"base64": base64.b64encode(data).decode()})


def _loaded(item: str) -> Item:
    """Read what `_dumped` wrote. Under the name of an attribute stands an object, so that only binary has a string."""

    def load(value: dict[str, Any]) -> Any:
        data = value.get("base64")
        return base64.b64decode(data) if isinstance(data, str) else value

    loaded: Item = json.loads(item, object_hook=load)
    return loaded
