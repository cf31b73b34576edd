"""What the environment says."""

from collections.abc import Mapping
from dataclasses import dataclass


class SettingsError(Exception):
    """The environment is not what the function needs; the message lists every problem."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed."""

    totals_table: str
    ledger_table: str
    failure_bucket: str
    tombstone_days: int
    """How long the ledger remembers a deleted item: longer than any record can still be replayed."""
    concurrency: int
    """Transactions in flight at once."""
    margin_seconds: int
    """Of an invocation's time, what is kept for calls under way to end: no new one is begun in it."""
    metrics_namespace: str

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> "Settings":
        """Read TOTALS_TABLE, LEDGER_TABLE and FAILURE_BUCKET; the rest has defaults. Raises SettingsError."""
        problems = []

        def text(name: str) -> str:
            value = environment.get(name, "")
            if not value:
                problems.append(f"{name} is missing")
            return value

        def number(name: str, default: int, least: int) -> int:
            value = environment.get(name, str(default))
            if not (value.isascii() and value.isdigit() and int(value) >= least):
                problems.append(f"{name} is {value!r}, not a whole number of at least {least}")
                return default
            return int(value)

        settings = cls(
            totals_table=text("TOTALS_TABLE"),
            ledger_table=text("LEDGER_TABLE"),
            failure_bucket=text("FAILURE_BUCKET"),
            tombstone_days=number("TOMBSTONE_DAYS", default=14, least=1),
            concurrency=number("CONCURRENCY", default=16, least=1),
            margin_seconds=number("MARGIN_SECONDS", default=5, least=1),
            metrics_namespace=environment.get("METRICS_NAMESPACE", "GameScores"),
        )
        if problems:
            raise SettingsError("; ".join(problems))
        return settings
