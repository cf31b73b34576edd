import pytest

from handlers.process_kinesis_records.settings import Settings
from handlers.shared.environment import SettingsError

NAMES = {"RECORDS_TABLE": "records", "FAILURE_BUCKET": "bucket", "STREAM_ARN": "arn"}


def test_what_is_not_set_has_a_default() -> None:
    assert Settings.parse(NAMES) == Settings("records", "bucket", "arn", 16, 5, "GameScores")


def test_what_is_set_is_taken() -> None:
    rest = {"CONCURRENCY": "1", "MARGIN_SECONDS": "6", "METRICS_NAMESPACE": "Test"}

    assert Settings.parse(NAMES | rest) == Settings("records", "bucket", "arn", 1, 6, "Test")


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.parse({"CONCURRENCY": "0"})

    assert str(problems.value).split("; ") == [
        "RECORDS_TABLE is missing",
        "FAILURE_BUCKET is missing",
        "STREAM_ARN is missing",
        "CONCURRENCY is '0', not a whole number of at least 1",
    ]
