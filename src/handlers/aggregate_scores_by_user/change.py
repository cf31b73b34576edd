"""What a record of GameScoreRecords' stream says, free of AWS's encoding."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError
from handlers.shared.lambda_types import DynamoDBRecord

_SEQUENCE_NUMBER_DIGITS = 40


class Change(NamedTuple):
    """The state in which a change left an item: what it adds to its user's total from then on.

    A named tuple, not a dataclass: ten thousand are made a batch, in half the time.
    """

    record_id: str
    """The number in RecordID, in its one spelling."""
    version: str
    """`<stream label>#<sequence number, padded>`: of two changes of one item, the later one's is greater."""
    username: str | None
    """None when the item is gone, or holds no score that can be counted."""
    score: Decimal
    is_insert: bool
    """Whether the item was absent before, so that the ledger is expected to hold no entry for it."""
    position: int
    """The place in its batch of the record that says so."""


def parse(record: DynamoDBRecord, position: int) -> Change:
    """The change that a stream record describes. Raises PoisonRecordError when it describes none."""
    body = _body(record)
    record_id, version = _record_id(body), _version(record, body)
    match record.get("eventName"):
        case "REMOVE":
            return Change(record_id, version, None, decimals.ZERO, False, position)
        case "INSERT" | "MODIFY" as event_name:
            image = body.get("NewImage")
            if not isinstance(image, dict):
                raise PoisonRecordError("NewImage is missing")
            username = usernames.check(_attribute(image, "Username", "S"))
            return Change(record_id, version, username, _score(image), event_name == "INSERT", position)
        case _:
            raise PoisonRecordError("eventName is unknown")


def withdrawal(record: DynamoDBRecord, position: int) -> Change | None:
    """What is left of a poison record: its item no longer holds what was counted for it.

    None when not even the item and the version can be read.
    """
    try:
        body = _body(record)
        return Change(_record_id(body), _version(record, body), None, decimals.ZERO, False, position)
    except PoisonRecordError:
        return None


def fold(changes: Iterable[Change]) -> tuple[dict[str, Change], dict[str, int]]:
    """The last change of each item; and the position of its first, to be reported if it stays undone."""
    last: dict[str, Change] = {}
    first: dict[str, int] = {}
    for change in changes:
        held = last.setdefault(change.record_id, change)
        if held is change:
            first[change.record_id] = change.position
        elif change.version > held.version:
            last[change.record_id] = change._replace(is_insert=held.is_insert)
    return last, first


# What follows reads records that may be anything at all, whatever their TypedDict says, hence `Any`.


def _body(record: DynamoDBRecord) -> dict[str, Any]:
    body: Any = record.get("dynamodb")
    if not isinstance(body, dict):
        raise PoisonRecordError("dynamodb is missing")
    return body


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
        return text  # the common case, already in its one spelling
    try:
        return decimals.spell(decimals.parse(text))
    except ValueError as error:
        raise PoisonRecordError(f"RecordID {error}") from None


def _version(record: DynamoDBRecord, body: dict[str, Any]) -> str:
    number = body.get("SequenceNumber")
    if not (isinstance(number, str) and number.isascii() and number.isdigit()):
        raise PoisonRecordError("SequenceNumber is not a number")
    if len(number) > _SEQUENCE_NUMBER_DIGITS:
        raise PoisonRecordError("SequenceNumber has too many digits")
    # A label is the time at which its stream was enabled, so labels sort as streams do. A hand-made event
    # has none, and thus sorts before all that really happened.
    label = str(record.get("eventSourceARN")).partition("/stream/")[2]
    return f"{label}#{number.zfill(_SEQUENCE_NUMBER_DIGITS)}"


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
