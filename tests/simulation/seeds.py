"""Which histories are tried: HISTORIES scales how many, as in the property tests; SIMULATION_SEED replays one."""

import os
from collections.abc import Sequence
from math import ceil
from pathlib import Path

from scripts.stage import ROOT

USUAL = 1000
"""HISTORIES when nobody sets it."""


def seeds(usual: int) -> Sequence[int]:
    """Return the seeds to try: so many when HISTORIES is not set, and in proportion when it is."""
    replayed = os.environ.get("SIMULATION_SEED")
    return [int(replayed)] if replayed else range(ceil(usual * int(os.environ.get("HISTORIES", USUAL)) / USUAL))


def replay(seed: int, file: str) -> str:
    """The command that tries a seed of a test file again."""
    return f"replay: SIMULATION_SEED={seed} .venv/bin/pytest {Path(file).relative_to(ROOT)}"
