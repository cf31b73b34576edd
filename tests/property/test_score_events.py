"""Any history of score events, delivered in any way that AWS may deliver it, leaves each item as its newest event says.

A history is what producers put into the stream. A seed decides how it is delivered and what goes wrong meanwhile;
hypothesis prints both when a run fails, and shrinks them. HISTORIES sets how many are tried.
"""

import base64
import json
import os
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared.errors import PoisonRecordError, RetryableError
from handlers.shared.lambda_types import BatchResponse, KinesisRecord
from tests.fakes.invocation import InMemoryParking, ScoreIngestion
from tests.fakes.records import InMemoryScoreRecords
from tests.property.fault_model import CrashError, Turns

HISTORIES = int(os.environ.get("HISTORIES", "3000"))
STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"

record_ids = st.integers(1, 3)
scores = st.one_of(st.integers(0, 99), st.integers(0, 99), st.none())
usernames = st.sampled_from(["ann", "bob", "eve"])
histories = st.lists(st.tuples(record_ids, usernames, scores), min_size=1, max_size=12)
REFUSED = "eve"
"""Whose score events are as they should be, and yet the table never takes one: its index has another type, say."""

Step = tuple[int, str, int | None]


def record_of(step: Step, sequence_number: str, arn: str = STREAM) -> KinesisRecord:
    """A score event under its RecordID as the partition key; one whose score is None can never be stored."""
    record_id, username, score = step
    payload = json.dumps({"RecordID": record_id, "Username": username, "Score": score})
    return {
        "eventID": f"shardId-000000000000:{sequence_number}",
        "eventSource": "aws:kinesis",
        "eventSourceARN": arn,
        "kinesis": {
            "data": base64.b64encode(payload.encode()).decode(),
            "partitionKey": str(record_id),
            "sequenceNumber": sequence_number,
            "approximateArrivalTimestamp": 1_795_392_000.0,
            "kinesisSchemaVersion": "1.0",
        },
    }


class Deliveries:
    """A stream, and everything that goes wrong between it and the table, a finite number of times."""

    def __init__(
        self, stream: list[KinesisRecord], random: Random, invoke: Callable[[Any], BatchResponse], mishaps: int
    ) -> None:
        self._stream = stream
        self._random = random
        self._invoke = invoke
        self._mishaps = mishaps
        self._discarded: list[KinesisRecord] = []
        self._turns = Turns(random)
        self._throttled = 0
        """How many of the next calls the table throttles, as long as that takes."""

    def drain(self, copies: int) -> None:
        """Let copies of the function read the whole stream, interleaved at every put, beside somebody who replays."""
        self._turns.run([self._drain] * copies + [self._replay])
        self._mishaps = self._throttled = 0

    def redrive(self) -> None:
        """Deliver the discarded records, in no order."""
        self._random.shuffle(self._discarded)
        cut = self._random.randint(0, len(self._discarded))
        for batch in self._discarded[:cut], self._discarded[cut:]:
            assert self._invoke(batch) == {"batchItemFailures": []}

    def cut_anyhow(self) -> list[KinesisRecord]:
        """Some of the stream, some of it twice, in no order."""
        return self._random.choices(self._stream, k=self._random.randint(1, 6))

    def before(self, _: object) -> None:
        """What may happen to a call before it is done."""
        self._turns.pause()
        if self._throttled:
            self._throttled -= 1
            raise RetryableError("still throttled")
        self._strike("throttled")

    def after(self, _: object) -> None:
        """What may happen to a call after it was done: its answer is lost, or the function with it."""
        self._turns.pause()
        self._strike("no answer")

    def _drain(self) -> None:
        done, size = 0, 25
        for _ in range(200):
            if done == len(self._stream):
                return
            batch = self._stream[done : done + self._random.choice([1, 2, 3, size])]
            if self._mishap():  # retries are exhausted
                self._discarded += batch
                done += len(batch)
                continue
            try:
                failures = self._invoke(batch)["batchItemFailures"]
                if self._mishap():
                    raise CrashError  # noqa: TRY301  the response is lost
            except CrashError:
                size = max(1, len(batch) // 2)  # the mapping bisects
                continue
            numbers = [record["kinesis"]["sequenceNumber"] for record in batch]
            done += numbers.index(failures[0]["itemIdentifier"]) if failures else len(batch)
        raise AssertionError("the stream does not drain")

    def _replay(self) -> None:
        """Deliver what somebody kept, and test events that somebody made up, beside the live ones."""
        for _ in range(self._random.randrange(4)):
            step = self._random.randint(1, 3), "test", self._random.randrange(100)
            number = str(self._random.choice([0, 5, 10**56, 10**128]))
            made_up = [record_of(step, number, "arn:aws:kinesis:us-east-1:account-id:stream/made-up")]
            try:
                self._invoke(self._random.choice([self.cut_anyhow(), made_up]))
            except CrashError:
                continue

    def _strike(self, passing: str) -> None:
        if self._mishap():
            self._throttled = self._random.choice([0, 0, 9])
            raise self._random.choice([RetryableError(passing), CrashError()])

    def _mishap(self) -> bool:
        if self._mishaps and self._random.random() < 0.3:
            self._mishaps -= 1
            return True
        return False


@settings(max_examples=HISTORIES, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
@given(histories, st.integers(0, 2**32 - 1))
def test_each_item_is_as_its_newest_event_says_whatever_happened_on_the_way(history: list[Step], seed: int) -> None:
    note(f"seed {seed}")
    random, first = Random(seed), 10**55 - seed % 10  # the numbers grow by a digit on the way
    stream = [record_of(step, str(first + at)) for at, step in enumerate(history)]
    records, parking = InMemoryScoreRecords(), InMemoryParking()
    is_calm = False

    def invoke(batch: list[KinesisRecord]) -> BatchResponse:
        seconds = 100 if is_calm else random.choice([0.2, 0.5])
        return ScoreIngestion(records, parking, STREAM, random, seconds).invoke(batch)

    deliveries = Deliveries(stream, random, invoke, mishaps=random.randrange(12))

    def before(event: ScoreEvent) -> None:
        deliveries.before(event)
        if event.username == REFUSED:
            raise PoisonRecordError("refused by the table")

    records.before, records.after, parking.before = before, deliveries.after, deliveries.before

    deliveries.drain(copies=1 + seed % 2)
    is_calm = True  # an invocation has time for as many records as it is given
    deliveries.redrive()

    def of_the_stream() -> dict[int, tuple[str, int]]:
        return {
            int(record_id): (event.username, int(event.score))
            for record_id, event in records.items.items()
            if event.username != "test"
        }

    newest = {
        record_id: (username, score)
        for record_id, username, score in history
        if score is not None and username != REFUSED
    }
    assert of_the_stream() == newest
    parked = {int(key.rpartition(":")[2].removesuffix(".json")) - first for key in parking.documents}
    poison = {at for at, (_, _, score) in enumerate(history) if score is None}
    # One of the table's refusals that a later event replaces is never put.
    refused = {at for at, (_, username, _) in enumerate(history) if username == REFUSED} - poison
    last = {record_id: at for at, (record_id, _, score) in enumerate(history) if score is not None}
    assert poison | refused & {*last.values()} <= parked <= poison | refused

    held = dict(records.items)
    for batch in (stream, stream[::-1], deliveries.cut_anyhow()):
        assert invoke(batch) == {"batchItemFailures": []}

    assert records.items == held


@given(st.permutations([("1", 1), ("2", 2), ("10", 3), ("11", 4)]), st.integers(1, 4))
def test_any_order_of_any_cut_ends_with_the_newest(order: list[tuple[str, int]], size: int) -> None:
    records = InMemoryScoreRecords()
    function = ScoreIngestion(records, InMemoryParking(), STREAM)
    batch = [record_of((7, "ann", score), number) for number, score in order]

    for at in range(0, len(batch), size):
        function.invoke(batch[at : at + size])

    assert records.items[Decimal(7)].score == 4
