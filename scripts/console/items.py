"""Items of the three tables: a page at a time, or one by its key; and score records, which may be changed."""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handlers.shared import decimals, usernames
from handlers.shared.errors import PoisonRecordError
from scripts.console.problems import InvalidError, RefusedError
from scripts.reconcile.tables import Item, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEYS = {Table.RECORDS: ("RecordID", "N"), Table.LEDGER: ("RecordID", "N"), Table.TOTALS: ("Username", "S")}
_CONDITION_FAILED = "ConditionalCheckFailedException"


def page(dynamodb: "DynamoDBClient", table: str, limit: int, cursor: str) -> dict[str, Any]:
    """Up to `limit` items after the cursor, and the next cursor. Reads no more than these items."""
    onwards: Any = {"ExclusiveStartKey": _key_of(cursor)} if cursor else {}
    answer = dynamodb.scan(TableName=table, Limit=limit, **onwards)
    last = answer.get("LastEvaluatedKey")
    return {"items": [_plain(item) for item in answer["Items"]], "next": _cursor_of(last) if last else None}


def one(dynamodb: "DynamoDBClient", table: Table, name: str, key: str) -> dict[str, Any] | None:
    """An item by its key, as it is at this moment."""
    attribute, kind = KEYS[table]
    value = _number("RecordID", key) if kind == "N" else _username(key)
    answer = dynamodb.get_item(TableName=name, Key={attribute: {kind: value}}, ConsistentRead=True)
    return _plain(answer["Item"]) if "Item" in answer else None


def put(dynamodb: "DynamoDBClient", table: str, record: Mapping[str, Any]) -> None:
    """Add a score record. Raises RefusedError when there is one of its RecordID."""
    item = {
        "RecordID": {"N": _number("RecordID", record.get("RecordID"))},
        "Username": {"S": _username(record.get("Username"))},
        "Score": {"N": _number("Score", record.get("Score"))},
    }
    _if_met(
        "There is a record of this RecordID already. Edit it instead",
        lambda: dynamodb.put_item(
            TableName=table,
            Item=item,
            ConditionExpression="attribute_not_exists(RecordID)",
        ),
    )


def edit(dynamodb: "DynamoDBClient", table: str, key: str, record: Mapping[str, Any]) -> None:
    """Change the user and the score of a record; its other attributes stay. Raises RefusedError when it is gone."""
    values = {
        ":username": {"S": _username(record.get("Username"))},
        ":score": {"N": _number("Score", record.get("Score"))},
    }
    _if_met(
        "The record is gone. Add it instead",
        lambda: dynamodb.update_item(
            TableName=table,
            Key={"RecordID": {"N": _number("RecordID", key)}},
            UpdateExpression="SET Username = :username, Score = :score",
            ConditionExpression="attribute_exists(RecordID)",
            ExpressionAttributeValues=values,
        ),
    )


def delete(dynamodb: "DynamoDBClient", table: str, key: str) -> None:
    """Delete a record. Raises RefusedError when it is gone."""
    _if_met(
        "The record is gone already",
        lambda: dynamodb.delete_item(
            TableName=table,
            Key={"RecordID": {"N": _number("RecordID", key)}},
            ConditionExpression="attribute_exists(RecordID)",
        ),
    )


def _if_met(otherwise: str, write: Any) -> None:
    try:
        write()
    except ClientError as error:
        if error.response["Error"]["Code"] == _CONDITION_FAILED:
            raise RefusedError(409, "conflict", otherwise) from None
        raise


def _number(name: str, value: Any) -> str:
    try:
        return decimals.spell(decimals.parse(str(value).strip()))
    except ValueError as error:
        raise InvalidError(f"{name} {error}") from None


def _username(value: Any) -> str:
    try:
        return usernames.check(value if isinstance(value, str) else "")
    except PoisonRecordError as error:
        raise InvalidError(str(error)) from None


def _plain(item: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """An item's attributes, each with its type and as text: a number is as exact as DynamoDB has it."""
    return {name: dict(zip(("type", "text"), _text(value), strict=True)) for name, value in item.items()}


def _text(attribute: Mapping[str, Any]) -> tuple[str, str]:
    ((kind, value),) = attribute.items()
    return kind, value if kind in {"S", "N"} else json.dumps(value, default=str, ensure_ascii=False)


def _cursor_of(key: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode()


def _key_of(cursor: str) -> Item:
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor))
    except ValueError:
        key = None
    if not isinstance(key, dict):
        raise InvalidError("This page of items is not known. Begin with the first")
    return key
