"""The commands that look: logs, leaderboard, status."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import boto3
import pytest
from moto import mock_aws
from rich.console import Console

from scripts.observe import leaderboard as board_module
from scripts.observe.leaderboard import Budget, Total, leaderboard, render
from scripts.observe.logs import Fresh, Line, lines
from scripts.observe.logs import render as render_line
from scripts.observe.status import Alarm, EventSource, Failures, Resource, Status, show


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with mock_aws():
        yield


def totals_table(totals: dict[str, tuple[str, int]]) -> None:
    boto3.client("dynamodb").create_table(
        TableName="totals",
        KeySchema=[{"AttributeName": "Username", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "Username", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with boto3.resource("dynamodb").Table("totals").batch_writer() as batch:
        for user, (score, records) in totals.items():
            batch.put_item(Item={"Username": user, "Score": Decimal(score), "RecordCount": records})


def test_the_leaderboard_has_the_best_exactly_and_in_order() -> None:
    totals_table({f"user-{n:03}": (f"{n % 50}.5", 1) for n in range(200)} | {"gone": ("1000", 0), "low": ("-1", 1)})

    board = leaderboard(boto3.client("dynamodb"), "totals", 5, Budget(1000, 1e6))

    assert board.totals == [
        *(Total(f"user-{n:03}", Decimal("49.5"), 1) for n in (49, 99, 149, 199)),
        Total("user-048", Decimal("48.5"), 1),
    ]
    assert (board.users, board.complete) == (201, True)


def test_a_leaderboard_whose_budget_ends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    totals_table({f"user-{n}": ("1", 1) for n in range(50)})

    board = leaderboard(boto3.client("dynamodb"), "totals", 5, Budget(board_module._SEGMENTS - 1, 1e6))

    assert not board.complete
    assert board.users < 50
    assert "there are more" in str(render(board).caption)


def test_a_budget_keeps_its_rate_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("scripts.observe.leaderboard.time.monotonic", lambda: 100.0)
    monkeypatch.setattr("scripts.observe.leaderboard.time.sleep", slept.append)
    budget = Budget(3, 20)

    assert [budget.take() for _ in range(4)] == [True, True, True, False]

    assert slept == pytest.approx([0, 0.05, 0.1])


def test_a_cancelled_budget_has_no_page() -> None:
    budget = Budget(10, 1e6)

    budget.cancel()

    assert not budget.take()


def test_the_logs_of_several_functions_come_in_order_of_time() -> None:
    logs = boto3.client("logs")
    now = int(datetime.now(UTC).timestamp() * 1000)
    for group, offsets in (("a", (0, 20)), ("b", (-60_000, 10, 30))):
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName="s")
        events = [{"timestamp": now + each, "message": f"{group} {each}\n"} for each in sorted(offsets)]
        logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=events)  # type: ignore[arg-type]

    found = lines(logs, {"A": "a", "B": "b"}, datetime.fromtimestamp(now / 1000, UTC))

    assert [(line.function, line.message) for line in found] == [
        ("A", "a 0"),
        ("B", "b 10"),
        ("A", "a 20"),
        ("B", "b 30"),
    ]


def test_a_follower_sees_each_line_once_late_and_equal_ones_too() -> None:
    one, late, two = Line(1, "F", "s", "x"), Line(0, "F", "s", "late"), Line(2, "F", "s", "y")
    fresh = Fresh()

    assert list(fresh.of([one])) == [one]
    assert list(fresh.of([late, one, one])) == [late, one]
    assert list(fresh.of([one, one, two])) == [two]
    assert list(fresh.of([two])) == []


DEEP = '{"message":' * 100_000 + "1" + "}" * 100_000


@pytest.mark.parametrize(
    ("message", "rendered"),
    [
        (
            '{"timestamp":"t","level":"WARN","message":"Found","requestId":"1","reasons":{"a":1},"_aws":{}}',
            '00:00:01.500 F WARN  Found reasons={"a": 1}',
        ),
        ("START RequestId: 1", "00:00:01.500 F START RequestId: 1"),
        ("[1]", "00:00:01.500 F [1]"),
        ('{"level":"INFO"}', '00:00:01.500 F {"level":"INFO"}'),
        (DEEP, f"00:00:01.500 F {DEEP}"),
    ],
)
def test_a_line_says_who_when_and_what(message: str, rendered: str) -> None:
    line = render_line(Line(1500, "F", "s", message))

    assert re.sub(r"\x1b\[\d+m", "", line) == rendered


def test_a_status_fits_one_screen() -> None:
    status = Status(
        stage="local",
        account="1",
        region="us-east-1",
        endpoint=None,
        resources=[Resource("table", f"GameScoreRecords{n}", "ACTIVE", "items: 1") for n in range(6)],
        mappings=[
            EventSource("AggregateScoresByUser", "Enabled", 1500.0, "OK"),
            EventSource("ProcessKinesisRecords", "Disabled", None, "PROBLEM: [function call failed]"),
        ],
        failures=Failures(parked=3, discarded=1000),
        alarms=[Alarm("drift", "ALARM"), *(Alarm(f"quiet{n}", "OK") for n in range(26))],
    )
    console = Console(width=100, highlight=False, file=(screen := io.StringIO()))

    show(status, console)

    text = screen.getvalue()
    assert text.count("\n") <= 24
    for part in (
        "Stage local: account 1",
        "1.5 s",
        "not measured",
        "[function call failed]",
        "3 parked",
        "ALARM drift",
        "Alarms: 26 OK, 1 ALARM",
    ):
        assert part in text
    assert "at least 1,000 discarded batches" in text
