"""A steady load with faults, for SOAK_SECONDS: `make soak` takes ten minutes, `make test` one."""

import os
import statistics
import subprocess
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import psutil

from tests.integration.deployment import System
from tests.integration.faults import faults_before_dynamodb, fired
from tests.waiting import eventually

SECONDS = int(os.environ.get("SOAK_SECONDS", "60"))
RATE = 20
"""Writes a second."""
GROWTH = 8 * 2**20
"""Bytes that a process may have more in the last third than in the middle one; caches fill, and are bounded."""
LAG = 30.0
"""Seconds."""

Sizes = dict[str, list[int]]
"""Bytes of resident memory, over time, by what the process is."""


def test_a_steady_load_with_faults_ends_exact_with_memory_flat_and_lag_bounded(system: System, tmp_path: Path) -> None:
    assert system.command("reconcile", "--fix", "--pause", "1").returncode == 0
    begun = datetime.now(UTC)
    writes = ["--n", str(RATE * SECONDS), "--rate", str(RATE), "--users", "50", "--via", "table"]

    with faults_before_dynamodb(system, tmp_path) as proxy:
        with system.start("put_scores", *writes, "--mix", "insert:80,update:15,delete:5", "--json") as producer:
            sizes = watch(system, producer)
        assert producer.returncode == 0
        eventually(lambda: is_exact(system), what="exact totals", seconds=180)
        happened = fired(proxy)

    print({name: [size >> 20 for size in seen] for name, seen in sizes.items()})
    assert {"error", "response", "reset", "timeout"} <= happened, "a fault that has not happened proves nothing"
    assert {name for name, seen in sizes.items() if growth(seen) > GROWTH} == set()
    assert greatest_lag(system, begun) <= LAG


def is_exact(system: System) -> bool:
    """Return whether `make reconcile` finds every total exact, and print what it finds."""
    done = system.command("reconcile", "--pause", "1")
    print(f"reconcile, exit code {done.returncode}: {done.stdout}{done.stderr}")
    return done.returncode == 0


def watch(system: System, producer: "subprocess.Popen[str]") -> Sizes:
    """Look at the engine, and at the largest of the functions' processes, until the producer ends."""
    cloud = system.stage.local_cloud
    engine, emulator = cloud.engine.process(), cloud.emulator.process()
    assert engine is not None
    assert emulator is not None
    sizes: Sizes = defaultdict(list)
    while producer.poll() is None:
        sizes["engine"].append(engine.memory_info().rss)
        workers = [resident(child) for child in emulator.children(recursive=True)]
        sizes["worker"].append(max(workers, default=0))
        time.sleep(0.5)
    return sizes


def resident(process: psutil.Process) -> int:
    """Its memory; none when it has ended meanwhile."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def growth(sizes: list[int]) -> float:
    """From the median of the middle third to that of the last."""
    third = len(sizes) // 3
    return statistics.median(sizes[2 * third :]) - statistics.median(sizes[third : 2 * third])


def greatest_lag(system: System, since: datetime) -> float:
    """The greatest age, in seconds, of a record when its batch had been counted."""
    points = boto3.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="IteratorAge",
        Dimensions=[{"Name": "FunctionName", "Value": system.function("AggregateScoresByUser")}],
        StartTime=since,
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    assert points, "the engine puts IteratorAge"
    return max(point["Maximum"] for point in points) / 1000
