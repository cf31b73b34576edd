"""Give a function an event, as the console's Test button does: `make invoke FUNCTION=... EVENT=...`."""

import base64
import json
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import typer
from botocore.config import Config

from scripts.cli import UserError
from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName

EVENTS = Path(__file__).parent / "events"
_LONGEST_SECONDS = 900  # Lambda's own limit
_REPORT = re.compile(
    r"^REPORT RequestId: \S+\s+Duration: (?P<duration_ms>[\d.]+) ms\s+Billed Duration: (?P<billed_ms>[\d.]+) ms\s+"
    r"Memory Size: (?P<memory_mb>\d+) MB\s+Max Memory Used: (?P<memory_used_mb>\d+) MB",
    re.MULTILINE,
)


class NotJsonError(UserError):
    """A text is not JSON from this line and column on, both counted from 1."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(f"{what} (line {line}, column {column})")
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Report:
    """What Lambda reports of an invocation."""

    duration_ms: float
    billed_ms: float
    memory_mb: int
    memory_used_mb: int


@dataclass(frozen=True, slots=True)
class Execution:
    """An invocation that is over."""

    error: str | None
    """Lambda's name for how it failed: Unhandled, say."""
    response: Any
    round_trip_ms: float
    memory_mb: int
    """What is configured."""
    report: Report | None
    log: str
    """Its end: Lambda returns the last 4 KB."""


def read_event(name: str) -> bytes:
    """Read an event: a name in scripts/traffic/events/, a file, or "-" for standard input. Raises UserError."""
    if name == "-":
        event = sys.stdin.buffer.read()
    else:
        named = EVENTS / f"{name}.json"
        file = named if named.is_file() else Path(name)
        try:
            event = file.read_bytes()
        except OSError as error:
            known = ", ".join(sorted(each.stem for each in EVENTS.glob("*.json")))
            raise UserError(
                f"There is no event {name!r} ({error.strerror}). Name one of {known}, a file, or - for standard input"
            ) from None
    check_event(event, f"The event {name!r}")
    return event


def check_event(event: bytes, what: str) -> None:
    """Raises NotJsonError, or UserError, when Lambda would not take the event."""
    try:
        json.loads(event, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise NotJsonError(f"{what} is not JSON: {error.msg}", error.lineno, error.colno) from None
    except RecursionError:
        raise UserError(f"{what} is nested too deeply") from None
    except ValueError as error:  # not text
        raise UserError(f"{what} is not JSON: {error}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")


def find_report(log: str) -> Report | None:
    """What Lambda reports in a log, as text or as JSON, which depends on the function's log format."""
    text = _REPORT.search(log)
    if text:
        return Report(float(text[1]), float(text[2]), int(text[3]), int(text[4]))
    for line in log.splitlines():
        if '"platform.report"' in line:
            metrics: Mapping[str, Any] = json.loads(line)["record"]["metrics"]
            if "maxMemoryUsedMB" not in metrics:
                return None  # the local cloud does not know it of a process that died
            return Report(
                metrics["durationMs"], metrics["billedDurationMs"], metrics["memorySizeMB"], metrics["maxMemoryUsedMB"]
            )
    return None


def invoke(session: boto3.Session, function: str, event: bytes) -> Execution:
    """Invoke a function, by its name or an alias's ARN, and wait for its end."""
    # An invocation is not repeated behind the user's back, however long it takes.
    patient = Config(read_timeout=_LONGEST_SECONDS, retries={"total_max_attempts": 1})
    client = session.client("lambda", config=patient)
    memory = client.get_function_configuration(FunctionName=function)["MemorySize"]
    started = time.monotonic()
    answer = client.invoke(FunctionName=function, Payload=event, LogType="Tail")
    payload = answer["Payload"].read()
    round_trip = (time.monotonic() - started) * 1000
    log = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    return Execution(
        error=answer.get("FunctionError"),
        response=json.loads(payload or "null"),
        round_trip_ms=round(round_trip, 1),
        memory_mb=memory,
        report=find_report(log),
        log=log,
    )


def changes_totals(function: str, event: bytes) -> bool:
    """Return whether the event is one by which AggregateScoresByUser would count scores."""
    parsed = json.loads(event)
    records = parsed.get("Records") if isinstance(parsed, dict) else None
    return function == "AggregateScoresByUser" and any(
        isinstance(record, dict) and record.get("eventName") in ("INSERT", "MODIFY")
        for record in (records if isinstance(records, list) else ())
    )


def warning(stage: str) -> str:
    """Return what to know before AggregateScoresByUser is given a test event."""
    options = "" if stage == LOCAL else f" STAGE={stage}"
    return (
        "A test event is counted: totals change, though no record is behind it. To take it back: make reconcile FIX=1"
        f"{options}, or for the lab's own record make invoke FUNCTION=AggregateScoresByUser EVENT=delete{options}"
    )


def describe(execution: Execution) -> str:
    """What the console shows under Details."""
    report = execution.report
    if report:
        resources = (
            f"Duration: {report.duration_ms} ms\nBilled duration: {report.billed_ms} ms\n"
            f"Memory configured: {report.memory_mb} MB\nMaximum memory used: {report.memory_used_mb} MB"
        )
    else:
        resources = (
            f"Duration: {execution.round_trip_ms} ms, there and back (no REPORT line came back)\n"
            f"Billed duration: not reported\nMemory configured: {execution.memory_mb} MB\n"
            "Maximum memory used: not reported"
        )
    outcome = f"failed ({execution.error})" if execution.error else "succeeded"
    response = json.dumps(execution.response, indent=2, ensure_ascii=False)
    return f"Execution result: {outcome}\n\n{response}\n\n{resources}\n\nLog output:\n{execution.log.rstrip()}"


def main(
    function: str = typer.Option("", help="its name in the lab"),
    event: str = typer.Option("", help="a name in scripts/traffic/events/, a file, or - for standard input"),
    stage: StageName = LOCAL,
    as_json: bool = typer.Option(False, "--json", help="print it all as JSON"),
) -> None:
    """Invoke a function with an event; exit 1 when the function fails."""
    if not function or not event:
        raise UserError("Say what to invoke, and with what: FUNCTION=ProcessKinesisRecords EVENT=stream")
    payload = read_event(event)
    if changes_totals(function, payload):
        typer.echo(warning(stage), err=True)
    system = deployed(stage)
    execution = invoke(system.session, system.function(function)["live_arn"], payload)
    typer.echo(json.dumps(asdict(execution), ensure_ascii=False) if as_json else describe(execution))
    if execution.error:
        raise typer.Exit(1)
