"""Whatever has drifted, and whatever the function does meanwhile, reconcile leaves every total equal to its sum.

A seed decides what was lost, what was written by others, and what happens between any two of reconcile's requests.
"""

from random import Random

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from handlers.aggregate_scores_by_user.ledger import Transaction
from handlers.shared import decimals
from handlers.shared.retrying import Patience
from handlers.shared.workers import Workers
from scripts.reconciliation import Reconciliation, Verdict
from scripts.snapshot import Snapshot
from tests.fakes.invocation import Function, InMemoryParking, ShuffledWorkers
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.score_tables import InMemoryScoreTables
from tests.fakes.stream import ARN, SourceTable, score_image
from tests.property.test_histories import HISTORIES, histories
from tests.property.world import played

USERS = ["ann", "bob", "cid"]


@settings(max_examples=HISTORIES // 6, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(0, 2**32 - 1))
def test_reconcile_repairs_any_drift_beside_a_running_function(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    note(f"seed {seed}")
    world = World(played(history, first_sequence_number=10**22), Random(seed))
    world.lose_some_changes()
    world.write_what_is_not_yours()

    beside = world.reconcile(changes=world.random.randrange(12))
    world.drain()

    # Whoever kept still was judged, and repaired; the quiet pass is left with the others alone.
    if world.changes_made == 0:
        assert beside.unjudged == beside.left == 0
        assert world.counted() == world.table.sums()
    quiet = world.reconcile(changes=0)
    assert (quiet.left, quiet.unjudged) == (0, 0)
    assert world.counted() == world.table.sums()
    assert world.reconcile(changes=0).in_drift == 0

    world.replay_everything()
    world.reconcile(changes=0)
    assert world.counted() == world.table.sums()


@settings(max_examples=HISTORIES // 6, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(0, 2**32 - 1))
def test_reconcile_breaks_nothing_that_is_only_on_its_way(history: list[tuple[str, int, str, str]], seed: int) -> None:
    note(f"seed {seed}")
    world = World(played(history, first_sequence_number=10**22), Random(seed))
    world.drain()

    world.reconcile(changes=world.random.randrange(12))
    world.drain()

    assert world.counted() == world.table.sums()


class World:
    """The tables, the function, and a reconcile between whose requests things happen."""

    def __init__(self, table: SourceTable, random: Random) -> None:
        self.table = table
        self.random = random
        self.changes_made = 0
        self._ledger = InMemoryLedger()
        self._tables = InMemoryScoreTables(table, self._ledger)
        self._done = 0

    def lose_some_changes(self) -> None:
        """Count the stream but for what nobody redrove."""
        kept = [record for record in self.table.stream if self.random.random() < 0.7]
        for record in kept:
            self._function().invoke([record])
        self._done = len(self.table.stream)

    def write_what_is_not_yours(self) -> None:
        """As a person does in the console, or a script that knows nothing of the ledger."""
        for username in self.random.sample(USERS, self.random.randrange(3)):
            if self.random.random() < 0.3:
                self._ledger.totals.pop(username, None)
            else:
                score, records = self._ledger.totals.get(username, (decimals.ZERO, 0))
                self._ledger.totals[username] = score + self.random.randrange(3), records + self.random.randrange(2)
        for record_id in list(self._ledger.entries):
            if self.random.random() < 0.1:
                del self._ledger.entries[record_id]

    def reconcile(self, changes: int) -> Verdict:
        """Reconcile with FIX=1 while so many changes are made and counted."""
        left = [changes]

        def between(_: Transaction | None = None) -> None:
            if left[0] and self.random.random() < 0.2:
                left[0] -= 1
                self._change()
            if self.random.random() < 0.5:
                self._deliver(self.random.randint(1, 3))

        self._tables.between = self._ledger.before = between
        try:
            return self._reconciliation(ShuffledWorkers(self.random)).run(fix=True)
        finally:
            self.drain()

    def drain(self) -> None:
        """Let the function count everything."""
        self._ledger.before = lambda _: None
        self._tables.between = lambda: None
        self._deliver(len(self.table.stream))

    def replay_everything(self) -> None:
        """Deliver the whole stream once more, in any order."""
        records = self.random.sample(self.table.stream, len(self.table.stream))
        if records:
            assert self._function().invoke(records) == {"batchItemFailures": []}

    def counted(self) -> dict[str, tuple[object, int]]:
        """The totals, but for users without records, who must read 0."""
        assert all(score == 0 for score, records in self._ledger.totals.values() if records == 0)
        return {username: total for username, total in self._ledger.totals.items() if total[1]}

    def _change(self) -> None:
        self.changes_made += 1
        record_id = self.random.randint(1, 5)
        if self.random.random() < 0.2:
            self.table.delete(record_id)
        else:
            self.table.put(record_id, score_image(record_id, self.random.choice(USERS), str(self.random.randrange(5))))

    def _deliver(self, records: int) -> None:
        batch = self.table.stream[self._done : self._done + records]
        self._done += len(batch)
        if batch:
            hook, self._ledger.before = self._ledger.before, lambda _: None
            assert self._function().invoke(batch) == {"batchItemFailures": []}
            self._ledger.before = hook

    def _function(self) -> Function:
        return Function(self._ledger, InMemoryParking(), self.random)

    def _reconciliation(self, workers: Workers) -> Reconciliation:
        return Reconciliation(
            tables=self._tables,
            ledger=self._ledger,
            snapshot=Snapshot(":memory:"),
            stream_arn=ARN,
            segments=1,
            workers=workers,
            patience=lambda: Patience(lambda: 1.0, lambda _: None, self.random.random),
            pause=lambda: None,
            tell=lambda _: None,
        )
