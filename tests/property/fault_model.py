"""The fault model: a stream, its consumers, and everything that goes wrong between them and what they write to.

A seed decides how the stream is delivered and what goes wrong meanwhile. It judges any function that keeps totals:
this repository's in test_histories, its peers in bench.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from random import Random
from typing import Any

from handlers.shared.errors import RetryableError
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.stream import NOW, SourceTable, score_image, spoilt_image

NEW_SPELLING = "7E-16"
"""A score that only the newer of two releases can read."""

Invoke = Callable[[list[DynamoDBRecord]], Any]
"""A function's answer to a batch, which may name failures."""


def played(history: list[tuple[str, int, str, str]], first_sequence_number: int, now: float = NOW) -> SourceTable:
    """The table after the history. Sequence numbers grow by a digit on the way, as real ones do."""
    table = SourceTable(first_sequence_number, now)
    for step, record_id, username, score in history:
        if step in ("delete", "replace"):
            table.delete(record_id)
        if step in ("put", "replace"):
            table.put(record_id, score_image(record_id, username, score))
        if step == "spoil":
            table.put(record_id, spoilt_image(record_id, username, score))
    return table


def misread(batch: list[DynamoDBRecord]) -> list[DynamoDBRecord]:
    """The batch as an older release sees it, to which a score in the new spelling is poison."""
    batch = deepcopy(batch)
    for record in batch:
        image = record["dynamodb"].get("NewImage", {})
        if image.get("Score") == {"N": NEW_SPELLING}:
            image["Score"] = {"S": NEW_SPELLING}
    return batch


class CrashError(BaseException):
    """The end of an invocation, as by a timeout or a lost machine, which no function can catch."""


class FaultyStream:
    """One stream and its consumers. Whatever these write to calls `before` and `after`, which may raise.

    `throttle` makes what the function sees of a call that fails, `mishaps` says how many things go wrong.
    """

    def __init__(
        self,
        table: SourceTable,
        random: Random,
        invoke: Invoke,
        *,
        mishaps: int,
        throttle: Callable[[str], Exception] = RetryableError,
    ) -> None:
        self._stream = table.stream
        self._random = random
        self._invoke = invoke
        self._mishaps = mishaps
        self._throttle = throttle
        self._turns = Turns(random)
        self._given_up: list[DynamoDBRecord] = []

    def cut_anyhow(self) -> list[DynamoDBRecord]:
        """Some of the stream, some of it twice, in no order: what redriving at random could deliver."""
        return self._random.choices(self._stream, k=self._random.randint(1, 6)) if self._stream else []

    def drain_in_turns(self, consumers: int) -> None:
        """Let consumers read the whole stream, each at its own pace, interleaved at every transaction."""
        self._turns.run([self._drain] * consumers)
        self._mishaps = 0

    def redrive_in_turns(
        self, operators: int, parked: Callable[[], Sequence[DynamoDBRecord]], *, consumers: int = 0, mishaps: int = 0
    ) -> None:
        """Let operators replay discarded and parked records at once, beside consumers that read the stream again."""
        self._mishaps = mishaps
        failed = [*self._given_up, *parked()]

        def replay() -> None:
            for batch in self._cut(self._random.sample(failed, len(failed))):
                with suppress(CrashError):
                    self._invoke(batch)

        self._turns.run([replay] * operators + [self._drain] * consumers)
        self._mishaps = 0

    def redrive(self, parked: Sequence[DynamoDBRecord] = ()) -> None:
        """Replay what was discarded, and these parked records, in an order that is not the stream's."""
        failed = [*self._given_up, *parked]
        for batch in self._cut(self._random.sample(failed, len(failed))):
            assert self._invoke(batch) == {"batchItemFailures": []}

    def _cut(self, records: list[DynamoDBRecord]) -> list[list[DynamoDBRecord]]:
        cut = self._random.randint(0, len(records))
        return [records[:cut], records[cut:]]

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
                failures = self._invoke(batch)["batchItemFailures"]
                if self._mishap():
                    raise CrashError  # noqa: TRY301  the response is lost
                if self._mishap():
                    self._invoke(self._stale_replay(done))
            except CrashError:
                continue
            numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
            done += numbers.index(failures[0]["itemIdentifier"]) if failures else len(batch)
        raise AssertionError("the stream does not drain")

    def _stale_replay(self, done: int) -> list[DynamoDBRecord]:
        seen = self._stream[: done + 1]
        return self._random.choices(seen, k=self._random.randint(1, 4))

    def before(self, _: object) -> None:
        """What may happen to a call before it is done."""
        self._turns.pause()
        if self._mishap():
            raise self._random.choice([self._throttle("throttled"), CrashError()])

    def after(self, _: object) -> None:
        """What may happen to a call after it was done."""
        self._turns.pause()
        if self._mishap():
            raise self._random.choice([self._throttle("no answer"), CrashError()])

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
