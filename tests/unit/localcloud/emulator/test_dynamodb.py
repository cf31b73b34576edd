"""Items are as large as DynamoDB counts them, and a request is done once."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.emulator.dynamodb import item_size, let_transactions_conflict

KEY = {"id": {"S": "id_value"}}


@pytest.mark.parametrize(
    ("images", "size"),
    [
        # Recorded by LocalStack, in test_dynamodb_event_filter and test_dynamodb_report_batch_item_failure_scenarios.
        ([KEY, {**KEY, "id2": {"S": "id2_value"}}], 32),
        ([{"id": {"S": "id_value_1"}}, {"id": {"S": "id_value_1"}, "presentKey": {"S": "presentValue"}}], 46),
        (
            [
                {"my_partition_key": {"S": "hello world"}},
                {"my_partition_key": {"S": "hello world"}, "binary_key": {"B": "Zm9vYmFy"}},
            ],
            70,
        ),
        # The examples of https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html.
        ([{"Id": {"N": "101"}}, {"Id": {"N": "101"}, "Message": {"S": "New item!"}}], 26),
        (
            [
                {"Id": {"N": "101"}},
                {"Id": {"N": "101"}, "Message": {"S": "New item!"}},
                {"Id": {"N": "101"}, "Message": {"S": "This item has changed"}},
            ],
            59,
        ),
        ([{"m": {"M": {"a": {"BOOL": True}}}, "l": {"L": [{"NULL": True}]}, "s": {"NS": ["1", "-20"]}}], 19),
    ],
)
def test_the_size_of_a_change_is_that_of_its_keys_and_images(images: list[dict[str, Any]], size: int) -> None:
    assert sum(item_size(image) for image in images) == size


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AttributeError])
@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("PutItem", {"TableName": "t", "Item": KEY}),
        ("DeleteItem", {"TableName": "t", "Key": KEY}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "t", "Item": KEY}}]}),
        ("PutItem", ["malformed"]),
        ("TransactWriteItems", {}),
        ("GetItem", {"TableName": "t", "Key": KEY}),
    ],
)
def test_a_request_that_ministack_fails_at_is_not_done_again(operation: str, body: Any, error: type[Exception]) -> None:
    async def fail(*_: Any) -> Any:
        done.append(operation)
        raise error("after the write")

    done: list[str] = []
    dynamodb = SimpleNamespace(
        handle_request=fail,
        _tables={"t": {"pk_name": "id", "sk_name": None}},
        _extract_transact_op=lambda each: next(iter(each.items())),
        _normalize_table_name=str,
        error_response_json=None,
        get_account_id=lambda: "000000000000",
        get_region=lambda: "us-east-1",
    )
    let_transactions_conflict(dynamodb)
    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}

    with pytest.raises(error):
        asyncio.run(dynamodb.handle_request("POST", "/", headers, json.dumps(body).encode()))

    assert done == [operation]
