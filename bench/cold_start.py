"""Cold starts, in CPU time, of what is in the packages: unzipped, and compiled anew each time, as Lambda does."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from textwrap import dedent

from bench.measuring import Findings, Row, child_cpu, medians
from scripts.stage import ROOT

PACKAGES = ROOT / "build"
_FLOOR = "import base64, json, logging"
_BOTO3 = "import boto3; boto3.client('dynamodb')"
_PROCESS = "from handlers.process_kinesis_records.handler import handler"
_AGGREGATE = "from handlers.aggregate_scores_by_user import handler; handler._aggregator('AggregateScoresByUser')"

# An event of one payload that is no score event, and then one that is: what is imported before and after.
_EVENTS = """
import base64, sys
class Context:
    aws_request_id, function_name = "1", "ProcessKinesisRecords"
    def get_remaining_time_in_millis(self): return 6000
def aws(): return sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore"})
def send(text):
    payload = {"data": base64.b64encode(text).decode(), "sequenceNumber": "1"}
    try: handler({"Records": [{"eventID": "1", "kinesis": payload}]}, Context())
    except Exception as error: print(error, file=sys.stderr)
imported = [aws()]
send(b"Hello"); imported.append(aws())
send(b'{"RecordID": 1, "Username": "jane", "Score": 1}'); imported.append(aws())
import json; print(json.dumps(imported), file=sys.stderr)
"""


def counts() -> Findings:
    """How many modules each function imports, which is the same on every machine that has the same versions."""
    with tempfile.TemporaryDirectory() as folder:
        process, aggregate = (_unpacked(name, folder) for name in ("ProcessKinesisRecords", "AggregateScoresByUser"))
        modules = {
            "floor": _modules(_FLOOR),
            "process": _modules(_PROCESS, process),
            "boto3": _modules(_BOTO3),
            "aggregate": _modules(_AGGREGATE, aggregate),
        }
        off = _imported(process)
        on = _imported(process, RECORDS_TABLE="GameScoreRecords", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    early = sum(map(len, [*off, *on[:2]]))
    return Findings(
        [
            Row(
                "Modules that ProcessKinesisRecords imports in a cold start",
                str(modules["process"]),
                f"python + json + logging + base64: {modules['floor']}",
                modules["process"] / modules["floor"],
                1.15,
                is_count=True,
            ),
            Row(
                "AWS libraries that it imports before its first score event",
                str(early),
                f"none; with the first score event: {', '.join(on[2])}",
                early,
                0,
                is_count=True,
            ),
            Row(
                "Modules that AggregateScoresByUser imports up to its first call",
                str(modules["aggregate"]),
                f"boto3.client('dynamodb'): {modules['boto3']}",
                modules["aggregate"] / modules["boto3"],
                0.95,
                is_count=True,
            ),
        ]
    )


def measure(repetitions: int = 61) -> Findings:
    """Both functions, beside the floor and a boto3 client."""
    counted = counts()
    with tempfile.TemporaryDirectory() as folder:
        process, aggregate = (_unpacked(name, folder) for name in ("ProcessKinesisRecords", "AggregateScoresByUser"))
        seconds = medians(
            {
                "floor": lambda: child_cpu(["-c", _FLOOR], _environment()),
                "process": lambda: child_cpu(["-c", _PROCESS], _environment(process)),
                "boto3": lambda: child_cpu(["-c", _BOTO3], _environment()),
                "aggregate": lambda: child_cpu(["-c", _AGGREGATE], _environment(aggregate)),
            },
            repetitions,
        )
    ms = {name: f"{1000 * each:.0f} ms" for name, each in seconds.items()}
    return Findings(
        [
            Row(
                "Cold start of ProcessKinesisRecords, CPU",
                ms["process"],
                f"python + json + logging + base64: {ms['floor']}",
                seconds["process"] / seconds["floor"],
                1.15,
            ),
            Row(
                "Cold start of AggregateScoresByUser up to its first call, CPU",
                ms["aggregate"],
                f"boto3.client('dynamodb'): {ms['boto3']}",
                seconds["aggregate"] / seconds["boto3"],
                0.75,
            ),
            *counted.rows,
        ]
    )


def _unpacked(function: str, folder: str) -> Path:
    destination = Path(folder, function)
    with zipfile.ZipFile(PACKAGES / f"{function}.zip") as archive:
        archive.extractall(destination)
    return destination


def _environment(code: Path | None = None, **variables: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(code or ""),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "TOTALS_TABLE": "GameScoresByUser",
        "LEDGER_TABLE": "GameScoreLedger",
        "RECORDS_TABLE_ARN": "arn:aws:dynamodb:us-east-1:123456789012:table/GameScoreRecords",
        "FAILURE_BUCKET": "failures",
        "STREAM_ARN": "arn:aws:kinesis:us-east-1:123456789012:stream/Demo-Stream",
        **variables,
    }


def _modules(program: str, code: Path | None = None) -> int:
    """How many modules there are once the program has run, those of Python itself included."""
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}; print(len(sys.modules), file=sys.stderr)"],
        env=_environment(code),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(process.stderr.splitlines()[-1])


def _imported(code: Path, **variables: str) -> list[list[str]]:
    """What of boto3 and botocore is imported: after the cold start, after a text, after a score event."""
    process = subprocess.run(
        [sys.executable, "-c", dedent(f"{_PROCESS}\n{_EVENTS}")],
        env=_environment(code, **variables),
        capture_output=True,
        text=True,
        check=True,
    )
    imported: list[list[str]] = json.loads(process.stderr.splitlines()[-1])
    return imported
