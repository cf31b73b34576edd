"""What a record of GameScoreRecords' stream says, free of AWS's encoding."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from handlers.shared.errors import PoisonRecordError
from handlers.shared.lambda_types import AttributeValue, DynamoDBRecord


@dataclass(frozen=True, slots=True)
class Score:
    """What one item of GameScoreRecords adds to its user's total."""

    username: str
    score: Decimal


def inserted_score(record: DynamoDBRecord) -> Score | None:
    """The score that an INSERT brings, or None for any other change.

    Raises PoisonRecordError when the item has no Username (S) or no Score (N).
    """
    if record["eventName"] != "INSERT":
        return None
    image = record["dynamodb"].get("NewImage", {})
    try:
        return Score(_attribute(image, "Username", "S"), Decimal(_attribute(image, "Score", "N")))
    except InvalidOperation as error:
        raise PoisonRecordError("Score is not a number") from error


def _attribute(image: dict[str, AttributeValue], name: str, type_: str) -> str:
    value = image.get(name, {}).get(type_)
    if not isinstance(value, str):
        raise PoisonRecordError(f"{name} is missing or is not of type {type_}")
    return value
