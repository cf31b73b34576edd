"""What the environment says."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.shared.environment import Environment


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
    metrics_namespace: str

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> "Settings":
        """Read TOTALS_TABLE, LEDGER_TABLE and FAILURE_BUCKET; the rest has defaults. Raises SettingsError."""
        environment = Environment(variables)
        settings = cls(
            totals_table=environment.text("TOTALS_TABLE"),
            ledger_table=environment.text("LEDGER_TABLE"),
            failure_bucket=environment.text("FAILURE_BUCKET"),
            tombstone_days=environment.number("TOMBSTONE_DAYS", default=14, least=1),
            concurrency=environment.number("CONCURRENCY", default=16, least=1),
            margin_seconds=environment.margin_seconds(),
            metrics_namespace=environment.metrics_namespace(),
        )
        environment.check()
        return settings
