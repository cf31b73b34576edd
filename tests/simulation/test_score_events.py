"""ProcessKinesisRecords behind the engine: whatever happens to either, each item is as its newest event says.

SIMULATION_SEEDS sets how many histories are tried, SIMULATION_SEED replays one.
"""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared.errors import RetryableError
from tests.fakes.invocation import InMemoryParking, ScoreIngestion
from tests.fakes.records import InMemoryScoreRecords
from tests.simulation.history import History
from tests.simulation.seeds import replay, seeds
from tests.simulation.simulation import Event
from tests.simulation.stream import sequences
from tests.simulation.virtual_time import run

EXPECTED = {"put", "spoil", "crash", "reshard", "alter", "RESPONSE_LOST", "DELIVERED_TWICE", "CRASHED_BEFORE"}
EXPECTED |= {"CRASHED_AFTER", "TIMED_OUT", "died before a put", "died after a put", "throttled", "answer lost"}
EXPECTED |= {"reported", "ran beside another", "RetryAttemptsExhausted", "redriven", "child shard"}

happened: Counter[str] = Counter()


class CrashError(Exception):
    """The end of an invocation in its midst."""


class ScoreEventHistory(History):
    """A history of Demo-Stream, which feeds the real ingestion with its stores in memory."""

    def __init__(self, seed: int) -> None:
        self.records = InMemoryScoreRecords()
        self.parking = InMemoryParking()
        self.newest: dict[int, tuple[str, int]] = {}
        self.spoilt: set[str] = set()
        self._risk = 0.0
        self._is_beside = False
        super().__init__(seed, service="kinesis")
        self.simulation.settings.pop("FilterCriteria", None)
        # As Terraform deploys it: without it a function that reports failures would lose them.
        self.simulation.settings["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        self.simulation.stream.sequence = 10**21 - self.random.randrange(3000)
        self.records.before = self._before
        self.records.after = self._after

    async def write(self) -> None:
        """Put score events under their RecordID. Sequence numbers grow by a digit on the way."""
        draw = self.random
        for _ in range(draw.choice([1, 3, 30])):
            record_id, username = draw.randrange(1, 61), draw.choice(["ann", "bob"])
            score = None if draw.random() < 0.02 else draw.randrange(1000)
            payload = {"RecordID": record_id, "Username": username, "Score": score}
            record = self.simulation.stream.put(str(record_id), json.dumps(payload))
            self.written(record)
            self.happened["spoil" if score is None else "put"] += 1
            if score is None:
                self.spoilt.add(record.sequence)
            else:
                self.newest[record_id] = username, score

    def function(self, event: Event) -> Any:
        """Store the batch; what lies before the record that it reports is processed."""
        response = self.invoke(event["Records"])
        delivered, failures = sequences(event), response["batchItemFailures"]
        self.happened["reported"] += len(failures)
        self.happened["child shard"] += any(int(each["eventID"][8:20]) > 2 for each in event["Records"])
        done = delivered.index(failures[0]["itemIdentifier"]) if failures else len(delivered)
        for sequence in delivered[:done]:
            self.processed(sequence)
        return response

    def invoke(self, records: Any) -> Any:
        """Deliver records to a copy of the function: while there is trouble, with little time and a bad table."""
        self._risk = self.random.choice([0.02, 0.02, 0.9]) if self.troubled else 0
        seconds = self.random.choice([0.2, 0.5, 10]) if self.troubled else 1000
        arn = self.simulation.stream.arn
        return ScoreIngestion(self.records, self.parking, arn, self.random, seconds).invoke(records)

    def redrive(self) -> None:
        """Deliver what was discarded, in no order."""
        letters = self.simulation.discarded
        for letter in self.random.sample(letters, len(letters)):
            self.happened["redriven"] += 1
            assert self.invoke(json.loads(letter.event)["Records"]) == {"batchItemFailures": []}

    def stored(self) -> dict[int, tuple[str, int]]:
        """What the items say."""
        return {int(at): (event.username, int(event.score)) for at, event in self.records.items.items()}

    def parked(self) -> set[str]:
        """The sequence numbers of what is parked."""
        return {
            record["kinesis"]["sequenceNumber"]
            for document in self.parking.documents.values()
            for record in json.loads(document)["payload"]["Records"]
        }

    def _before(self, _: ScoreEvent) -> None:
        self._run_beside()
        self._strike("throttled", "died before a put")

    def _after(self, _: ScoreEvent) -> None:
        self._strike("answer lost", "died after a put")

    def _strike(self, passing: str, deadly: str) -> None:
        if self.random.random() >= self._risk:
            return
        if self.random.random() < 0.2:
            self.happened[deadly] += 1
            raise CrashError
        self.happened[passing] += 1
        raise RetryableError(passing)

    def _run_beside(self) -> None:
        """Now and then another copy of the function gets an earlier batch between two puts of this one."""
        if not self.troubled or self._is_beside or self.random.random() >= 0.02:
            return
        self.happened["ran beside another"] += 1
        self._is_beside = True
        try:
            self.invoke(self.random.choice(self.simulation.seen).event["Records"])
        except CrashError:
            return
        finally:
            self._is_beside = False


@pytest.mark.parametrize("seed", seeds(usual=12))
def test_each_item_is_as_its_newest_event_says_whatever_happens_to_function_and_engine(seed: int) -> None:
    print(replay(seed, __file__))
    history = ScoreEventHistory(seed)

    run(history.unfold())
    history.redrive()

    assert history.simulation.losses == []
    assert history.stored() == history.newest
    assert history.parked() == history.spoilt

    held = dict(history.records.items)
    stream = [json.loads(record.body) for record in history.simulation.stream.records]
    for replayed in stream, Random(seed).sample(stream, len(stream)):
        assert history.invoke(replayed) == {"batchItemFailures": []}
    assert history.records.items == held

    happened.update(history.happened, histories=1)


def test_the_histories_hold_everything_that_can_happen() -> None:
    if happened["histories"] < 12:
        pytest.skip("a few histories need not hold everything")

    assert (+happened).keys() >= EXPECTED
