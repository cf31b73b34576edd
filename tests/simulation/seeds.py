"""Which histories are tried: SIMULATION_SEEDS sets how many, SIMULATION_SEED replays one."""

import os
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def seeds(default: int) -> Sequence[int]:
    """The seeds to try."""
    replayed = os.environ.get("SIMULATION_SEED")
    return [int(replayed)] if replayed else range(int(os.environ.get("SIMULATION_SEEDS", default)))


def replay(seed: int, file: str) -> str:
    """The command that tries a seed of a test file again."""
    return f"replay: SIMULATION_SEED={seed} .venv/bin/pytest {Path(file).relative_to(ROOT)}"
