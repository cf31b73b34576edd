"""Who keeps the totals exact: issue B's fault model, against every peer, on moto's DynamoDB.

moto is slow and copies tables, which does not matter here: nothing is timed.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any
from unittest.mock import patch

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from moto import mock_aws

from bench.events import Context
from bench.measuring import Findings
from bench.peers import IDEMPOTENCY, LEDGER, TOTALS, Handler, Peer
from bench.writing import PEERS
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import ShuffledWorkers
from tests.fakes.stream import SourceTable
from tests.property.fault_model import CrashError, FaultyStream, played

_KEYS = {TOTALS: ("Username", "S"), LEDGER: ("RecordID", "N"), IDEMPOTENCY: ("id", "S")}
_EXPIRES = {LEDGER: "ExpiresAt", IDEMPOTENCY: "expiration"}
_DAY = 24 * 60 * 60
_TOKEN_SECONDS = 10 * 60
_SECONDS = 0.05
"""What an invocation has."""
_sleep = time.sleep


@dataclass(frozen=True, slots=True)
class Scenario:
    """Which histories, and what goes wrong with their delivery."""

    name: str
    steps: tuple[str, ...] = ("insert",)
    mishaps: int = 0
    consumers: int = 1
    replay_days: int | None = None
    """When everything is delivered once more, in another order."""


SCENARIOS = (
    Scenario("inserts, each delivered once"),
    Scenario("updates", ("insert", "put")),
    Scenario("deletes", ("insert", "delete")),
    Scenario("a score that is no number", ("insert", "spoil")),
    Scenario("faults and redelivery", mishaps=8),
    Scenario("two copies at once", mishaps=2, consumers=2),
    Scenario("a replay within minutes", replay_days=0),
    Scenario("a replay after 3 days", replay_days=3),
    Scenario("all of it", ("insert", "put", "delete", "replace", "spoil"), mishaps=8, consumers=2, replay_days=3),
)


def measure(histories: int = 12) -> Findings:
    """For each peer and scenario: in how many of the histories the totals came out right, until one does not."""
    verdicts = {
        peer.name: {scenario.name: _judge(peer, scenario, histories) for scenario in SCENARIOS} for peer in PEERS
    }
    return Findings(data={"histories": histories, "verdicts": verdicts})


def _judge(peer: Peer, scenario: Scenario, histories: int) -> str:
    """ "exact", or what became of the first history that went wrong."""
    for seed in range(histories):
        fault = _play(peer, scenario, seed)
        if fault:
            return f"{fault} (history {seed})"
    return "exact"


def _play(peer: Peer, scenario: Scenario, seed: int) -> str:
    """What is wrong at the end of one history; empty when nothing is."""
    random = Random(seed)  # noqa: S311
    table = played(_history(scenario, random), first_sequence_number=10**22 - seed % 10, now=time.time())
    with mock_aws(), patch.dict(os.environ, _ENVIRONMENT):
        _create_tables()
        account = _Account()
        client = peer.client()
        # A copy of the function for each consumer, as they run at once.
        copies: dict[int, Handler] = defaultdict(lambda: peer.handler(client, ShuffledWorkers(random)))

        def invoke(batch: list[DynamoDBRecord]) -> Any:
            if not batch:
                return {"batchItemFailures": []}
            try:
                answer = copies[threading.get_ident()]({"Records": batch}, Context(remaining_ms=int(1000 * _SECONDS)))
            except (BotoCoreError, ClientError, LookupError, ArithmeticError) as error:
                raise CrashError from error  # Lambda delivers the batch again, whatever was raised
            return answer if isinstance(answer, Mapping) else {"batchItemFailures": []}

        stream = FaultyStream(table, random, invoke, mishaps=scenario.mishaps, throttle=_throttle)
        account.intercept(client, stream)
        try:
            with patch.object(time, "sleep", lambda _: None):
                try:
                    stream.drain_in_turns(scenario.consumers)
                except AssertionError:
                    return "blocks the shard"
                _sleep(2 * _SECONDS)  # until what a crash has left in progress has expired
                stream.redrive()
                if scenario.replay_days is not None:
                    account.pass_seconds(scenario.replay_days * _DAY)
                    invoke(random.sample(table.stream, len(table.stream)))
        except (CrashError, AssertionError):
            return "a replay fails"
        return "" if _totals() == _owed(table) else "wrong total"


def _history(scenario: Scenario, random: Random) -> list[tuple[str, int, str, str]]:
    """Some steps; a RecordID is new where the scenario has nothing but inserts."""
    steps = []
    for at in range(random.randint(2, 12)):
        step = random.choice(scenario.steps)
        record_id = (
            100 + at if step == "insert" else random.choice([100 + random.randrange(at + 1), random.randint(1, 3)])
        )
        steps.append(
            ("put" if step == "insert" else step, record_id, random.choice(["ann", "bob"]), str(random.randint(1, 99)))
        )
    return steps


def _throttle(message: str) -> Exception:
    error = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": message}}
    return ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": 400}}, "TransactWriteItems")  # type: ignore[typeddict-item]


@dataclass(slots=True)
class _Account:
    """What moto lacks: time that passes at will, and the memory for client request tokens."""

    now: float = 0.0
    _answers: dict[str, tuple[float, Any]] = field(default_factory=dict)

    def intercept(self, client: Any, stream: FaultyStream) -> None:
        """Let things go wrong before and after each call, as the stream draws them."""
        client.meta.events.register(
            "before-call.dynamodb", lambda model, context, **_: self._before(model, context, stream)
        )
        client.meta.events.register(
            "after-call.dynamodb", lambda context, parsed, **_: self._after(context, parsed, stream)
        )
        client.meta.events.register(
            "provide-client-params.dynamodb.TransactWriteItems",
            lambda params, context, **_: context.update(token=params.get("ClientRequestToken")),
        )

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and what has expired by then go."""
        self.now += seconds
        resource: Any = boto3.resource("dynamodb")
        for name, attribute in _EXPIRES.items():
            table = resource.Table(name)
            for item in table.scan()["Items"]:
                if item.get(attribute, float("inf")) < time.time() + self.now:
                    table.delete_item(Key={_KEYS[name][0]: item[_KEYS[name][0]]})

    def _before(self, model: Any, context: dict[str, Any], stream: FaultyStream) -> Any:
        stream.before(model)
        seen, answer = self._answers.get(context.get("token") or "", (-float("inf"), None))
        return answer if answer and self.now < seen + _TOKEN_SECONDS else None

    def _after(self, context: dict[str, Any], parsed: Any, stream: FaultyStream) -> None:
        if context.get("token") and "Error" not in parsed:
            http: Any = type("Response", (), {"status_code": 200})
            self._answers.setdefault(context["token"], (self.now, (http, parsed)))
        stream.after(parsed)


_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",  # a fault of a call is what is left when retries are exhausted
}


def _create_tables() -> None:
    for name, (key, kind) in _KEYS.items():
        boto3.client("dynamodb").create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],  # type: ignore[typeddict-item]
            BillingMode="PAY_PER_REQUEST",
        )


def _totals() -> dict[str, Decimal]:
    resource: Any = boto3.resource("dynamodb")
    scores = {item["Username"]: item["Score"] for item in resource.Table(TOTALS).scan()["Items"]}
    return {user: score for user, score in scores.items() if score}


def _owed(table: SourceTable) -> dict[str, Decimal]:
    return {user: score for user, (score, _) in table.sums().items() if score}
