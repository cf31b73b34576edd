"""What SINCE means."""

from datetime import UTC, datetime

import pytest

from scripts.cli import UserError
from scripts.timespan import since


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 23, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:00+01:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
    ],
)
def test_since_is_an_age_or_a_time(text: str, moment: datetime) -> None:
    assert since(text, datetime(2026, 11, 23, 12, tzinfo=UTC)) == moment


@pytest.mark.parametrize("text", ["yesterday", "2", "2w", "99999999999d"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(UserError, match="is no time"):
        since(text, datetime(2026, 11, 23, 12, tzinfo=UTC))
