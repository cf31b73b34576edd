"""What a mapping's configuration says, and what is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from localcloud.engine.mapping import MappingError, is_stream, parse

CONFIG: dict[str, Any] = {
    "UUID": "u",
    "EventSourceArn": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
    "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f:live",
    "State": "Enabled",
    "StartingPosition": "TRIM_HORIZON",
    "LastModified": datetime(2026, 11, 23, tzinfo=UTC),
}
DYNAMODB = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-11-23T00:00:00.000"


def test_a_mapping_has_the_defaults_of_aws() -> None:
    mapping = parse(CONFIG)

    assert (mapping.batch_size, mapping.window, mapping.parallelization_factor) == (100, 0, 1)
    assert (mapping.max_retries, mapping.max_age) == (None, None)
    assert not mapping.bisect
    assert not mapping.partial_responses
    assert mapping.function_name == "f"


def test_minus_one_is_no_limit() -> None:
    mapping = parse({**CONFIG, "MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1})

    assert (mapping.max_retries, mapping.max_age) == (None, None)


def test_when_a_mapping_was_changed_is_not_a_change() -> None:
    later = {**CONFIG, "LastModified": datetime(2026, 11, 24, tzinfo=UTC)}

    assert parse(later) == parse(CONFIG)


def test_every_problem_is_told_at_once() -> None:
    wrong = {"BatchSize": 0, "MaximumRecordAgeInSeconds": 59, "TumblingWindowInSeconds": 901}

    with pytest.raises(MappingError) as error:
        parse({**CONFIG, **wrong})

    assert "BatchSize 0" in str(error.value)
    assert "MaximumRecordAgeInSeconds 59" in str(error.value)
    assert "TumblingWindowInSeconds 901" in str(error.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"MaximumBatchingWindowInSeconds": 301},
        {"ParallelizationFactor": 11},
        {"MaximumRetryAttempts": 10_001},
        {"StartingPosition": "NOW"},
        {"StartingPosition": "AT_TIMESTAMP"},
        {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": CONFIG["LastModified"]}
        | {"EventSourceArn": DYNAMODB},
        {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:function:g"}}},
        {"FilterCriteria": {"Filters": [{"Pattern": "[]"}]}},
    ],
)
def test_what_aws_refuses_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MappingError):
        parse({**CONFIG, **wrong})


def test_batches_of_a_tumbling_window_follow_one_another() -> None:
    """Our choice: the state is one for the shard."""
    mapping = parse({**CONFIG, "TumblingWindowInSeconds": 30, "ParallelizationFactor": 10})

    assert (mapping.tumbling, mapping.parallelization_factor) == (30, 1)


def test_queues_are_not_ours() -> None:
    assert is_stream(CONFIG)
    assert is_stream({"EventSourceArn": DYNAMODB})
    assert not is_stream({"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q"})
