"""Items are as large as DynamoDB counts them."""

from typing import Any

import pytest

from localcloud.emulator.dynamodb import item_size

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
