"""The commands of an operator, on the deployed system."""

import itertools
import json
import signal
import threading
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import boto3
import pytest

from scripts.traffic.put_scores import Write, writes
from tests.acceptance.evidence import Evidence
from tests.integration.deployment import System
from tests.waiting import eventually, patience


def test_commands_find_the_system_that_the_tests_deployed(system: System) -> None:
    output = system.command("output")

    assert output.returncode == 0, output.stderr
    assert json.loads(output.stdout) == system.outputs


def test_invoke_tells_what_the_console_tells(system: System, evidence: Evidence) -> None:
    done = system.command("invoke", "--function", "ProcessKinesisRecords", "--event", "stream")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Execution result: succeeded")
    assert "Decoded payload: Hello, this is a test 123." in done.stdout
    assert "Memory configured: 256 MB" in done.stdout
    reports = [line for line in done.stdout.splitlines() if "REPORT" in line or "platform.report" in line]
    evidence.keep("REPORT line", "\n".join(reports) or "none: the stage returns no REPORT line")


def test_invoke_shows_what_the_function_answers_to_an_event_that_is_no_batch(system: System) -> None:
    done = system.command("invoke", "--function", "AggregateScoresByUser", "--event", "-", "--json", stdin="{}")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["response"] == {"batchItemFailures": [{"itemIdentifier": ""}]}
    assert "no list of Records" in done.stdout


def test_scores_put_through_the_stream_and_straight_to_the_table_end_in_the_right_totals(system: System) -> None:
    runs = (
        ("stream", {"insert": 80, "update": 20}, 1_000_000, 11),
        ("table", {"insert": 80, "update": 15, "delete": 5}, 2_000_000, 12),
    )
    totals = boto3.resource("dynamodb").Table(system.table("GameScoresByUser"))

    def found() -> dict[str, Decimal]:
        items = totals.scan(ConsistentRead=True)["Items"]
        return {str(item["Username"]): Decimal(str(item["Score"])) for item in items}

    before = found()  # other tests may have put scores of the same users
    expected: dict[int, Write] = {}
    for via, mix, first, seed in runs:
        weights = ",".join(f"{kind}:{weight}" for kind, weight in mix.items())
        options = ["--n", "400", "--users", "7", "--first", str(first), "--seed", str(seed), "--mix", weights]
        done = system.command("put_scores", "--via", via, *options, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["sent"] == 400
        expected |= {each.record_id: each for each in writes(400, users=7, mix=mix, seed=seed, first_record=first)}

    owed: dict[str, Decimal] = defaultdict(Decimal)
    for write in expected.values():
        if write.username is not None:
            owed[write.username] += write.score

    def put() -> dict[str, Decimal]:
        now = found()
        return {user: now.get(user, Decimal(0)) - before.get(user, Decimal(0)) for user in owed}

    eventually(lambda: put() == owed, what="the totals of what was put")


def test_events_put_into_the_stream_are_logged(system: System) -> None:
    done = system.command("put_events", "--n", "50", "--users", "3")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"Sent 50 to {system.outputs['stream']['name']} in ")
    eventually(
        lambda: any('Decoded payload: {\\"event\\": 49' in line for line in system.logged("ProcessKinesisRecords")),
        what="the last event in the log",
        seconds="logs",
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["invoke", "--function", "Nobody", "--event", "stream"], "There is no function 'Nobody'"),
        (["put_scores", "--n", "none"], "Invalid value for N"),
        (["put_events", "--stage", "No-Stage"], "There is no stage 'No-Stage'"),
    ],
)
def test_what_a_user_can_mend_is_one_line(command: list[str], message: str, system: System) -> None:
    done = system.command(*command)

    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1


def test_the_leaderboard_shows_the_totals_that_are_stored(system: System) -> None:
    records = boto3.resource("dynamodb").Table(system.table("GameScoreRecords"))
    for record_id, (user, score) in enumerate((("first", 10**9), ("second", 10**8), ("first", -1)), 3_000_000):
        records.put_item(Item={"RecordID": record_id, "Username": f"board {user}", "Score": score})

    def board() -> list[tuple[str, str, int]]:
        done = system.command("leaderboard", "--top", "2", "--json")
        assert done.returncode == 0, done.stderr
        return [(each["username"], each["score"], each["records"]) for each in json.loads(done.stdout)["top"]]

    expected = [("board first", "999999999", 2), ("board second", "100000000", 1)]
    eventually(lambda: board() == expected, what="the two at the top")
    shown = system.command("leaderboard", "--top", "1")
    assert "999,999,999" in shown.stdout
    assert "board second" not in shown.stdout


def test_logs_finds_a_line_by_function_time_and_pattern(system: System) -> None:
    system.command("invoke", "--function", "ProcessKinesisRecords", "--event", "stream")

    done = system.command("logs", "--function", "ProcessKinesisRecords", "--since", "5m", "--grep", "a test 1.3")

    assert done.returncode == 0, done.stderr
    assert {line.split(" ", 1)[1] for line in done.stdout.splitlines()} == {
        "ProcessKinesisRecords INFO  Decoded payload: Hello, this is a test 123."
    }


def test_logs_follows_until_it_is_interrupted(system: System) -> None:
    def put(data: bytes) -> None:
        boto3.client("kinesis").put_record(StreamName=system.outputs["stream"]["name"], PartitionKey="1", Data=data)

    put(b"followed, before")
    with system.start("logs", "--since", "5m", "--grep", "followed", "--follow", "--json") as process:
        assert process.stdout is not None
        watchdog = threading.Timer(2 * patience().logs, process.kill)
        watchdog.start()
        before = process.stdout.readline()
        put(b"followed, after")
        after = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate()
        watchdog.cancel()

    assert [json.loads(line)["message"].count(text) for line, text in ((before, "before"), (after, "after"))] == [1, 1]
    assert (process.returncode, rest, errors) == (130, "", "")


def test_status_shows_what_is_deployed_and_what_waits(system: System) -> None:
    done = system.command("status", "--json")

    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert {each["name"] for each in status["resources"]} == {
        system.outputs["stream"]["name"],
        *(table["name"] for table in system.outputs["tables"].values()),
        *(function["name"] for function in system.outputs["functions"].values()),
    }
    assert {each["state"].upper() for each in status["resources"]} == {"ACTIVE"}
    assert {each["state"] for each in status["mappings"]} == {"Enabled"}
    assert "Failures waiting: " in system.command("status").stdout


def test_the_lab_shows_all_that_its_guide_says_and_leaves_nothing_behind(system: System, evidence: Evidence) -> None:
    done = system.command("lab", "--json")

    checklist = json.loads(done.stdout)
    evidence.keep("the lab's checklist", checklist)
    assert [each for each in checklist if not each["ok"]] == [], done.stderr
    assert done.returncode == 0
    assert [task for task, _ in itertools.groupby(each["task"].split(":")[0] for each in checklist)] == [
        f"Task {number}" for number in range(1, 6)
    ]
    assert {"Execution result: succeeded", "the metric Duration after four invocations"} <= {
        each["what"] for each in checklist
    }
    for name in ("GameScoreRecords", "GameScoresByUser"):
        items = boto3.resource("dynamodb").Table(system.table(name)).scan(ConsistentRead=True)["Items"]
        assert not [item for item in items if "(lab " in str(item["Username"])]


def test_metrics_draws_what_the_functions_did(system: System, tmp_path: Path) -> None:
    system.command("invoke", "--function", "ProcessKinesisRecords", "--event", "stream")
    system.command("invoke", "--function", "AggregateScoresByUser", "--event", "score")

    def counted() -> bool:
        values = json.loads(system.command("metrics", "--since", "30m", "--json").stdout)
        wanted = (("Invocations", "ProcessKinesisRecords"), ("Records", "AggregateScoresByUser"))
        return all(sum(values[metric].get(system.function(name), {}).values()) >= 1 for metric, name in wanted)

    eventually(counted, "invocations and records", "metrics")
    drawn = system.command("metrics", "--since", "30m", "--png", str(tmp_path / "metrics.png"))

    assert drawn.returncode == 0, drawn.stderr
    assert "Invocations" in drawn.stdout
    assert (tmp_path / "metrics.png").read_bytes().startswith(b"\x89PNG")
