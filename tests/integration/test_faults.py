"""Totals that are exact on the deployed system, whatever fails on the way to DynamoDB."""

import random
from pathlib import Path

from tests.acceptance.players import Players
from tests.integration.deployment import System
from tests.integration.faults import faults_before_dynamodb, fired
from tests.waiting import eventually


def test_totals_stay_exact_while_dynamodb_throttles_fails_times_out_and_loses_acknowledgements(
    system: System, tmp_path: Path
) -> None:
    players = Players(system, "faults", 5000)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)

    with faults_before_dynamodb(system, tmp_path) as proxy:
        for _ in range(400):
            record, user = dice.randrange(60), f"user {dice.randrange(8)}"
            if dice.random() < 0.15:
                players.delete(record)
            else:
                players.put(record, user, Score=dice.randrange(-50, 100))
        eventually(players.are_exact, what="exact totals", seconds=120)
        happened = fired(proxy)

    assert {"error", "response", "reset", "timeout"} <= happened, "a fault that has not happened proves nothing"
