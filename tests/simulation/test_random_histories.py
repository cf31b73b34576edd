"""Histories drawn from seeds. HISTORIES scales how many, SIMULATION_SEED replays one."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from scripts.stage import ROOT
from tests.simulation.history import History
from tests.simulation.seeds import replay, seeds
from tests.simulation.virtual_time import run

EXPECTED = {"write", "crash", "reshard", "alter", "poison", "filtered", "RetryAttemptsExhausted"}
EXPECTED |= {"RecordAgeExceeded", "THROTTLED", "CRASHED_BEFORE", "CRASHED_AFTER", "TIMED_OUT"}
EXPECTED |= {"RESPONSE_LOST", "DELIVERED_TWICE"}

happened: Counter[str] = Counter()


@pytest.mark.parametrize("seed", seeds(usual=24))
def test_every_record_is_processed_or_discarded_in_order_whatever_happens(seed: int) -> None:
    print(replay(seed, __file__))
    history = History(seed)

    run(history.unfold())

    happened.update(history.happened, histories=1)


def test_the_histories_hold_everything_that_can_happen() -> None:
    if happened["histories"] < 24:
        pytest.skip("a few histories need not hold everything")

    assert happened.keys() >= EXPECTED


@pytest.mark.parametrize(("histories", "number"), [(None, 24), ("1000", 24), ("100000", 2400), ("1", 1)])
def test_make_histories_scales_the_simulation_too(
    histories: str | None, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SIMULATION_SEED", raising=False)
    if histories is None:
        monkeypatch.delenv("HISTORIES", raising=False)
    else:
        monkeypatch.setenv("HISTORIES", histories)

    assert len(seeds(usual=24)) == number


def test_a_seed_replays_exactly_in_another_process() -> None:
    program = "from tests.simulation.test_random_histories import fingerprint; print(fingerprint(3))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONHASHSEED": "7"}

    answer = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True)

    assert answer.stdout.decode().strip() == fingerprint(3)


def fingerprint(seed: int) -> str:
    """A digest of everything that a function saw, and when."""
    history = History(seed)
    run(history.unfold())
    return hashlib.sha256(repr(history.simulation.seen).encode()).hexdigest()
