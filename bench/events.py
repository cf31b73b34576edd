"""Made-up events, as Lambda decodes them: every record has its own strings."""

import base64
import json
import time
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, cast

from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared.lambda_types import DynamoDBEvent, DynamoDBRecord, KinesisEvent
from tests.fakes.stream import insert

FIRST_RECORD = 10**12
_FIRST_SEQUENCE_NUMBER = 10**24


@dataclass
class Context:
    """Lambda's context object."""

    aws_request_id: str = "8c2b1f3e-5d0e-4d1c-9f57-0a1b2c3d4e5f"
    function_name: str = "AggregateScoresByUser"
    remaining_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        """A minute, for ever."""
        return self.remaining_ms


def table_records(n: int, users: int, *, zipf: bool = False, seed: int = 1) -> list[DynamoDBRecord]:
    """Inserts of `n` items of so many users, by turns or as 1/rank; scores are whole numbers below 1,000."""
    dice, now = Random(seed), time.time()  # noqa: S311
    names = [f"player-{user:06d}" for user in range(users)]
    whose = (
        dice.choices(names, [1 / rank for rank in range(1, users + 1)], k=n)
        if zipf
        else [names[at % users] for at in range(n)]
    )
    records = [
        cast(
            DynamoDBRecord,
            {
                **insert(
                    FIRST_RECORD + at,
                    _FIRST_SEQUENCE_NUMBER + 37 * at,
                    name,
                    str(dice.randrange(1, 1000)),
                    ApproximateCreationDateTime=now,
                ),
                "eventID": f"{dice.getrandbits(128):032x}",
                "eventVersion": "1.1",
                "awsRegion": "us-east-1",
            },
        )
        for at, name in enumerate(whose)
    ]
    return cast(list[DynamoDBRecord], decoded(records))


def table_event(n: int, users: int) -> DynamoDBEvent:
    """A batch of inserts."""
    return {"Records": table_records(n, users)}


def stream_event(n: int) -> KinesisEvent:
    """A batch of JSON payloads of about 100 bytes that are no score events."""
    arn = "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream"
    records = []
    for at in range(n):
        payload = json.dumps(
            {"event": "level-up", "player": f"player-{at % 100:06d}", "level": at, "at": "2026-11-23T00:00:00Z"}
        )
        records.append(
            {
                "eventID": f"shardId-000000000000:{_FIRST_SEQUENCE_NUMBER + at}",
                "eventSource": "aws:kinesis",
                "eventSourceARN": arn,
                "kinesis": {
                    "data": base64.b64encode(payload.encode()).decode(),
                    "partitionKey": str(at),
                    "sequenceNumber": str(_FIRST_SEQUENCE_NUMBER + at),
                    "approximateArrivalTimestamp": 1_795_392_000.0,
                    "kinesisSchemaVersion": "1.0",
                },
            }
        )
    return cast(KinesisEvent, {"Records": decoded(records)})


def score_events(n: int) -> list[ScoreEvent]:
    """Score events of `n` records of 100 users, with positions as long as Kinesis makes them."""
    first = 49590338271490256608559692538361294095544909552521936898
    return [
        ScoreEvent(Decimal(FIRST_RECORD + at), f"player-{at % 100:06d}", Decimal(at % 1000), f"056:{first + at}")
        for at in range(n)
    ]


def decoded(value: Any) -> Any:
    """As it is after a trip over the wire: nothing is shared between records."""
    return json.loads(json.dumps(value))
