"""Two sides measured in turns, so that whatever else the machine does meets both.

Neither pyperf nor pytest-benchmark: each measures one thing to its end before it begins the next, so a machine
that slows down in between changes the ratio, and neither sums up the CPU time of a process and its children.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a metric of ours, the same of the other side, and the bar for their ratio."""

    metric: str
    ours: str
    other: str
    """What it is compared with, and its figure."""
    ratio: float
    bar: float | None
    """None for a line that only informs."""
    at_least: bool = False
    """Whether the ratio must reach the bar, rather than stay below it."""
    is_count: bool = False
    """Whether the figures are counts, which no noise changes: `make bench-quick` fails when one misses its bar."""

    @property
    def is_met(self) -> bool:
        """Whether the bar is met."""
        if self.bar is None:
            return True
        return self.ratio >= self.bar if self.at_least else self.ratio <= self.bar

    @property
    def verdict(self) -> str:
        """In a word."""
        return "" if self.bar is None else "met" if self.is_met else "**missed**"


@dataclass(slots=True)
class Findings:
    """What a benchmark found: lines of the table, and figures that plots and other tables are made of."""

    rows: list[Row] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it is kept."""
        return {"rows": [asdict(row) for row in self.rows], "data": self.data}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Findings":
        """As it was kept."""
        return cls([Row(**row) for row in kept["rows"]], dict(kept["data"]))


def medians(sides: Mapping[str, Callable[[], float]], repetitions: int) -> dict[str, float]:
    """The median of what each side returns, which is called in turns; a first turn warms up."""
    seen: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repetitions + 1):
        for name, side in sides.items():
            figure = side()
            if turn:
                seen[name].append(figure)
    return {name: statistics.median(figures) for name, figures in seen.items()}


def cpu(work: Callable[[], object]) -> Callable[[], float]:
    """A side: the CPU seconds that this process spends on the work."""

    def side() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return side


def calls(work: Callable[[], object]) -> int:
    """How many functions the work calls, in Python and in C, in this thread: its effort, but for noise."""
    found = 0

    def count(frame: object, event: str, argument: object) -> None:  # noqa: ARG001
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def wall(work: Callable[[], object]) -> Callable[[], float]:
    """A side: the seconds that the work takes."""

    def side() -> float:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun

    return side


def child_cpu(arguments: Sequence[str], environment: Mapping[str, str]) -> float:
    """The CPU seconds, user and system, of a Python process from its start to its end, which must be a good one."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} returned {process.returncode}")
    return usage.ru_utime + usage.ru_stime
