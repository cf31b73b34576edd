"""How far back a command looks: SINCE=90s, 15m, 2h, 7d, or a date or time like 2026-11-23T10:00."""

import re
from datetime import UTC, datetime, timedelta

from scripts.cli import UserError

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def since(text: str, now: datetime) -> datetime:
    """The moment that the text means; one without a zone is in UTC. Raises UserError when it means none."""
    ago = re.fullmatch(r"(\d+)([smhd])", text, re.ASCII)
    try:
        if ago:
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UserError(f"SINCE={text} is no time. Write 90s, 15m, 2h, 7d, or 2026-11-23T10:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
