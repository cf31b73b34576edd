"""What the environment says, when score events are to be stored."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.shared.environment import Environment


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment, parsed."""

    records_table: str
    failure_bucket: str
    stream_arn: str
    """The stream whose events count by their position; events from elsewhere are tests."""
    concurrency: int
    """Puts in flight at once."""
    margin_seconds: int
    metrics_namespace: str

    @classmethod
    def parse(cls, variables: Mapping[str, str]) -> "Settings":
        """Read RECORDS_TABLE, FAILURE_BUCKET and STREAM_ARN; the rest has defaults. Raises SettingsError."""
        environment = Environment(variables)
        settings = cls(
            records_table=environment.text("RECORDS_TABLE"),
            failure_bucket=environment.text("FAILURE_BUCKET"),
            stream_arn=environment.text("STREAM_ARN"),
            concurrency=environment.number("CONCURRENCY", default=16, least=1),
            margin_seconds=environment.margin_seconds(),
            metrics_namespace=environment.metrics_namespace(),
        )
        environment.check()
        return settings
