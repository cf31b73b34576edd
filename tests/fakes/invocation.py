"""What an invocation brings with it, in memory."""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import TypeVar

from handlers.aggregate_scores_by_user.handler import Aggregator
from handlers.aggregate_scores_by_user.ledger import Ledger
from handlers.process_kinesis_records.ingestion import Ingestor, ScoreRecords
from handlers.process_kinesis_records.payload import decode, score_fields
from handlers.shared.lambda_types import BatchResponse, DynamoDBRecord, KinesisRecord
from handlers.shared.log import BatchLog
from handlers.shared.parking import Parking
from handlers.shared.response import batch_response
from handlers.shared.retrying import Patience
from tests.fakes.stream import NOW, TABLE_ARN

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class LambdaInvocation:
    """Lambda's context object, of an invocation with plenty of time."""

    aws_request_id: str = "request"
    function_name: str = "Function"

    def get_remaining_time_in_millis(self) -> int:
        """A minute, always."""
        return 60_000


def nothing(key: str) -> None:
    """A hook that does nothing."""


class InMemoryParking:
    """Parking whose hook `before` may raise."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {}
        self.before: Callable[[str], None] = nothing

    def park(self, key: str, document: str) -> None:
        """See Parking."""
        self.before(key)
        self.documents[key] = document


class ShuffledWorkers:
    """Workers who do one thing at a time, in an order that only the seed knows."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def map(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        """See Workers."""
        order = self._random.sample(range(len(items)), len(items))
        results = {index: work(items[index]) for index in order}
        return [results[index] for index in range(len(items))]


class Function:
    """AggregateScoresByUser with its stores in memory and a clock that moves when it is looked at."""

    def __init__(
        self,
        ledger: Ledger,
        parking: Parking,
        random: Random | None = None,
        seconds: float = 10,
        clock: Callable[[], float] = lambda: NOW + 2.5,
    ) -> None:
        self._random = random or Random(0)
        self._seconds = seconds
        self.pauses: list[float] = []
        self.log = io.StringIO()
        self.aggregator = Aggregator(
            table_arn=TABLE_ARN,
            ledger=ledger,
            parking=parking,
            workers=ShuffledWorkers(self._random),
            function_name="AggregateScoresByUser",
            metrics_namespace="GameScores",
            clock=clock,
        )

    def invoke(self, records: list[DynamoDBRecord]) -> BatchResponse:
        """Deliver a batch."""
        self.pauses.clear()
        ticks = count()

        def remaining() -> float:
            return self._seconds - sum(self.pauses) - next(ticks) / 100

        patience = Patience(remaining, self.pauses.append, self._random.random)
        log = BatchLog("request", clock=lambda: 0, stream=self.log)
        try:
            return self.aggregator.aggregate(records, patience, log)
        finally:
            log.write()


class ScoreIngestion:
    """ProcessKinesisRecords' storing of score events, with its stores in memory and a clock that moves by itself."""

    def __init__(
        self,
        records: ScoreRecords,
        parking: InMemoryParking,
        stream_arn: str,
        random: Random | None = None,
        seconds: float = 10,
    ) -> None:
        self._random = random or Random(0)
        self._seconds = seconds
        workers = ShuffledWorkers(self._random)
        self._ingestor = Ingestor(records, parking, workers, "ProcessKinesisRecords", stream_arn)

    def invoke(self, records: list[KinesisRecord]) -> BatchResponse:
        """Deliver a batch of sound records."""
        pauses: list[float] = []
        ticks = count()

        def remaining() -> float:
            return self._seconds - sum(pauses) - next(ticks) / 100

        payloads = [decode(record["kinesis"]["data"]) for record in records]
        found = {at: fields for at, each in enumerate(payloads) if (fields := score_fields(each)) is not None}
        patience = Patience(remaining, pauses.append, self._random.random)
        unfinished = self._ingestor.ingest(records, found, patience).unfinished
        return batch_response(records[min(unfinished)]["kinesis"]["sequenceNumber"] if unfinished else None)
