"""Filter patterns match as Lambda's guide says, and what is not a pattern is refused.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

import json
from typing import Any

import pytest

from localcloud.engine.filters import FilterError, matches, parse

RECORD = {
    "UserID": None,
    "LastName": "",
    "Name": "Alice",
    "Location": "New York",
    "Day": "Monday",
    "Weather": ["Sunny", "Windy"],
    "Price": 100,
    "Rate": 0.5,
    "Product": {"Name": "shoe", "Sizes": [{"EU": 42}, {"EU": 43}]},
    "Region": "us-east-1",
    "File": "picture.png",
    "Sold": True,
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"UserID": [None]}, True),
        ({"Name": [None]}, False),
        ({"LastName": [""]}, True),
        ({"Name": ["Alice"]}, True),
        ({"Name": ["alice"]}, False),
        ({"Name": [{"equals-ignore-case": "alice"}]}, True),
        ({"Location": ["New York"], "Day": ["Monday"]}, True),
        ({"Location": ["New York"], "Day": ["Tuesday"]}, False),
        ({"Day": ["Tuesday", "Monday"]}, True),
        ({"$or": [{"Location": ["Berlin"]}, {"Day": ["Monday"]}]}, True),
        ({"$or": [{"Location": ["Berlin"]}, {"Day": ["Tuesday"]}]}, False),
        ({"Weather": [{"anything-but": ["Sunny", "Windy"]}]}, False),
        ({"Weather": [{"anything-but": ["Sunny"]}]}, True),
        ({"Day": [{"anything-but": "Monday"}]}, False),
        ({"Missing": [{"anything-but": "Monday"}]}, False),
        ({"Price": [{"numeric": ["=", 100]}]}, True),
        ({"Price": [{"numeric": [">", 10, "<=", 20]}]}, False),
        ({"Price": [{"numeric": [">", 10, "<=", 100]}]}, True),
        ({"Name": [{"numeric": [">", 10]}]}, False),
        ({"Sold": [{"numeric": [">=", 0]}]}, False),
        ({"Price": [100]}, True),
        ({"Price": [100.0]}, False),
        ({"Price": ["100"]}, False),
        ({"Sold": [True]}, True),
        ({"Sold": [1]}, False),
        ({"Product": {"Name": [{"exists": True}]}}, True),
        ({"Product": [{"exists": True}]}, False),
        ({"Product": {"Colour": [{"exists": False}]}}, True),
        ({"Missing": {"Colour": [{"exists": False}]}}, True),
        ({"Name": [{"exists": False}]}, False),
        ({"Product": {"Sizes": {"EU": [43]}}}, True),
        ({"Product": {"Sizes": {"EU": [44]}}}, False),
        ({"Region": [{"prefix": "us-"}]}, True),
        ({"Region": [{"prefix": "eu-"}]}, False),
        ({"File": [{"suffix": ".png"}]}, True),
        ({"File": [{"suffix": ".gif"}]}, False),
        ({"Weather": ["Windy"]}, True),
    ],
)
def test_a_pattern_matches_as_documented(pattern: dict[str, Any], expected: bool) -> None:
    assert matches(parse(json.dumps(pattern)), RECORD) is expected


@pytest.mark.parametrize(
    "text",
    [
        "single-string",
        '[{"eventName": ["INSERT"=123}]',
        "null",
        '"simple string"',
        '{"eventSource": "aws:sqs"}',
        '{"eventSource": []}',
        "{}",
        "[]",
        "1",
        '{"a": 1}',
        '{"a": {}}',
        '{"a": [["nested"]]}',
        '{"a": [{"prefix": 1}]}',
        '{"a": [{"prefix": "a", "suffix": "b"}]}',
        '{"a": [{}]}',
        '{"a": [{"exists": "true"}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": [1, ">"]}]}',
        '{"a": [{"numeric": [">", "1"]}]}',
        '{"a": [{"numeric": ["~", 1]}]}',
        '{"a": [{"anything-but": []}]}',
        '{"a": [{"anything-but": {"prefix": "a"}}]}',
        '{"a": [{"unknown": "a"}]}',
        '{"$or": [{"a": [1]}]}',
        '{"$or": [{"a": [1]}, "b"]}',
    ],
)
def test_what_is_not_a_pattern_is_refused(text: str) -> None:
    """LocalStack recorded the first six on AWS: test_dynamodb_invalid_event_filter, test_sqs_invalid_event_filter."""
    with pytest.raises(FilterError):
        parse(text)


def test_a_pattern_may_have_100_levels() -> None:
    def nested(levels: int, innermost: str) -> str:
        return '{"a": ' * levels + innermost + "}" * levels

    assert matches(parse(nested(100, "[1]")), json.loads(nested(100, "1")))
    assert not matches(parse(nested(100, "[1]")), {"a": 1})
    for levels in (101, 200, 600):
        with pytest.raises(FilterError, match="more than 100 levels"):
            parse(nested(levels, "[1]"))
