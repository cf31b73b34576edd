"""What Lambda itself writes into the log of an invocation, as text or as JSON.

Text: START, END and REPORT lines, https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html.
JSON: platform events, https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html; which of them
appear at which level: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(slots=True)
class Run:
    """One invocation: its id, when it began in seconds since the epoch, and what it took.

    `init_ms` is None unless the function's process was started for it; `peak_kb` is that process's greatest resident
    size so far, None when it is not known. `lines` are filled in when the invocation is over.
    """

    request_id: str
    started: float
    init_ms: float | None = None
    peak_kb: int | None = None
    lines: tuple[str, ...] = ()


def lines(config: Mapping[str, Any], run: Run, logged: str, now: float, error_type: str | None) -> list[str]:
    """Return all lines of an invocation, given what the function logged, and the type of its error if it failed."""
    own = logged.splitlines()
    logging = config.get("LoggingConfig") or {}
    if logging.get("LogFormat") == "JSON":
        return _as_json(config, run, own, now, error_type, str(logging.get("SystemLogLevel") or "INFO"))
    duration, init = _durations(run, now)
    version = config.get("Version", "$LATEST")
    report = [
        f"REPORT RequestId: {run.request_id}",
        f"Duration: {duration:.2f} ms",
        f"Billed Duration: {_billed(duration, init)} ms",
        f"Memory Size: {config.get('MemorySize', 128)} MB",
        *([] if run.peak_kb is None else [f"Max Memory Used: {_megabytes(run.peak_kb)} MB"]),
        *([] if init is None else [f"Init Duration: {init:.2f} ms"]),
    ]
    return [
        f"START RequestId: {run.request_id} Version: {version}",
        *own,
        f"END RequestId: {run.request_id}",
        "\t".join(report) + "\t",
    ]


def _as_json(
    config: Mapping[str, Any], run: Run, own: list[str], now: float, error_type: str | None, level: str
) -> list[str]:
    duration, init = _durations(run, now)
    metrics: dict[str, Any] = {
        "durationMs": round(duration, 3),
        "billedDurationMs": _billed(duration, init),
        "memorySizeMB": config.get("MemorySize", 128),
    }
    metrics |= {} if run.peak_kb is None else {"maxMemoryUsedMB": _megabytes(run.peak_kb)}
    metrics |= {} if init is None else {"initDurationMs": round(init, 3)}
    start = {"requestId": run.request_id, "version": config.get("Version", "$LATEST")}
    status = "success" if error_type is None else "timeout" if error_type == "Sandbox.Timedout" else "error"
    report = {"requestId": run.request_id, "metrics": metrics, "status": status}
    report |= {} if error_type is None else {"errorType": error_type}
    said = [_event(now, "platform.report", report)] if level != "WARN" or error_type else []
    return [*([] if level == "WARN" else [_event(run.started, "platform.start", start)]), *own, *said]


def _durations(run: Run, now: float) -> tuple[float, float | None]:
    return max(0.01, round((now - run.started) * 1000 - (run.init_ms or 0), 2)), run.init_ms


def _billed(duration: float, init: float | None) -> int:
    """Return the milliseconds that are billed: both, rounded up, since August 2025."""
    return math.ceil(round(duration + (init or 0), 2))


def _megabytes(kilobytes: int) -> int:
    return math.ceil(kilobytes / 1024)


def _event(at: float, kind: str, record: dict[str, Any]) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"time": time, "type": kind, "record": record})


def embedded_metrics(message: str) -> list[tuple[str, str, float, str, dict[str, str], float | None]]:
    """Return the metrics in a log line of CloudWatch's embedded metric format.

    Each is (namespace, name, value, unit, dimensions, seconds since the epoch or None). A line of another form has
    none. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    if '"_aws"' not in message:
        return []
    try:
        line = json.loads(message)
        directives = line["_aws"]["CloudWatchMetrics"]
        stamp = line["_aws"].get("Timestamp")
        return [
            (directive["Namespace"], metric["Name"], float(value), metric.get("Unit", "None"), chosen, _seconds(stamp))
            for directive in directives
            for names in directive["Dimensions"]
            for chosen in [{name: str(line[name]) for name in names}]
            for metric in directive["Metrics"]
            if metric["Name"] in line
            for value in _numbers(line[metric["Name"]])
        ]
    except (ValueError, OverflowError, RecursionError, KeyError, TypeError, AttributeError):
        return []


def _numbers(value: Any) -> list[Any]:
    """Return a number, or a list of them, as a list. Raises TypeError for what the specification does not allow."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        raise TypeError(f"{value!r} is not a number")
    return values


def _seconds(milliseconds: Any) -> float | None:
    return None if milliseconds is None else float(milliseconds) / 1000
