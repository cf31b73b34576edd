"""What a million records cost at list prices, for us and each peer; and what a stage costs without any.

us-east-1, read in November 2026; where the amounts come from is in docs/sizing.md:
DynamoDB on demand, $0.625 a million write units and $0.125 a million read units, since November 2024: https://aws.amazon.com/dynamodb/pricing/on-demand/
Lambda on arm64, $0.0000133334 a GB-second and $0.20 a million requests: https://aws.amazon.com/lambda/pricing/
Kinesis, $0.015 a shard hour and $0.014 a million PUT units of 25 KB: https://aws.amazon.com/kinesis/data-streams/pricing/
CloudWatch and KMS, by the month: https://aws.amazon.com/cloudwatch/pricing/ and https://aws.amazon.com/kms/pricing/
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hcl2
from hcl2.utils import SerializationOptions

from scripts.stage import TERRAFORM

WRITE_UNIT = 0.625 / 1e6
READ_UNIT = 0.125 / 1e6
GB_SECOND = 0.0000133334
INVOCATION = 0.20 / 1e6
SHARD_HOUR = 0.015

MEMORY_MB, CORE_MB = 256, 1769
BATCH = 10_000


def per_million(write_units: float, records_a_second: float, cpu_seconds: float) -> dict[str, float]:
    """Dollars for a million records: units a record, speed on a whole core, and CPU time a record.

    A function of 256 MB has a seventh of a core, so it takes as long as its calls or as its CPU time in that share,
    whichever is longer: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html.
    """
    seconds = max(1 / records_a_second, cpu_seconds / (MEMORY_MB / CORE_MB))
    return {
        "DynamoDB writes": 1e6 * write_units * WRITE_UNIT,
        "Lambda duration": 1e6 * seconds * MEMORY_MB / 1024 * GB_SECOND,
        "Lambda requests": 1e6 / BATCH * INVOCATION,
    }


# What a stage costs while nothing happens

HOURS = 730
"""A month."""
STREAM_HOUR = 0.04
"""Of a stream with on-demand capacity, which has no shards to pay for."""
RETENTION_SHARD_HOUR = 0.020
"""From the second to the seventh day."""
ALARM, DASHBOARD, METRIC, KEY = 0.10, 3.00, 0.30, 1.00
"""A month each. CloudWatch counts a metric of one's own in each hour in which it is sent."""

OWN_METRICS = 15
"""Names and dimensions that functions and reconcile publish."""
EVENT_COUNTS = 6
"""Metrics that MetricsConfig gives the mapping of a stream:
https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html#event-source-mapping-metrics"""

STAGES = ("dev", "prod")
"""Those that docs/sizing.md compares."""


def alarms(kinds: Sequence[str] | None, terraform: Path = TERRAFORM) -> int:
    """Count the alarms that a stage with these kinds has (None for all), as modules/monitoring would make them.

    Raises LookupError where Terraform is written in a way that this does not understand.
    """
    deployed = _locals(terraform / "main.tf")
    functions, tables = deployed["functions"], deployed["tables"]
    local_values = _locals(terraform / "modules/monitoring/alarms.tf")
    subjects = {
        "${local.function_dimensions}": len(functions),
        "${local.mapping_dimensions}": len(functions),
        "${local.table_dimensions}": len(tables),
        "${local.operation_dimensions}": sum(len(table["operations"]) for table in tables.values()),
    }
    found = {
        kind: len(alarm["dimensions"]) if isinstance(alarm["dimensions"], dict) else subjects[alarm["dimensions"]]
        for kind, alarm in local_values["kinds"].items()
    }
    return sum(found[kind] for kind in (found if kinds is None else kinds))


Items = dict[str, tuple[int, float]]
"""What is paid for: how many there are, and dollars a month for all of them."""


def month(stage: str, terraform: Path = TERRAFORM) -> tuple[Items, Items]:
    """Return what a stage costs without any record, and what is added where records arrive in every hour."""
    variables = _parsed(terraform / "stages" / f"{stage}.tfvars")
    stream = {**_stream_defaults(terraform), **variables.get("stream", {})}
    watched = variables.get("alarms", {})
    shards, is_extended = stream["shard_count"] or None, stream["retention_hours"] > 24
    alarm_count = alarms(watched.get("kinds"), terraform)
    resources = _parsed(terraform / "modules/monitoring/dashboard.tf")["resource"]
    dashboards = sum("aws_cloudwatch_dashboard" in resource for resource in resources)
    keys = 0 if watched.get("kms_key_arn") else 1
    mappings = len(_locals(terraform / "main.tf")["functions"])
    idle = {
        "Shards": (1, HOURS * STREAM_HOUR) if shards is None else (shards, shards * HOURS * SHARD_HOUR),
        "Shards, records kept for more than a day": (
            (shards, shards * HOURS * RETENTION_SHARD_HOUR) if shards and is_extended else (0, 0.0)
        ),
        "Alarms": (alarm_count, alarm_count * ALARM),
        "Dashboards": (dashboards, dashboards * DASHBOARD),
        "KMS keys, for alarms": (keys, keys * KEY),
    }
    busy = {
        "Own metrics": (OWN_METRICS, OWN_METRICS * METRIC),
        "Metrics of mappings": (mappings * EVENT_COUNTS, mappings * EVENT_COUNTS * METRIC),
    }
    return idle, busy


def month_table(terraform: Path = TERRAFORM) -> str:
    """Return docs/sizing.md's table of the stages, as Markdown."""
    idle, busy = zip(*(month(stage, terraform) for stage in STAGES), strict=True)

    def lines(stages: Sequence[Items]) -> list[list[str]]:
        return [[what, *(f"{stage[what][1]:.2f} ({stage[what][0]})" for stage in stages)] for what in stages[0]]

    totals = [sum(dollars for _, dollars in stage.values()) for stage in idle]
    rows = [
        ["USD a month (how many)", *STAGES],
        ["---"] * (1 + len(STAGES)),
        *lines(idle),
        ["**Idle**", *(f"**{total:.2f}**" for total in totals)],
        ["Idle, a day", *(f"{total / HOURS * 24:.2f}" for total in totals)],
        *lines(busy),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _stream_defaults(terraform: Path) -> dict[str, int]:
    declared = _blocks(terraform / "variables.tf", "variable")["stream"]["type"]
    return {
        name: int(re.findall(rf"{name} = optional\(number, (\d+)\)", declared)[0])
        for name in ("shard_count", "retention_hours")
    }


def _locals(file: Path) -> dict[str, Any]:
    return {name: value for block in _parsed(file)["locals"] for name, value in block.items()}


def _blocks(file: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {name: body for block in _parsed(file)[kind] for name, body in block.items()}


def _parsed(file: Path) -> dict[str, Any]:
    plain = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
    return dict(hcl2.loads(file.read_text(), serialization_options=plain))
