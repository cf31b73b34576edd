"""The three tables as reconcile reads them: GameScoreRecords, GameScoreLedger and GameScoresByUser."""

import threading
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.exceptions import ClientError

from handlers.shared import decimals
from handlers.shared.lambda_types import AttributeValue

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, AttributeValue]

READ_ITEMS = 50
"""Records that one `read` takes, each with its ledger entry: half of the 100 keys of a BatchGetItem."""

_UNPROCESSED_PAUSE = 0.5  # seconds


class Table(StrEnum):
    """A table, by its name in the lab."""

    RECORDS = "GameScoreRecords"
    LEDGER = "GameScoreLedger"
    TOTALS = "GameScoresByUser"


_ATTRIBUTES = {
    Table.RECORDS: "RecordID, Username, Score",
    Table.LEDGER: "RecordID, Version, Username, Score",
    Table.TOTALS: "Username, Score, RecordCount",
}


class Page(NamedTuple):
    """A part of a segment of a table, and the key after which the next one starts; None when there is none."""

    items: list[Item]
    next: Item | None


class ScoreTables(Protocol):
    """The tables. Every read sees all that was written before it began."""

    def scan(self, table: Table, segment: int, start: Item | None, /) -> Page:
        """A page of one of the segments that a table is cut into."""

    def read(self, record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        """Each record and its ledger entry; at most READ_ITEMS of them."""

    def correct(self, username: str, was: Item, score: str, records: int, /) -> bool:
        """Set a user's total, on condition that it is still what it was; whether it was."""


class Throttle:
    """Spends capacity units at a steady rate, for all threads together."""

    def __init__(self, units_a_second: float, clock: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self._rate = units_a_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def spend(self, units: float) -> None:
        """Book what was used, and wait until the rate allows for more."""
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + units / self._rate
            wait = self._free_at - self._clock()
        self._sleep(wait)


class DynamoDBScoreTables:
    """ScoreTables in DynamoDB; `names` has the real names."""

    def __init__(
        self,
        client: "DynamoDBClient",
        names: Mapping[Table, str],
        segments: int,
        throttle: Throttle,
        sleep: Callable[[float], None],
    ) -> None:
        self._client = client
        self._names = names
        self._segments = segments
        self._throttle = throttle
        self._sleep = sleep

    def scan(self, table: Table, segment: int, start: Item | None, /) -> Page:
        """See ScoreTables."""
        onwards: Any = {"ExclusiveStartKey": start} if start else {}
        answer: Any = self._client.scan(
            TableName=self._names[table],
            ProjectionExpression=_ATTRIBUTES[table],
            Segment=segment,
            TotalSegments=self._segments,
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
            **onwards,
        )
        self._throttle.spend(answer["ConsumedCapacity"]["CapacityUnits"])
        return Page(answer["Items"], answer.get("LastEvaluatedKey"))

    def read(self, record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        """See ScoreTables."""
        keys = [{"RecordID": {"N": record_id}} for record_id in record_ids]
        wanted: Any = {
            self._names[table]: {"Keys": keys, "ConsistentRead": True, "ProjectionExpression": _ATTRIBUTES[table]}
            for table in (Table.RECORDS, Table.LEDGER)
        }
        found: dict[str, dict[str, Item]] = {name: {} for name in wanted}
        while wanted:
            answer: Any = self._client.batch_get_item(RequestItems=wanted)
            # An item of up to 4 KB takes one unit. The emulator does not say what these reads consumed.
            self._throttle.spend(sum(len(each["Keys"]) for each in wanted.values()))
            for name, items in answer["Responses"].items():
                found[name] |= {record_id(item): item for item in items}
            wanted = answer["UnprocessedKeys"]
            if wanted:
                self._sleep(_UNPROCESSED_PAUSE)
        records, entries = found[self._names[Table.RECORDS]], found[self._names[Table.LEDGER]]
        return {each: (records.get(each), entries.get(each)) for each in record_ids}

    def correct(self, username: str, was: Item, score: str, records: int, /) -> bool:
        """See ScoreTables."""
        values = {":score": {"N": score}, ":records": {"N": str(records)}}
        conditions = []
        for attribute in ("Score", "RecordCount"):
            if attribute in was:
                values[f":{attribute}"] = was[attribute]
                conditions.append(f"{attribute} = :{attribute}")
            else:
                conditions.append(f"attribute_not_exists({attribute})")
        try:
            self._client.update_item(
                TableName=self._names[Table.TOTALS],
                Key={"Username": {"S": username}},
                UpdateExpression="SET Score = :score, RecordCount = :records",
                ConditionExpression=" AND ".join(conditions),
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True


def record_id(item: Item) -> str:
    """The number in an item's RecordID, in its one spelling."""
    return decimals.spell(decimals.parse(item["RecordID"]["N"]))
