"""What the tests of reconcile share: tables that hold anything, and a reconcile of them."""

import itertools
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.reconcile.reconciliation import Reconciliation
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import Table
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.score_tables import InMemoryScoreTables, OpenLedger
from tests.fakes.stream import ARN, SourceTable, score_image

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
