"""Repairs of DynamoDB: descriptions of tables, numbers, stream records, expiry, and conflicts of transactions."""

import asyncio
import base64
import json
import math
import threading
import time
from collections.abc import Iterator
from decimal import Context, Decimal
from typing import Any

from localcloud.emulator.patching import Answer, repair, replace

Item = dict[str, Any]

TRANSACTION_SECONDS = 0.005
"""How long a transaction holds its items. DynamoDB says nothing of it: our choice."""
EXPIRY_SECONDS = 5.0
"""How often items are looked for whose time is over. DynamoDB takes days; here a person waits."""

_CONFLICT = "Transaction is ongoing for the item"
_EXACT = Context(prec=600)  # numbers reach from 1E-130 to 9.9E+125


@repair(
    replaces=("dynamodb._table_description",),
    aws="NumberOfDecreasesToday, and WarmThroughput of 12,000 and 4,000 units on demand, are recorded: LocalStack's "
    "tests/aws/services/lambda_/test_lambda_api.snapshot.json; "
    "https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html",
)
def describe_tables_as_dynamodb(dynamodb: Any) -> None:
    """Describe no stream of a table that has none, and throughput as DynamoDB does."""
    describe = dynamodb._table_description

    def table_description(name: str) -> dict[str, Any]:
        table = dict(describe(name))
        if not (table.get("StreamSpecification") or {}).get("StreamEnabled"):
            for key in ("StreamSpecification", "LatestStreamArn", "LatestStreamLabel"):
                table.pop(key, None)
        on_demand = (table.get("BillingModeSummary") or {}).get("BillingMode") == "PAY_PER_REQUEST"
        chosen = "WarmThroughput" in dynamodb._tables[name]
        table = _with_throughput(table, on_demand=on_demand, chosen=chosen)
        if table["TableStatus"] == "CREATING":
            del table["WarmThroughput"]
        if "GlobalSecondaryIndexes" in table:
            table["GlobalSecondaryIndexes"] = [
                _with_throughput(dict(index), on_demand=on_demand, chosen="WarmThroughput" in index)
                for index in table["GlobalSecondaryIndexes"]
            ]
        return table

    replace(dynamodb, _table_description=table_description)


def _with_throughput(described: dict[str, Any], *, on_demand: bool, chosen: bool) -> dict[str, Any]:
    capacity = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0} | (described.get("ProvisionedThroughput") or {})
    read, write = (12_000, 4_000) if on_demand else (capacity["ReadCapacityUnits"], capacity["WriteCapacityUnits"])
    warm = {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write, "Status": "ACTIVE"}
    return described | {
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0} | capacity,
        "WarmThroughput": described["WarmThroughput"] if chosen else warm,
    }


@repair(
    replaces=("dynamodb.Decimal",),
    uses=(
        "dynamodb._apply_add",
        "dynamodb._eval_set_value",
        "dynamodb._apply_attribute_updates",
        "dynamodb._ddb_canonicalize_number",
        "dynamodb._NUM_OVERFLOW",
    ),
    aws="numbers have 38 digits, and more is an exception: https://docs.aws.amazon.com/amazondynamodb/latest/"
    "developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number",
)
def add_all_digits(dynamodb: Any) -> None:
    """Add and subtract exactly, and refuse a result that is no number of DynamoDB's; ministack rounds at 28 digits."""

    class Number(Decimal):
        """A number whose sums are exact."""

        def __add__(self, other: Any) -> "Number":
            return _checked(_EXACT.add(self, other))

        def __sub__(self, other: Any) -> "Number":
            return _checked(_EXACT.subtract(self, other))

        def __str__(self) -> str:
            return dynamodb._ddb_canonicalize_number(format(Decimal(self), "f")) or super().__str__()

    def _checked(result: Decimal) -> Number:
        if dynamodb._ddb_canonicalize_number(format(result, "f")) is None:
            raise ValueError(dynamodb._NUM_OVERFLOW)
        return Number(result)

    replace(dynamodb, Decimal=Number)


@repair(
    replaces=("dynamodb._build_change_record",),
    aws="eventID, SizeBytes and whole seconds: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/"
    "API_streams_StreamRecord.html; sizes are recorded: LocalStack's "
    "tests/aws/services/lambda_/event_source_mapping/test_lambda_integration_dynamodbstreams.snapshot.json",
)
def build_stream_records_as_dynamodb(dynamodb: Any) -> None:
    """Give a stream record an eventID of 32 hex digits, and its size."""
    build = dynamodb._build_change_record

    def build_change_record(*change: Any) -> dict[str, Any]:
        record: dict[str, Any] = build(*change)
        shown = record["dynamodb"]
        images = [shown.get(name) or {} for name in ("Keys", "NewImage", "OldImage")]
        shown["SizeBytes"] = sum(item_size(image) for image in images)
        record["eventID"] = record["eventID"].replace("-", "")
        return record

    replace(dynamodb, _build_change_record=build_change_record)


def item_size(item: Item) -> int:
    """Return the size of an item in bytes, as DynamoDB counts it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        digits = Decimal(content).normalize().as_tuple()
        return math.ceil(len(digits.digits) / 2) + 1 + digits.sign
    if kind == "B":
        return len(base64.b64decode(content))
    if kind in ("SS", "NS", "BS"):
        return sum(_value_size({kind[0]: each}) for each in content)
    if kind == "L":
        return 3 + sum(1 + _value_size(each) for each in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _value_size(each) for name, each in content.items())
    return 1  # BOOL, NULL


@repair(
    replaces=("dynamodb._remove_item",),
    uses=(
        "dynamodb._ttl_reaper",
        "dynamodb._ttl_settings",
        "dynamodb._tables",
        "dynamodb._stream_records",
        "dynamodb._lock",
        "dynamodb._extract_key_val",
        "dynamodb._emit_stream_event",
        "responses._request_account_id",
        "responses._request_region",
    ),
    aws="expiry is a REMOVE by the service: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"
    "time-to-live-ttl-streams.html",
)
def stream_what_expires(dynamodb: Any, responses: Any) -> None:
    """Delete expired items within seconds, and say so in the stream; ministack's own deletions leave no record."""
    remove = dynamodb._remove_item

    def remove_item(table: dict[str, Any], *key: Any) -> Item | None:
        if threading.current_thread().name == "dynamodb-ttl-reaper":
            return None  # ministack's own, which would delete without a record
        removed: Item | None = remove(table, *key)
        return removed

    def expired(account: str, region: str, name: str, attribute: str) -> Iterator[tuple[Any, Any, Any, Item]]:
        table = dynamodb._tables.get_scoped(account, region, name)
        for partition, items in list(table["items"].items()) if table else []:
            for sort, item in list(items.items()):
                until = item.get(attribute, {}).get("N")
                # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html: nothing that is
                # older than five years.
                if until is not None and time.time() - 5 * 365 * 86_400 < float(until) <= time.time():
                    yield table, partition, sort, item

    def expire() -> None:
        for (account, region, name), setting in list(dynamodb._ttl_settings.all_items()):
            if setting.get("TimeToLiveStatus") != "ENABLED":
                continue
            tokens = responses._request_account_id.set(account), responses._request_region.set(region)
            try:
                with dynamodb._lock:
                    for table, partition, sort, item in expired(account, region, name, setting["AttributeName"]):
                        remove(table, partition, sort)
                        before = len(dynamodb._stream_records.get(name) or [])
                        dynamodb._emit_stream_event(name, "REMOVE", item, None)
                        for record in (dynamodb._stream_records.get(name) or [])[before:]:
                            record["userIdentity"] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
            finally:
                responses._request_account_id.reset(tokens[0])
                responses._request_region.reset(tokens[1])

    def keep_expiring() -> None:
        while True:
            time.sleep(EXPIRY_SECONDS)
            expire()

    replace(dynamodb, _remove_item=remove_item)
    threading.Thread(target=keep_expiring, daemon=True, name="localcloud-expiry").start()


@repair(
    replaces=("dynamodb.handle_request",),
    uses=(
        "dynamodb._tables",
        "dynamodb._extract_transact_op",
        "dynamodb._normalize_table_name",
        "dynamodb.error_response_json",
        "dynamodb.get_account_id",
        "dynamodb.get_region",
    ),
    aws="TransactionConflict and TransactionConflictException: https://docs.aws.amazon.com/amazondynamodb/latest/"
    "developerguide/transaction-apis.html#transaction-conflict-handling",
)
def let_transactions_conflict(dynamodb: Any) -> None:
    """Cancel a transaction, or refuse a write, that meets a transaction in progress on the same item.

    ministack does one request after the other, so that no two ever meet: here a transaction holds its items for a
    moment before it is done.
    """
    handle = dynamodb.handle_request
    held: set[tuple[str, ...]] = set()

    def item(operation: dict[str, Any]) -> tuple[str, ...] | None:
        name = dynamodb._normalize_table_name(operation.get("TableName", ""))
        table = dynamodb._tables.get(name)
        key = operation.get("Key") or operation.get("Item")
        if table is None or not isinstance(key, dict):
            return None
        parts = [json.dumps(key.get(part)) for part in (table["pk_name"], table["sk_name"]) if part]
        return dynamodb.get_account_id(), dynamodb.get_region(), name, *parts

    def written(operation: str, body: bytes) -> list[tuple[str, ...] | None]:
        """Return the items that a request writes; none when it is malformed: ministack then says what is wrong."""
        try:
            request = json.loads(body)
            if operation != "TransactWriteItems":
                return [item(request)]
            return [item(dynamodb._extract_transact_op(each)[1] or {}) for each in request["TransactItems"]]
        except (ValueError, TypeError, KeyError, AttributeError):
            return []

    def conflicts(items: list[tuple[str, ...] | None]) -> Answer | None:
        reasons = [
            {"Code": "TransactionConflict", "Message": _CONFLICT} if each in held else {"Code": "None"}
            for each in items
        ]
        codes = [reason["Code"] for reason in reasons]
        if "TransactionConflict" not in codes:
            return None
        message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
        extra = {"CancellationReasons": reasons}
        return dynamodb.error_response_json("TransactionCanceledException", message, 400, extra, message_key="Message")

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, *query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation not in ("TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem"):
            return await handle(method, path, headers, body, *query)
        items = written(operation, body)
        if operation != "TransactWriteItems":
            if held.intersection(items):
                return dynamodb.error_response_json("TransactionConflictException", _CONFLICT, 400)
            return await handle(method, path, headers, body, *query)
        if refusal := conflicts(items):
            return refusal
        mine = {each for each in items if each is not None}
        held.update(mine)
        try:
            await asyncio.sleep(TRANSACTION_SECONDS)
            return await handle(method, path, headers, body, *query)
        finally:
            held.difference_update(mine)

    replace(dynamodb, handle_request=handle_request)
