"""The change that a stream record of GameScoreRecords describes, free of AWS's encoding."""

import re
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError
from handlers.shared.lambda_types import DynamoDBRecord

SEQUENCE_NUMBER_DIGITS = 40
_FAR_FUTURE = 1e11
_LABEL = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]{1,20}", re.ASCII)
_IS_INSERT = {"INSERT": True, "MODIFY": False}


class Change(NamedTuple):
    """The state in which a change left an item: what the item adds to its user's total from then on.

    A named tuple rather than a dataclass: a batch makes ten thousand, in half the time.
    """

    record_id: str
    """The number in RecordID, in its canonical form."""
    version: str
    """`<stream label>#<sequence number, padded>`: of two changes of one item, the later one's is greater."""
    username: str | None
    """None when the item is gone, or holds no score that can be counted."""
    score: Decimal
    is_insert: bool
    """Whether the item was absent before, so that the ledger is expected to hold no entry for it."""
    position: int
    """The place in its batch of the record that says so."""
    at: float
    """When DynamoDB made the change, in seconds since the epoch; 0 when the record does not say."""

    @property
    def is_test(self) -> bool:
        """Whether no stream of the table delivered the change: a test event, made by hand."""
        return is_test(self.version)


def is_test(version: str) -> bool:
    """Whether a version is of a test event: it has no stream label."""
    return version.startswith("#")


def parse(record: DynamoDBRecord, position: int, table_arn: str) -> Change:
    """Return the change that a stream record of the table describes.

    Raises PoisonRecordError when it describes none.
    """
    try:
        return _read(record, position, table_arn)
    except (AttributeError, LookupError, TypeError, ValueError, PoisonRecordError):
        return _examine(record, position, table_arn)


def _read(record: Any, position: int, table_arn: str) -> Change:
    """Fast path for well-formed records. Raises on anything else; `parse` then uses the strict parser."""
    body = record["dynamodb"]
    image = body["NewImage"]
    record_id, number = body["Keys"]["RecordID"]["N"], body["SequenceNumber"]
    digits = record_id + number
    if not (digits.isascii() and digits.isdigit() and record_id[0] != "0" and len(record_id) <= decimals.DIGITS):
        raise ValueError
    return Change(
        record_id,
        _version_before(record["eventSourceARN"], table_arn, len(number)) + number,
        usernames.check(image["Username"]["S"]),
        decimals.parse(image["Score"]["N"]),
        _IS_INSERT[record["eventName"]],
        position,
        _at(body),
    )


def _examine(record: DynamoDBRecord, position: int, table_arn: str) -> Change:
    """Strict parser, for records that may be anything. Raises PoisonRecordError, which says what is wrong."""
    body = _body(record)
    record_id, version, at = _record_id(body), _version(record, body, table_arn), _at(body)
    match record.get("eventName"):
        case "REMOVE":
            return Change(record_id, version, None, decimals.ZERO, False, position, at)
        case "INSERT" | "MODIFY" as event_name:
            image = body.get("NewImage")
            if not isinstance(image, dict):
                raise PoisonRecordError("NewImage is missing")
            username = usernames.check(_attribute(image, "Username", "S"))
            return Change(record_id, version, username, _score(image), event_name == "INSERT", position, at)
        case _:
            raise PoisonRecordError("eventName is unknown")


def withdrawal(record: DynamoDBRecord, position: int, table_arn: str) -> Change | None:
    """Return the change that takes back what a poison record's item had counted, since it no longer holds that.

    None when not even the item and the version can be read.
    """
    try:
        body = _body(record)
        record_id, version = _record_id(body), _version(record, body, table_arn)
        return Change(record_id, version, None, decimals.ZERO, False, position, _at(body))
    except PoisonRecordError:
        return None


def fold(changes: Iterable[Change]) -> dict[str, Change]:
    """The last change of each item, by RecordID."""
    last: dict[str, Change] = {}
    for change in changes:
        record_id = change.record_id
        held = last.get(record_id)
        if held is None:
            last[record_id] = change
        elif change.version > held.version:
            last[record_id] = change._replace(is_insert=held.is_insert)
    return last


# The functions below read records that may be anything, whatever their TypedDict says: hence `Any`.


def _body(record: DynamoDBRecord) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise PoisonRecordError("The record is not an object")
    body: Any = record.get("dynamodb")
    if not isinstance(body, dict):
        raise PoisonRecordError("dynamodb is missing")
    return body


def _at(body: dict[str, Any]) -> float:
    at = body.get("ApproximateCreationDateTime")
    return at if isinstance(at, int | float) and 0 <= at < _FAR_FUTURE else 0


def _record_id(body: dict[str, Any]) -> str:
    keys = body.get("Keys")
    key = keys.get("RecordID") if isinstance(keys, dict) else None
    if not isinstance(key, dict):
        raise PoisonRecordError("RecordID is missing")
    # The lab's test event types RecordID as S, though the table's key is a Number.
    text = key.get("N", key.get("S"))
    if not isinstance(text, str):
        raise PoisonRecordError("RecordID is not of type N")
    if text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= decimals.DIGITS:
        return text  # the common case, already in its canonical form
    try:
        return decimals.canonical(decimals.parse(text))
    except ValueError as error:
        raise PoisonRecordError(f"RecordID {error}") from None


def _version(record: DynamoDBRecord, body: dict[str, Any], table_arn: str) -> str:
    number = body.get("SequenceNumber")
    if not (isinstance(number, str) and number.isascii() and number.isdigit()):
        raise PoisonRecordError("SequenceNumber is not a number")
    if len(number) > SEQUENCE_NUMBER_DIGITS:
        raise PoisonRecordError("SequenceNumber has too many digits")
    arn = record.get("eventSourceARN")
    return _version_before(arn if isinstance(arn, str) else "", table_arn, len(number)) + number


@lru_cache(maxsize=64)
def _version_before(stream_arn: str, table_arn: str, digits: int) -> str:
    """Return what precedes a sequence number of so many digits in a version: the stream's label, and the padding.

    A label is the time at which its stream was enabled, so labels sort as streams do. An event that comes from no
    stream of the table is a test. It gets no label, and so sorts before every change of the table.
    """
    if not 0 < digits <= SEQUENCE_NUMBER_DIGITS:
        raise ValueError
    table, _, label = stream_arn.partition("/stream/")
    if table != table_arn or not _LABEL.fullmatch(label):
        label = ""
    return f"{label}#{'0' * (SEQUENCE_NUMBER_DIGITS - digits)}"


def _score(image: dict[str, Any]) -> Decimal:
    try:
        return decimals.parse(_attribute(image, "Score", "N"))
    except ValueError as error:
        raise PoisonRecordError(f"Score {error}") from None


def _attribute(image: dict[str, Any], name: str, type_: str) -> str:
    attribute = image.get(name)
    value = attribute.get(type_) if isinstance(attribute, dict) else None
    if not isinstance(value, str):
        raise PoisonRecordError(f"{name} is missing or is not of type {type_}")
    return value
