"""Send one score through a stage, and see its total: `make smoke [STAGE=local|dev|prod]`."""

import json
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import boto3
import typer

from scripts.command import UserError, run
from scripts.deployed import Deployed, deployed
from scripts.rollback import releases

_SECONDS = 180.0
"""For how long to look: Lambda takes a minute or two until a new mapping polls."""


class SmokeTestFailedError(UserError):
    """What was sent did not arrive; the message says how to go back."""


def smoke(system: Deployed, seconds: float = _SECONDS) -> float:
    """Send a score, wait for its total, and take both back; returns how many seconds the total took.

    The score goes through the stream where ProcessKinesisRecords stores scores, else straight into
    GameScoreRecords. Raises SmokeTestFailedError when there is no total in time.
    """
    score = Score(system)
    started = time.monotonic()
    try:
        score.send()
        if not _until(score.is_counted, seconds):
            raise SmokeTestFailedError(
                f"The smoke test failed: a score that was sent did not reach its total in {seconds:.0f} s. "
                f"{_what_to_do(system)}"
            )
        return time.monotonic() - started
    finally:
        score.take_back()


class Score:
    """One score of a user and a record that nobody else has."""

    def __init__(self, system: Deployed) -> None:
        tables: Any = boto3.resource("dynamodb")
        self._system = system
        self._records = tables.Table(system.table("GameScoreRecords")["name"])
        self._totals = tables.Table(system.table("GameScoresByUser")["name"])
        # Below zero, where no game's are.
        self._item = {
            "RecordID": -1 - secrets.randbelow(10**15),
            "Username": f"smoke test {secrets.token_hex(4)}",
            "Score": 1,
        }

    def send(self) -> None:
        """Put it in at the far left of what this stage does with scores."""
        function = self._system.function("ProcessKinesisRecords")["live_arn"]
        settings = boto3.client("lambda").get_function_configuration(FunctionName=function).get("Environment", {})
        if "RECORDS_TABLE" in settings.get("Variables", {}):
            boto3.client("kinesis").put_record(
                StreamName=self._system.outputs["stream"]["name"],
                PartitionKey=str(self._item["RecordID"]),
                Data=json.dumps(self._item),
            )
        else:
            self._records.put_item(Item=self._item)

    def is_counted(self) -> bool:
        """Whether its user's total is what was sent."""
        found = self._totals.get_item(Key={"Username": self._item["Username"]}, ConsistentRead=True).get("Item", {})
        return bool(found.get("Score") == self._item["Score"] and found.get("RecordCount") == 1)

    def take_back(self) -> None:
        """Delete it and its total."""
        self._records.delete_item(Key={"RecordID": self._item["RecordID"]})
        forget(self._totals, str(self._item["Username"]))


def forget(totals: Any, username: str, seconds: float = 60) -> None:
    """Delete a user's total from GameScoresByUser, once nothing is counted in it any more."""

    def deleted() -> bool:
        with suppress(totals.meta.client.exceptions.ConditionalCheckFailedException):
            totals.delete_item(
                Key={"Username": username},
                ConditionExpression="attribute_not_exists(Username) OR RecordCount = :none",
                ExpressionAttributeValues={":none": 0},
            )
            return True
        return False

    _until(deleted, seconds)


def _until(happened: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.25)
    return True


def _what_to_do(system: Deployed) -> str:
    make = f"STAGE={system.stage.name}"
    look = f"See why: make logs {make}; make status {make}."
    back = [
        f"make rollback FUNCTION={name} {make}"
        for name, function in system.outputs["functions"].items()
        if releases(boto3.client("lambda"), function["name"]).previous
    ]
    return f"{look} Go back to the version before: {'; '.join(back)}" if back else look


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    seconds: float = typer.Option(_SECONDS, help="for how long to wait for the total"),
) -> None:
    """Send one score through a stage and wait for its total; exit 1, saying how to go back, when there is none."""
    typer.echo(f"Smoke test passed: a score reached its total in {smoke(deployed(stage), seconds):.1f} s.")


if __name__ == "__main__":
    run(main)
