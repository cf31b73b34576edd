"""Any history, delivered in any way that AWS may deliver it, leaves the totals equal to the sums.

A history is what happened to the table. A seed decides how its stream is delivered and what goes wrong
meanwhile; hypothesis prints both when a run fails, and shrinks them. HISTORIES sets how many are tried.
"""

import os
import threading
from collections.abc import Callable
from random import Random

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from handlers.shared.errors import RetryableError
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import SourceTable, score_image, spoilt_image

HISTORIES = int(os.environ.get("HISTORIES", "3000"))

record_ids = st.integers(1, 4)
users = st.sampled_from(["ann", "bob", "cid"])
scores = st.sampled_from(["0", "1", "-2", "0.1", "12345678901234567890.12345678901234567", "7E-16"])
steps = st.one_of(
    st.tuples(st.just("put"), record_ids, users, scores),
    st.tuples(st.just("put"), record_ids, users, scores),
    st.tuples(st.just("delete"), record_ids, users, scores),
    st.tuples(st.just("replace"), record_ids, users, scores),
    st.tuples(st.just("spoil"), record_ids, users, scores),
)
histories = st.lists(steps, min_size=1, max_size=15)


@settings(
    max_examples=HISTORIES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories, st.integers(0, 2**32 - 1))
def test_totals_equal_the_sums_whatever_happened_on_the_way(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    note(f"seed {seed}")
    table = played(history, first_sequence_number=10**22 - seed % 10)
    world = World(table, Random(seed))

    world.drain_in_turns(consumers=1 + seed % 2)
    world.redrive()

    assert world.ledger.counted() == table.sums()
    assert set(world.parking.documents) == world.keys_of_poison()

    totals = dict(world.ledger.totals)
    entries = dict(world.ledger.entries)
    for batch in (table.stream, table.stream[::-1], world.cut_anyhow()):
        assert world.function().invoke(batch) == {"batchItemFailures": []}

    assert world.ledger.totals == totals
    assert world.ledger.entries == entries


def played(history: list[tuple[str, int, str, str]], first_sequence_number: int) -> SourceTable:
    """The table after the history. Sequence numbers grow by a digit on the way, as real ones do."""
    table = SourceTable(first_sequence_number)
    for step, record_id, username, score in history:
        if step in ("delete", "replace"):
            table.delete(record_id)
        if step in ("put", "replace"):
            table.put(record_id, score_image(record_id, username, score))
        if step == "spoil":
            table.put(record_id, spoilt_image(record_id, username, score))
    return table


class CrashError(Exception):
    """The end of an invocation, as by a timeout or a lost machine."""


class World:
    """One stream, its consumers, and everything that goes wrong between them and the ledger."""

    def __init__(self, table: SourceTable, random: Random) -> None:
        self.ledger = InMemoryLedger()
        self.parking = InMemoryParking()
        self._stream = table.stream
        self._random = random
        self._mishaps = random.randrange(12)
        self._turns = Turns(random)
        self._given_up: list[DynamoDBRecord] = []
        self.ledger.before = self._before
        self.ledger.after = self._after
        self.parking.before = self._before

    def function(self) -> Function:
        """A new copy of the function."""
        return Function(self.ledger, self.parking, self._random, seconds=self._random.choice([0.2, 0.5]))

    def keys_of_poison(self) -> set[str]:
        """Where the records that say nothing must be parked."""
        return {
            f"parked/AggregateScoresByUser/2026-11-23/{record['eventID']}.json"
            for record in self._stream
            if "S" in record["dynamodb"].get("NewImage", {}).get("Score", {})
        }

    def cut_anyhow(self) -> list[DynamoDBRecord]:
        """Some of the stream, some of it twice, in no order: what redriving at random could deliver."""
        return self._random.choices(self._stream, k=self._random.randint(1, 6)) if self._stream else []

    def drain_in_turns(self, consumers: int) -> None:
        """Let consumers read the whole stream, each at its own pace, interleaved at every transaction."""
        self._turns.run([self._drain] * consumers)
        self._mishaps = 0

    def redrive(self) -> None:
        """Deliver what was given up, in an order that is not the stream's."""
        self._random.shuffle(self._given_up)
        cut = self._random.randint(0, len(self._given_up))
        for batch in self._given_up[:cut], self._given_up[cut:]:
            assert self.function().invoke(batch) == {"batchItemFailures": []}

    def _drain(self) -> None:
        done = 0
        for _ in range(100):
            if done == len(self._stream):
                return
            batch = self._stream[done : done + self._random.choice([1, 2, 3, 5, 25])]
            if self._mishap():  # as when retries are exhausted
                self._given_up += batch
                done += len(batch)
                continue
            try:
                failures = self.function().invoke(batch)["batchItemFailures"]
                if self._mishap():
                    raise CrashError  # noqa: TRY301  the response is lost
                if self._mishap():
                    self.function().invoke(self._stale_replay(done))
            except CrashError:
                continue
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            done += numbers.index(failures[0]["itemIdentifier"]) if failures else len(batch)
        raise AssertionError("the stream does not drain")

    def _stale_replay(self, done: int) -> list[DynamoDBRecord]:
        seen = self._stream[: done + 1]
        return self._random.choices(seen, k=self._random.randint(1, 4))

    def _before(self, _: object) -> None:
        self._turns.pause()
        if self._mishap():
            raise self._random.choice([RetryableError("throttled"), CrashError()])

    def _after(self, _: object) -> None:
        self._turns.pause()
        if self._mishap():
            raise self._random.choice([RetryableError("no answer"), CrashError()])

    def _mishap(self) -> bool:
        """Whether something goes wrong now; it does so a finite number of times, so that all ends well."""
        if self._mishaps and self._random.random() < 0.3:
            self._mishaps -= 1
            return True
        return False


class Turns:
    """Actors in threads of which one runs at a time, until it pauses; the seed says who is next."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._own = threading.local()
        self._paused = threading.Semaphore(0)

    def pause(self) -> None:
        """Let someone else go on. Does nothing outside `run`."""
        turn: threading.Semaphore | None = getattr(self._own, "turn", None)
        if turn is not None:
            self._paused.release()
            turn.acquire()

    def run(self, actors: list[Callable[[], None]]) -> None:
        """Run all to the end, and raise what one of them raised."""
        waiting = [threading.Semaphore(0) for _ in actors]
        errors: list[BaseException] = []

        def act(actor: Callable[[], None], turn: threading.Semaphore) -> None:
            self._own.turn = turn
            turn.acquire()
            try:
                actor()
            except BaseException as error:  # noqa: BLE001  it is raised again below
                errors.append(error)
            finally:
                waiting.remove(turn)
                self._paused.release()

        threads = [threading.Thread(target=act, args=pair) for pair in zip(actors, waiting, strict=True)]
        for thread in threads:
            thread.start()
        while waiting:
            self._random.choice(waiting).release()
            self._paused.acquire()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
