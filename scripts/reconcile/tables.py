"""The three tables as reconcile reads and repairs them: GameScoreRecords, GameScoreLedger and GameScoresByUser."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from botocore.exceptions import ClientError

from handlers.aggregate_scores_by_user.ledger import Entry
from handlers.shared import aws, decimals
from handlers.shared.errors import RetryableError
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
    Table.LEDGER: "RecordID, Version, Username, Score, ExpiresAt",
    Table.TOTALS: "Username, Score, RecordCount, Correction",
}
_CORRECTED = ("Score", "RecordCount", "Correction")
_MENDED = ("Version", "Username", "Score", "ExpiresAt")
"""What must be as it was read, for a write not to undo another's."""


class Page(NamedTuple):
    """A part of a segment of a table, and the key after which the next one starts; None when there is none."""

    items: list[Item]
    next: Item | None


class ScoreTables(Protocol):
    """The tables. Every read sees all that was written before it began.

    A write that another one was in the way of, or whose answer was lost, is a RetryableError. It may have been done;
    to repeat it is harmless, as its condition fails from then on.
    """

    def scan(self, table: Table, segment: int, start: Item | None, /) -> Page:
        """A page of one of the segments that a table is cut into."""

    def read(self, record_ids: Sequence[str], /) -> Mapping[str, tuple[Item | None, Item | None]]:
        """Each record and its ledger entry; at most READ_ITEMS of them."""

    def correct(self, username: str, was: Item, score: str, records: int, correction: str, /) -> bool:
        """Set a user's total, on condition that it is still what it was; return whether that is done.

        `correction` must be new: it is written, too, and says whose correction the total has had last.
        """

    def mend(self, record_id: str, was: Item, entry: Entry, /) -> bool:
        """Put an entry in place of a damaged item, and change no total; return False when it is not what it was.

        The entry's version must not be the item's.
        """


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
    """ScoreTables in DynamoDB; `names` has the real names.

    `expires_at` returns when a tombstone written now may go, in epoch seconds.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        names: Mapping[Table, str],
        segments: int,
        throttle: Throttle,
        sleep: Callable[[float], None],
        expires_at: Callable[[], int],
    ) -> None:
        self._client = client
        self._names = names
        self._segments = segments
        self._throttle = throttle
        self._sleep = sleep
        self._expires_at = expires_at

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

    def correct(self, username: str, was: Item, score: str, records: int, correction: str, /) -> bool:
        """See ScoreTables."""
        condition, values = _unchanged(was, _CORRECTED)
        key: Any = {"Username": {"S": username}}
        new: Item = {
            ":new_score": {"N": score},
            ":new_records": {"N": str(records)},
            ":new_correction": {"S": correction},
        }

        def write() -> None:
            self._client.update_item(
                TableName=self._names[Table.TOTALS],
                Key=key,
                UpdateExpression="SET Score = :new_score, RecordCount = :new_records, Correction = :new_correction",
                ConditionExpression=condition,
                ExpressionAttributeValues=values | new,
            )

        if _done(write):
            return True
        # botocore, too, sends a request again whose answer was lost.
        with _classified():
            found = self._client.get_item(TableName=self._names[Table.TOTALS], Key=key, ConsistentRead=True)
        return found.get("Item", {}).get("Correction") == {"S": correction}

    def mend(self, record_id: str, was: Item, entry: Entry, /) -> bool:
        """See ScoreTables."""
        condition, values = _unchanged(was, _MENDED)
        item: Item = {"RecordID": {"N": record_id}, "Version": {"S": entry.version}}
        if entry.username is None:
            item["ExpiresAt"] = {"N": str(self._expires_at())}
        else:
            item |= {"Username": {"S": entry.username}, "Score": {"N": decimals.canonical(entry.score)}}
        onwards: Any = {"ExpressionAttributeValues": values} if values else {}

        def write() -> None:
            self._client.put_item(
                TableName=self._names[Table.LEDGER], Item=item, ConditionExpression=condition, **onwards
            )

        return _done(write)


def _unchanged(was: Item, attributes: Sequence[str]) -> tuple[str, Item]:
    """Return the condition that these attributes are what they were, and its values."""
    present = [name for name in attributes if name in was]
    absent = [name for name in attributes if name not in was]
    conditions = [*(f"{name} = :{name}" for name in present), *(f"attribute_not_exists({name})" for name in absent)]
    return " AND ".join(conditions), {f":{name}": was[name] for name in present}


@contextmanager
def _classified() -> Iterator[None]:
    """Raise RetryableError for what may be tried again; leave anything else as botocore raised it."""
    try:
        yield
    except aws.AWS_ERRORS as error:
        classified = aws.classify(error)
        if isinstance(classified, RetryableError):
            raise classified from error
        raise


def _done(write: Callable[[], object]) -> bool:
    """Write on a condition; return whether it held. Raises RetryableError, or what botocore raises."""
    with _classified():
        try:
            write()
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
    return True


def record_id(item: Item) -> str:
    """The number in an item's RecordID, in its canonical form."""
    return decimals.canonical(decimals.parse(item["RecordID"]["N"]))
