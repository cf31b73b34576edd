"""What the environment says."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.shared.environment import Environment


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed."""

    totals_table: str
    ledger_table: str
    records_table_arn: str
    """Of GameScoreRecords: an event of another table's stream is a test."""
    failure_bucket: str
    concurrency: int
    """Transactions in flight at once."""
    margin_seconds: int
    metrics_namespace: str

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> "Settings":
        """Read TOTALS_TABLE, LEDGER_TABLE, RECORDS_TABLE_ARN and FAILURE_BUCKET; the rest has defaults.

        Raises SettingsError.
        """
        environment = Environment(variables)
        settings = cls(
            totals_table=environment.text("TOTALS_TABLE"),
            ledger_table=environment.text("LEDGER_TABLE"),
            records_table_arn=environment.text("RECORDS_TABLE_ARN"),
            failure_bucket=environment.text("FAILURE_BUCKET"),
            concurrency=environment.number("CONCURRENCY", default=16, least=1),
            margin_seconds=environment.margin_seconds(),
            metrics_namespace=environment.metrics_namespace(),
        )
        environment.check()
        return settings
