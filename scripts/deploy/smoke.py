"""Send one score through a stage, and see its total: `make smoke [STAGE=<stage>]`."""

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import typer

from scripts.cli import UserError
from scripts.deploy.rollback import releases
from scripts.deployment import Deployed, deployed
from scripts.stage import LOCAL, StageName

RECORD_ID, USERNAME = -1, "smoke test"
"""Below zero, where no game's are."""

_SECONDS = 180.0
"""For how long to look: Lambda takes a minute or two until a new mapping polls."""


class SmokeTestFailedError(UserError):
    """What was sent did not arrive; the message says how to go back."""


def smoke(system: Deployed, seconds: float = _SECONDS) -> float:
    """Send a score, wait for its total, and take both back; return how many seconds the total took.

    The score goes through the stream where ProcessKinesisRecords stores scores, else straight into
    GameScoreRecords. Raises SmokeTestFailedError when there is no total in time.
    """
    score = Score(system)
    started = time.monotonic()
    is_counted, remains = False, ""
    try:
        score.send()
        is_counted = _until(score.is_counted, seconds)
        took = time.monotonic() - started
    finally:
        remains = score.take_back(is_counted=is_counted)
    if not is_counted:
        raise SmokeTestFailedError(
            f"The smoke test failed: a score that was sent did not reach its total in {seconds:.0f} s. "
            f"{remains} {_what_to_do(system)}"
        )
    return took


class Score:
    """The score of a smoke test: every one of the same record and user, so that the next one replaces what is left.

    Its value is its own, by which a smoke test knows it.
    """

    def __init__(self, system: Deployed) -> None:
        tables: Any = system.session.resource("dynamodb")
        self._system = system
        self._records = tables.Table(system.table("GameScoreRecords")["name"])
        self._totals = tables.Table(system.table("GameScoresByUser")["name"])
        self._score = Decimal(secrets.randbelow(10**9) + 1).scaleb(-9)
        self._is_ingested = False

    def send(self) -> None:
        """Put it in at the far left of what this stage does with scores."""
        function = self._system.function("ProcessKinesisRecords")["live_arn"]
        configuration = self._system.session.client("lambda").get_function_configuration(FunctionName=function)
        self._is_ingested = "RECORDS_TABLE" in configuration.get("Environment", {}).get("Variables", {})
        if self._is_ingested:
            # One partition key: the next score is behind this one in its shard, however late this one is stored.
            self._system.session.client("kinesis").put_record(
                StreamName=self._system.outputs["stream"]["name"],
                PartitionKey=str(RECORD_ID),
                Data=f'{{"RecordID": {RECORD_ID}, "Username": "{USERNAME}", "Score": {self._score:f}}}',
            )
        else:
            self._records.put_item(Item={"RecordID": RECORD_ID, "Username": USERNAME, "Score": self._score})

    def is_counted(self) -> bool:
        """Return whether its user's total is what was sent."""
        found = self._totals.get_item(Key={"Username": USERNAME}, ConsistentRead=True).get("Item", {})
        return bool(found.get("Score") == self._score and found.get("RecordCount") == 1)

    def take_back(self, *, is_counted: bool) -> str:
        """Delete it and its total; return what remains, and until when."""
        try:
            self._records.delete_item(
                Key={"RecordID": RECORD_ID},
                ConditionExpression="Score = :score",
                ExpressionAttributeValues={":score": self._score},
            )
            is_deleted = True
        except self._records.meta.client.exceptions.ConditionalCheckFailedException:
            is_deleted = False
        forget(self._totals, USERNAME, 60 if is_counted else 0)
        if is_counted:
            return ""
        until = f"until the next smoke test, which every deploy ends with: make smoke STAGE={self._system.stage.name}."
        if is_deleted:
            return f"The score is deleted. Its total, counted later, is 0; the row of user {USERNAME!r} stays {until}"
        if self._is_ingested:
            stream = self._system.outputs["stream"]["name"]
            return (
                f"The score is not in GameScoreRecords: it waits in {stream}, or another smoke test has replaced it. "
                f"If it is stored later, it stays as record {RECORD_ID} of user {USERNAME!r} {until}"
            )
        return "The score is not in GameScoreRecords any more: another smoke test has replaced it. Run this one again."


def forget(totals: Any, username: str, seconds: float = 60) -> None:
    """Delete a user's total from GameScoresByUser, once nothing is counted in it any more."""
    errors = totals.meta.client.exceptions

    def deleted() -> bool:
        # A transaction that still counts the user conflicts with the delete, which can then be tried again.
        with suppress(errors.ConditionalCheckFailedException, errors.TransactionConflictException):
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
        if releases(system.session.client("lambda"), function["name"]).previous
    ]
    return f"{look} Go back to the version before: {'; '.join(back)}" if back else look


def main(
    stage: StageName = LOCAL,
    seconds: float = typer.Option(_SECONDS, help="for how long to wait for the total"),
) -> None:
    """Send one score through a stage and wait for its total; exit 1, saying how to go back, when there is none."""
    typer.echo(f"Smoke test passed: a score reached its total in {smoke(deployed(stage), seconds):.1f} s.")
