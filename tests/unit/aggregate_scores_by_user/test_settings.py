import pytest

from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared.environment import SettingsError

TABLES = {"TOTALS_TABLE": "totals", "LEDGER_TABLE": "ledger", "FAILURE_BUCKET": "bucket"}


def test_what_is_not_set_has_a_default() -> None:
    assert Settings.parse(TABLES) == Settings("totals", "ledger", "bucket", 14, 16, 5, "GameScores")


def test_what_is_set_is_taken() -> None:
    rest = {"TOMBSTONE_DAYS": "30", "CONCURRENCY": "4", "MARGIN_SECONDS": "6", "METRICS_NAMESPACE": "Test"}

    assert Settings.parse(TABLES | rest) == Settings("totals", "ledger", "bucket", 30, 4, 6, "Test")


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as problems:
        Settings.parse({"LEDGER_TABLE": "ledger", "TOTALS_TABLE": "", "CONCURRENCY": "0", "TOMBSTONE_DAYS": "x"})

    assert str(problems.value).split("; ") == [
        "TOTALS_TABLE is missing",
        "FAILURE_BUCKET is missing",
        "TOMBSTONE_DAYS is 'x', not a whole number of at least 1",
        "CONCURRENCY is '0', not a whole number of at least 1",
    ]
