"""Items of tables: a page at a time, or one by its key; and score records, which may be changed."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError
from scripts.console.context import is_unicode
from scripts.console.problems import InvalidError, RefusedError
from scripts.reconcile.tables import Item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Shown = dict[str, dict[str, str]]
"""An item's attributes, each with its type and as text: a number is as exact as DynamoDB has it."""

_CONDITION_FAILED = "ConditionalCheckFailedException"
_EDITED = ("Username", "Score")
_CURSOR_LENGTH = 10_000
_LEVELS = 32
"""The most that DynamoDB nests, the value of the attribute itself included; boto3 fails on a thousand.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
"""


def page(dynamodb: "DynamoDBClient", table: str, limit: int, cursor: str) -> dict[str, Any]:
    """Return up to `limit` items after the cursor, and the next cursor. Reads no more than these items."""
    onwards: Any = {"ExclusiveStartKey": _key_of(cursor)} if cursor else {}
    answer = dynamodb.scan(TableName=table, Limit=limit, **onwards)
    last = answer.get("LastEvaluatedKey")
    return {"items": [shown(item) for item in answer["Items"]], "next": _cursor_of(last) if last else None}


def one(dynamodb: "DynamoDBClient", table: str, key: Mapping[str, str], value: str) -> Shown | None:
    """Return an item by the value of its partition key, of this name and type, as it is at this moment."""
    name, kind = key["name"], key["type"]
    exact = _number(name, value) if kind == "N" else _username(value) if name == "Username" else _key_text(name, value)
    answer = dynamodb.get_item(TableName=table, Key={name: {kind: exact}}, ConsistentRead=True)
    return shown(answer["Item"]) if "Item" in answer else None


def put(dynamodb: "DynamoDBClient", table: str, record: Mapping[str, Any]) -> None:
    """Add a score record. Raises RefusedError when there is one with its RecordID."""
    item = {"RecordID": {"N": _number("RecordID", record.get("RecordID"))}, **_values(record, _EDITED)}
    _on_condition(
        lambda: dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(RecordID)"),
        lambda: RefusedError(409, "conflict", "There is a record with this RecordID already. Edit it instead"),
    )


def edit(dynamodb: "DynamoDBClient", table: str, key: str, change: Mapping[str, Any]) -> None:
    """Set the attributes under `set`, Username or Score or both, if all under `read` are still as they were read.

    Other attributes stay. Raises RefusedError, with the item as it is now, when it was changed or is gone.
    """
    changed = change.get("set")
    if not isinstance(changed, dict) or not changed or not set(changed) <= set(_EDITED):
        raise InvalidError("Change Username, Score, or both")
    values = _values(changed, changed)
    names = {f"#{name}": name for name in values}
    condition = _as_read(change.get("read"))
    _on_condition(
        lambda: dynamodb.update_item(
            TableName=table,
            Key={"RecordID": {"N": _number("RecordID", key)}},
            UpdateExpression="SET " + ", ".join(f"#{name} = :new{name}" for name in values),
            ConditionExpression=condition.expression,
            ExpressionAttributeNames=names | condition.names,
            ExpressionAttributeValues={f":new{name}": value for name, value in values.items()} | condition.values,
        ),
        lambda: _conflict(dynamodb, table, key),
    )


def delete(dynamodb: "DynamoDBClient", table: str, key: str, request: Mapping[str, Any]) -> None:
    """Delete a record if all attributes under `read` are still as they were read. Raises what `edit` raises."""
    condition = _as_read(request.get("read"))
    named: Any = {"ExpressionAttributeNames": condition.names} if condition.names else {}
    valued: Any = {"ExpressionAttributeValues": condition.values} if condition.values else {}
    _on_condition(
        lambda: dynamodb.delete_item(
            TableName=table,
            Key={"RecordID": {"N": _number("RecordID", key)}},
            ConditionExpression=condition.expression,
            **named,
            **valued,
        ),
        lambda: _conflict(dynamodb, table, key),
    )


def shown(item: Mapping[str, Any]) -> Shown:
    """Return an item as the page shows it."""
    return {name: dict(zip(("type", "text"), _text(value), strict=True)) for name, value in item.items()}


class _AsRead:
    """The condition that a record exists and has the attributes that somebody has read."""

    def __init__(self, read: Mapping[str, Any]) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        terms = ["attribute_exists(RecordID)"]
        for name in _EDITED:
            if name not in read:
                continue
            self.names[f"#{name}"] = name
            if read[name] is None:
                terms.append(f"attribute_not_exists(#{name})")
            else:
                self.values[f":old{name}"] = _attribute(read[name])
                terms.append(f"#{name} = :old{name}")
        self.expression = " AND ".join(terms)


def _as_read(read: Any) -> _AsRead:
    if not isinstance(read, dict):
        raise InvalidError("Send what was read")
    return _AsRead(read)


def _attribute(value: Any) -> dict[str, Any]:
    """Return the attribute value that `shown` has made this of."""
    kind, text = (value.get("type"), value.get("text")) if isinstance(value, dict) else (None, None)
    if not isinstance(kind, str) or not isinstance(text, str) or not is_unicode(text):
        raise InvalidError("Send what was read")
    if kind in {"S", "N"}:
        return {kind: _number("What was read", text) if kind == "N" else text}
    try:
        return _restored({kind: json.loads(text)})
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidError("Send what was read") from None


def _restored(attribute: Mapping[str, Any], levels: int = _LEVELS) -> dict[str, Any]:
    """Return an attribute value with bytes where `_text` has made base64 of them."""
    ((kind, value),) = attribute.items()
    if not levels:
        raise ValueError("nested too deeply")
    restore: dict[str, Callable[[Any], Any]] = {
        "B": _bytes,
        "BS": lambda values: list(map(_bytes, values)),
        "L": lambda values: [_restored(each, levels - 1) for each in values],
        "M": lambda values: {name: _restored(each, levels - 1) for name, each in values.items()},
    }
    return {kind: restore[kind](value) if kind in restore else value}


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _conflict(dynamodb: "DynamoDBClient", table: str, key: str) -> RefusedError:
    now = one(dynamodb, table, {"name": "RecordID", "type": "N"}, key)
    if now is None:
        return RefusedError(409, "conflict", "The record is gone: somebody else has deleted it")
    return RefusedError(409, "conflict", "Somebody else has changed the record. Nothing was written", item=now)


def _on_condition(write: Callable[[], Any], refusal: Callable[[], RefusedError]) -> None:
    try:
        write()
    except ClientError as error:
        if error.response["Error"]["Code"] == _CONDITION_FAILED:
            raise refusal() from None
        raise


def _values(record: Mapping[str, Any], names: Any) -> dict[str, dict[str, str]]:
    exact: dict[str, Callable[[Any], dict[str, str]]] = {
        "Username": lambda value: {"S": _username(value)},
        "Score": lambda value: {"N": _number("Score", value)},
    }
    return {name: exact[name](record.get(name)) for name in names}


def _number(name: str, value: Any) -> str:
    try:
        return decimals.canonical(decimals.parse(str(value).strip()))
    except ValueError as error:
        raise InvalidError(f"{name} {error}") from None


def _username(value: Any) -> str:
    try:
        return usernames.check(value if isinstance(value, str) else "")
    except PoisonRecordError as error:
        raise InvalidError(str(error)) from None


def _key_text(name: str, value: str) -> str:
    if not value:
        raise InvalidError(f"{name} is empty")
    return value


def _text(attribute: Mapping[str, Any]) -> tuple[str, str]:
    ((kind, value),) = attribute.items()
    return kind, value if kind in {"S", "N"} else json.dumps(value, default=_binary, ensure_ascii=False)


def _binary(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode()


def _cursor_of(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, default=_binary).encode()).decode()


def _key_of(cursor: str) -> Item:
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor)) if len(cursor) <= _CURSOR_LENGTH else None
    except (ValueError, RecursionError, binascii.Error):
        key = None
    if not isinstance(key, dict) or not all(_is_attribute(value) for value in key.values()):
        raise InvalidError("This page of items is not known. Begin with the first")
    return key


def _is_attribute(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and len(value) == 1
        and all(kind in {"S", "N"} and isinstance(text, str) and is_unicode(text) for kind, text in value.items())
    )
