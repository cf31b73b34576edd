"""AggregateScoresByUser behind the engine: whatever happens to either, the totals are the sums over the table.

HISTORIES scales how many histories are tried, SIMULATION_SEED replays one.
"""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from handlers.aggregate_scores_by_user.ledger import Transaction
from handlers.shared.errors import RetryableError
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import SourceTable, score_image, spoilt_image
from tests.property.fault_model import misread
from tests.simulation.history import History
from tests.simulation.seeds import replay, seeds
from tests.simulation.simulation import Event
from tests.simulation.stream import sequences
from tests.simulation.virtual_time import run

USERS = ["ann", "bob", "cid", "dan"]
SCORES = ["0", "1", "-2", "0.1", "12345678901234567890.12345678901234567", "7E-16"]
EXPECTED = {"put", "rename", "delete", "replace", "spoil", "crash", "reshard", "alter", "RESPONSE_LOST"}
EXPECTED |= {"DELIVERED_TWICE", "CRASHED_BEFORE", "CRASHED_AFTER", "TIMED_OUT", "THROTTLED"}
EXPECTED |= {"died before a transaction", "died after a transaction", "ledger throttled", "acknowledgement lost"}
EXPECTED |= {"parking throttled", "reported", "ran beside another", "RetryAttemptsExhausted", "redriven"}
EXPECTED |= {"read throttled", "died before a read", "an older release ran"}

happened: Counter[str] = Counter()


class CrashError(Exception):
    """The end of an invocation in its midst."""


class ScoreHistory(History):
    """A history of GameScoreRecords, whose stream feeds the real aggregator with its stores in memory."""

    def __init__(self, seed: int) -> None:
        self.table = SourceTable(first_sequence_number=0)
        self.ledger = InMemoryLedger()
        self.parking = InMemoryParking()
        self.spoilt: set[str] = set()
        self._risk = 0.0
        self._is_beside = False
        super().__init__(seed, service="dynamodb")
        # As Terraform deploys it: without it a function that reports failures would lose them.
        self.simulation.settings["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        self.simulation.stream.sequence = 10**21 - self.random.randrange(3000)
        self.ledger.before = self._before
        self.ledger.after = self._after
        self.ledger.before_read = self._before_read
        self.parking.before = self._before_parking

    async def write(self) -> None:
        """Change some items. Their stream's sequence numbers grow by a digit on the way, as real ones do."""
        draw, table = self.random, self.table
        for _ in range(draw.choice([1, 3, 30])):
            record_id, user, score = draw.randrange(1, 121), draw.choice(USERS), draw.choice(SCORES)
            step = draw.choice(["put", "put", "put", "rename", "delete", "replace", "spoil"])
            before = len(table.stream)
            if step in ("delete", "replace"):
                table.delete(record_id)
            if step == "rename" and record_id in table.items:
                table.put(record_id, table.items[record_id] | {"Username": {"S": user}})
            if step in ("put", "replace"):
                table.put(record_id, score_image(record_id, user, score))
            if step == "spoil" and draw.random() < 0.2:
                table.put(record_id, spoilt_image(record_id, user, score))
            changes = table.stream[before:]
            self.happened[step] += len(changes)
            for change in changes:
                self._stream(change)

    def _stream(self, change: DynamoDBRecord) -> None:
        body = change["dynamodb"]
        record = self.simulation.stream.change(change["eventName"], dict(body["Keys"]), body.get("NewImage"))
        self.written(record)
        if "S" in body.get("NewImage", {}).get("Score", {}):
            self.spoilt.add(record.sequence)

    def function(self, event: Event) -> Any:
        """Count the batch; what lies before the record that it reports is processed."""
        response = self.invoke(event["Records"])
        delivered, failures = sequences(event), response["batchItemFailures"]
        self.happened["reported"] += len(failures)
        done = delivered.index(failures[0]["itemIdentifier"]) if failures else len(delivered)
        for sequence in delivered[:done]:
            self.processed(sequence)
        return response

    def invoke(self, records: list[DynamoDBRecord]) -> Any:
        """Deliver records to a copy of the function: while there is trouble, with little time and a bad ledger."""
        self._risk = self.random.choice([0.02, 0.02, 0.9]) if self.troubled else 0
        seconds = self.random.choice([0.2, 0.5, 10]) if self.troubled else 1000
        if self.troubled and self.random.random() < 0.1:
            self.happened["an older release ran"] += 1
            records = misread(records)
        return Function(self.ledger, self.parking, self.random, seconds, clock=self.simulation.now).invoke(records)

    def redrive(self) -> None:
        """Replay discarded batches, and what is parked, in no order."""
        discarded = self.simulation.discarded
        for batch in self.random.sample(discarded, len(discarded)):
            self.happened["redriven"] += 1
            assert self.invoke(json.loads(batch.event)["Records"]) == {"batchItemFailures": []}
        parked = [
            record
            for record in (json.loads(each.body) for each in self.simulation.stream.records)
            if record["dynamodb"]["SequenceNumber"] in self.parked()
        ]
        assert self.invoke(self.random.sample(parked, len(parked))) == {"batchItemFailures": []}

    def parked(self) -> set[str]:
        """The sequence numbers of what is parked."""
        return {
            record["dynamodb"]["SequenceNumber"]
            for document in self.parking.documents.values()
            for record in json.loads(document)["payload"]["Records"]
        }

    def _before(self, _: Transaction) -> None:
        self._run_beside()
        self._strike("ledger throttled", "died before a transaction")

    def _after(self, _: Transaction) -> None:
        self._strike("acknowledgement lost", "died after a transaction")

    def _before_read(self) -> None:
        self._run_beside()
        self._strike("read throttled", "died before a read")

    def _before_parking(self, _: str) -> None:
        self._strike("parking throttled", "died before a transaction")

    def _strike(self, passing: str, deadly: str) -> None:
        if self.random.random() >= self._risk:
            return
        if self.random.random() < 0.2:
            self.happened[deadly] += 1
            raise CrashError
        self.happened[passing] += 1
        raise RetryableError(passing)

    def _run_beside(self) -> None:
        """Now and then another copy of the function gets an earlier batch between two transactions of this one."""
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
def test_totals_equal_the_sums_whatever_happens_to_function_and_engine(seed: int) -> None:
    print(replay(seed, __file__))
    history = ScoreHistory(seed)

    run(history.unfold())
    history.redrive()

    assert history.simulation.losses == []
    assert history.ledger.counted() == history.table.sums()
    assert history.parked() >= history.spoilt

    totals, entries = dict(history.ledger.totals), dict(history.ledger.entries)
    stream: list[DynamoDBRecord] = [json.loads(record.body) for record in history.simulation.stream.records]
    for replayed in stream, Random(seed).sample(stream, len(stream)):
        assert history.invoke(replayed) == {"batchItemFailures": []}
    assert (history.ledger.totals, history.ledger.entries) == (totals, entries)

    happened.update(history.happened, histories=1)


def test_the_histories_hold_everything_that_can_happen() -> None:
    if happened["histories"] < 12:
        pytest.skip("a few histories need not hold everything")

    assert (+happened).keys() >= EXPECTED
