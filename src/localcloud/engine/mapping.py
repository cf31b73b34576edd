"""An event source mapping of a stream, checked and typed."""

import json
from collections.abc import Mapping as Config
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.engine import filters


class MappingError(ValueError):
    """A mapping that cannot be run as configured. The message names every problem at once."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """One event source mapping. Durations are in seconds; None stands for AWS's -1, no limit."""

    uuid: str
    function_arn: str
    source_arn: str
    starting_position: str
    starting_timestamp: float | None = None
    enabled: bool = True
    batch_size: int = 100
    window: float = 0
    parallelization_factor: int = 1
    tumbling: int = 0
    max_retries: int | None = None
    max_age: int | None = None
    bisect: bool = False
    partial_responses: bool = False
    filters: tuple[str, ...] = ()
    on_failure: str | None = None
    counts_events: bool = False
    last_modified: float = field(default=0, compare=False)

    @property
    def service(self) -> str:
        """The source's service: `kinesis` or `dynamodb`."""
        return self.source_arn.split(":")[2]

    @property
    def is_subscribed(self) -> bool:
        """Whether the stream pushes its records to a consumer of enhanced fan-out; else it is polled."""
        return "/consumer/" in self.source_arn

    @property
    def function_name(self) -> str:
        """The function's name without account or qualifier, as its metrics carry it."""
        return self.function_arn.split(":")[6]

    @property
    def grouping(self) -> str:
        """What decides, beside their size, which records batches have: only under the same can one be formed again."""
        return json.dumps([self.parallelization_factor, self.tumbling, self.filters])


_RANGES = {
    "BatchSize": range(1, 10_001),
    "MaximumBatchingWindowInSeconds": range(301),
    "ParallelizationFactor": range(1, 11),
    "TumblingWindowInSeconds": range(901),
    "MaximumRetryAttempts": range(-1, 10_001),
    "MaximumRecordAgeInSeconds": (-1, *range(60, 604_801)),
}


def is_stream(config: Config[str, Any]) -> bool:
    """Whether the mapping reads Kinesis or DynamoDB Streams; those of queues are not ours."""
    return config.get("EventSourceArn", "").split(":")[2:3] in (["kinesis"], ["dynamodb"])


def parse(config: Config[str, Any]) -> Mapping:
    """A mapping from its ListEventSourceMappings entry.

    Ranges and defaults: https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
    Raises MappingError for what AWS would refuse and for what this engine cannot do.
    """
    problems = [
        f"{name} {config[name]} is out of range"
        for name, allowed in _RANGES.items()
        if name in config and config[name] not in allowed
    ]
    on_failure = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    if on_failure and on_failure.split(":")[2:3] not in (["sqs"], ["sns"], ["s3"]):
        problems.append(f"the destination {on_failure} is not a queue, a topic or a bucket")
    position = config.get("StartingPosition", "")
    timestamp: datetime | None = config.get("StartingPositionTimestamp")
    if position not in ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"):
        problems.append(f"StartingPosition {position!r} is unknown")
    if position == "AT_TIMESTAMP" and timestamp is None:
        problems.append("AT_TIMESTAMP needs StartingPositionTimestamp")
    if position == "AT_TIMESTAMP" and ":dynamodb:" in config["EventSourceArn"]:
        problems.append("DynamoDB Streams have no AT_TIMESTAMP")
    patterns = tuple(rule["Pattern"] for rule in (config.get("FilterCriteria") or {}).get("Filters", []))
    problems += [
        f"the filter pattern {pattern} is not valid: {why}" for pattern in patterns if (why := _fault(pattern))
    ]
    if problems:
        raise MappingError("; ".join(problems))

    return Mapping(
        uuid=config["UUID"],
        function_arn=config["FunctionArn"],
        source_arn=config["EventSourceArn"],
        starting_position=position,
        starting_timestamp=timestamp.timestamp() if timestamp else None,
        enabled=config["State"] not in ("Disabled", "Disabling", "Deleting"),
        batch_size=config.get("BatchSize", 100),
        window=config.get("MaximumBatchingWindowInSeconds", 0),
        # The state of a tumbling window is one for the shard, so its batches follow one another: our choice.
        parallelization_factor=1 if config.get("TumblingWindowInSeconds") else config.get("ParallelizationFactor", 1),
        tumbling=config.get("TumblingWindowInSeconds", 0),
        max_retries=_limit(config.get("MaximumRetryAttempts", -1)),
        max_age=_limit(config.get("MaximumRecordAgeInSeconds", -1)),
        bisect=config.get("BisectBatchOnFunctionError", False),
        partial_responses="ReportBatchItemFailures" in config.get("FunctionResponseTypes", []),
        filters=patterns,
        on_failure=on_failure,
        counts_events="EventCount" in config.get("MetricsConfig", {}).get("Metrics", []),
        last_modified=config["LastModified"].timestamp(),
    )


def _limit(value: int) -> int | None:
    return None if value == -1 else value


def _fault(pattern: str) -> str:
    try:
        filters.parse(pattern)
    except filters.FilterError as error:
        return str(error)
    return ""
