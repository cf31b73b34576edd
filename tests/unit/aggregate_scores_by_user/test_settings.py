import pytest

from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared.environment import SettingsError

TABLES = {"TOTALS_TABLE": "totals", "LEDGER_TABLE": "ledger", "RECORDS_TABLE_ARN": "arn", "FAILURE_BUCKET": "bucket"}


def test_what_is_not_set_has_a_default() -> None:
    assert Settings.parse(TABLES) == Settings("totals", "ledger", "arn", "bucket", 16, 5, "GameScores")


def test_what_is_set_is_taken() -> None:
    rest = {"CONCURRENCY": "1", "MARGIN_SECONDS": "6", "METRICS_NAMESPACE": "Test"}

    assert Settings.parse(TABLES | rest) == Settings("totals", "ledger", "arn", "bucket", 1, 6, "Test")


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.parse({"LEDGER_TABLE": "ledger", "TOTALS_TABLE": "", "CONCURRENCY": "0"})

    assert str(problems.value).split("; ") == [
        "TOTALS_TABLE is missing",
        "RECORDS_TABLE_ARN is missing",
        "FAILURE_BUCKET is missing",
        "CONCURRENCY is '0', not a whole number of at least 1",
    ]
