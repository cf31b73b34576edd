"""The deploy loop on a local cloud, told apart from the provider's own waits; and the deployed system, end to end."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from bench.measuring import Findings, Row
from localcloud.cloud import CREDENTIAL, HOST, REGION
from scripts.stage import ROOT
from tests.waiting import free_port

_PARTS = ("src", "scripts", "terraform", "Makefile", "pyproject.toml", "requirements.txt")
_WAIT = re.compile(r"^(?:\x1b\[\S*m)*(\S+): (?:Creation|Destruction) complete after (?:(\d+)m)?(\d+)s", re.MULTILINE)
_EDITED = "src/handlers/process_kinesis_records/handler.py"
_WRITES, _WARMING = 100, 10
_LONGEST_PAUSE = 0.5
_FIRST_SCORE_SECONDS = 600


class Checkout:
    """A copy of this repository, whose make works on a local cloud of its own."""

    def __init__(self, folder: Path) -> None:
        for part in _PARTS:
            source, copy = ROOT / part, folder / part
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        self._session: Any = boto3.Session(CREDENTIAL, CREDENTIAL, region_name=REGION)
        self._folder = folder
        self._port = free_port()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | {
            "LOCAL_PORT": str(self._port),
            "LOCAL_DIR": str(folder / ".local"),
        }

    def make(self, target: str) -> tuple[float, float, str]:
        """How long it takes, the longest that the provider waited for one resource, both in seconds, and for which."""
        begun = time.perf_counter()
        process = subprocess.run(
            ["make", target], cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False
        )
        taken = time.perf_counter() - begun
        if process.returncode:
            raise RuntimeError(f"make {target} returned {process.returncode}:\n{process.stdout}{process.stderr}")
        waits = [
            (60.0 * int(minutes or 0) + int(seconds), resource.rpartition("module.")[2])
            for resource, minutes, seconds in _WAIT.findall(process.stdout)
        ]
        return taken, *max(waits, default=(0.0, ""))

    def edit(self) -> None:
        """Change a handler."""
        with (self._folder / _EDITED).open("a") as file:
            file.write("\n# edited\n")

    def table(self, name: str) -> Any:
        """A table of the system."""
        return self._session.resource("dynamodb", endpoint_url=f"http://{HOST}:{self._port}").Table(name)

    def until_a_score_is_counted(self) -> float:
        """Return the seconds until a score event that was put into the stream, as soon as it is there, is in a total.

        Raises TimeoutError.
        """
        begun = time.perf_counter()
        kinesis: Any = self._session.client("kinesis", endpoint_url=f"http://{HOST}:{self._port}")
        totals, is_put = self.table("GameScoresByUser"), False
        event = json.dumps({"RecordID": 1, "Username": "first", "Score": 1})
        while time.perf_counter() - begun < _FIRST_SCORE_SECONDS:
            with contextlib.suppress(BotoCoreError, ClientError):  # nothing is there yet
                if not is_put:
                    kinesis.put_record(StreamName="Demo-Stream", PartitionKey="1", Data=event)
                    is_put = True
                if "Item" in totals.get_item(Key={"Username": "first"}):
                    return time.perf_counter() - begun
            time.sleep(0.2)
        raise TimeoutError("no score was counted while make deploy ran")


def measure() -> Findings:
    """Deploy, use, deploy again, edit and deploy, destroy."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder))
        try:
            checkout.make("package")
            checkout.make("terraform-init")
            with ThreadPoolExecutor(1) as pool:
                first_score = pool.submit(checkout.until_a_score_is_counted)
                deploy = checkout.make("deploy")
            latency = _end_to_end(checkout)
            again = checkout.make("deploy")
            checkout.edit()
            edit = checkout.make("deploy")
            destroy = checkout.make("destroy")
        finally:
            checkout.make("cloud-down")
    return Findings(
        [
            *latency,
            _loop("make deploy, local, warm caches", *deploy),
            Row(
                "A score put into the stream as soon as there is one, counted",
                f"{first_score.result():.1f} s after make deploy began",
                f"make deploy ended: {deploy[0]:.1f} s",
                first_score.result() / deploy[0],
                1.0,
            ),
            _loop("make destroy", *destroy),
            Row("make deploy again, nothing changed", f"{again[0]:.1f} s", "12 s", again[0] / 12, 1.0),
            Row("make deploy after a handler edit", f"{edit[0]:.1f} s", "20 s", edit[0] / 20, 1.0),
        ]
    )


def _loop(metric: str, taken: float, wait: float, resource: str) -> Row:
    allowed = 1.3 * wait + 15
    return Row(
        metric,
        f"{taken:.1f} s",
        f"1.3 x the provider's longest wait ({wait:.0f} s, {resource}) + 15 s: {allowed:.0f} s",
        taken / allowed,
        1.0,
    )


def _end_to_end(checkout: Checkout) -> list[Row]:
    """From a put into GameScoreRecords until the user's total has it; warm, one at a time.

    The pauses between are random: a write that follows the last at once would meet an engine that has just looked.
    """
    records, totals = checkout.table("GameScoreRecords"), checkout.table("GameScoresByUser")
    dice, seconds = Random(1), []  # noqa: S311
    for at in range(_WRITES + _WARMING):
        time.sleep(dice.uniform(0, _LONGEST_PAUSE))
        seconds.append(_until_counted(records, totals, at))
    seconds = sorted(seconds[_WARMING:])
    p50, p99 = seconds[_WRITES // 2], seconds[int(_WRITES * 0.99)]
    return [
        Row(
            f"End to end on the local cloud, warm, p50 of {_WRITES} writes",
            f"{1000 * p50:.0f} ms",
            "150 ms",
            p50 / 0.15,
            1.0,
        ),
        Row("The same, p99", f"{1000 * p99:.0f} ms", f"p50: {1000 * p50:.0f} ms", p99 / p50, 3.0),
    ]


def _until_counted(records: Any, totals: Any, at: int) -> float:
    user = f"end-to-end-{at}"
    begun = time.perf_counter()
    records.put_item(Item={"RecordID": at, "Username": user, "Score": 1})
    while "Item" not in totals.get_item(Key={"Username": user}, ConsistentRead=True):
        if time.perf_counter() - begun > 60:
            raise TimeoutError(f"the score of {user}")
        time.sleep(0.005)
    return time.perf_counter() - begun
