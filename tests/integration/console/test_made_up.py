"""The page on what moto holds: what no deployed system has, or has only for a moment."""

import io
import json
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import boto3
import pytest
from moto import mock_aws
from playwright.sync_api import Locator, Page, expect

from scripts.console import flow
from scripts.failures.store import DISCARDED
from scripts.observe.metrics import NAMESPACE
from scripts.observe.status import Status, status
from scripts.stage import Stage
from tests.integration.console.conftest import FixedConnection, Visit, console_of

STREAM, BUCKET, LOG_STREAM = "stream", "failures", "log"
TABLES: dict[str, tuple[str, Literal["N", "S"]]] = {
    "GameScoreRecords": ("RecordID", "N"),
    "GameScoreLedger": ("RecordID", "N"),
    "GameScoresByUser": ("Username", "S"),
}
FUNCTIONS = PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"


def put(key: str, document: Any) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document).encode())


def parked(function: str, number: int, reason: str, records: int) -> str:
    """Park an object of so many records; returns its key."""
    key = f"parked/{function}/2026-11-23/{number}.json"
    payload = {"Records": [{"eventID": f"{number}-{each}"} for each in range(records)]}
    put(key, {"function": function, "reason": reason, "payload": payload})
    return key


def deployed() -> dict[str, Any]:
    """Make what the page looks at; returns the outputs of Terraform that name it."""
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    kinesis = boto3.client("kinesis")
    kinesis.create_stream(StreamName=STREAM, ShardCount=1)
    arn = kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]["StreamARN"]
    role = boto3.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    return {
        "stream": {"name": STREAM},
        "tables": {name: table(name, *key) for name, key in TABLES.items()},
        "functions": {name: function(name, role, arn) for name in FUNCTIONS},
        "failure_bucket": BUCKET,
        "alarms": {},
    }


def table(name: str, key: str, kind: Literal["N", "S"]) -> dict[str, Any]:
    """Make a table; returns its outputs."""
    boto3.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind}],
        BillingMode="PAY_PER_REQUEST",
    )
    return {"name": name, "hash_key": {"name": key, "type": kind}}


def function(name: str, role: str, stream: str) -> dict[str, str]:
    """Make a function with a mapping and a log group; returns its outputs."""
    functions = boto3.client("lambda")
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("handler.py", "")
    live = functions.create_function(
        FunctionName=name, Runtime="python3.13", Role=role, Handler="handler.handler", Code={"ZipFile": code.getvalue()}
    )["FunctionArn"]
    mapping = functions.create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream, StartingPosition="TRIM_HORIZON"
    )["UUID"]
    group = f"/aws/lambda/{name}"
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=LOG_STREAM)
    return {
        "name": name,
        "log_group": group,
        "live_arn": live,
        "mapping_uuid": mapping,
        "event_source_arn": stream,
    }


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The outputs of a stage that moto holds."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield deployed()


@pytest.fixture
def link(outputs: dict[str, Any], tmp_path: Path) -> Iterator[str]:
    """The link to the console of that stage. Nothing runs in it."""
    connection = FixedConnection(Stage("dev", "us-east-1", None, tmp_path), "123456789012", outputs)
    with console_of(connection, writes=True) as link:
        yield link


@pytest.fixture
def page(visit: Visit, link: str) -> Page:
    return visit(link)


def rows(page: Page) -> Locator:
    return page.locator("#failure-list tbody > tr:not(.below)")


def open_failures(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Failures").click()


def test_a_redrive_asks_for_all_that_it_replays_shown_or_not(page: Page) -> None:
    one, two = parked("F", 1, "a", 3), parked("F", 2, "b", 4)
    open_failures(page)
    for key in (one, two):
        page.get_by_label(f"Select {key}").check()

    page.locator("#failure-text").fill(two)
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_label(f"Select {one}")).to_have_count(0)
    page.get_by_role("button", name="Redrive 2 selected").click()

    expect(page.locator("#confirm-question")).to_have_text("Replay 7 records through their functions?")


def test_only_these_are_those_of_the_groups_function(page: Page) -> None:
    mine = parked("F", 1, "same", 1)
    other = parked("G", 2, "same", 1)
    put(f"{DISCARDED}3.json", {"reason": "same", "payload": {"Records": [{"eventID": "3"}]}})
    open_failures(page)
    groups = page.locator("#failure-groups tbody tr")
    expect(groups).to_have_count(3)

    for name, key in (("F", mine), ("G", other), ("not known", f"{DISCARDED}3.json")):
        groups.filter(has=page.get_by_role("cell", name=name, exact=True)).get_by_text("Only these").click()
        expect(rows(page)).to_have_count(1)
        expect(page.get_by_label(f"Select {key}")).to_be_visible()
        expect(groups.get_by_text("Show all")).to_have_count(1)

    groups.get_by_text("Show all").click()
    expect(rows(page)).to_have_count(3)


def test_when_the_last_of_the_chosen_group_is_gone_the_others_are_shown(page: Page) -> None:
    mine = parked("F", 1, "same", 1)
    parked("G", 2, "other", 1)
    open_failures(page)
    page.get_by_role("button", name="Only same, function F").click()
    expect(rows(page)).to_have_count(1)

    boto3.client("s3").delete_object(Bucket=BUCKET, Key=mine)
    page.get_by_role("button", name="Reload").locator("visible=true").click()

    expect(page.get_by_label(f"Select {mine}")).to_have_count(0)
    expect(rows(page)).to_have_count(1)


def log_lines(*texts: str) -> None:
    """Write lines to the log of the function that the page shows first."""
    boto3.client("logs").put_log_events(
        logGroupName=f"/aws/lambda/{PROCESS}",
        logStreamName=LOG_STREAM,
        logEvents=[{"timestamp": int(time.time() * 1000), "message": text} for text in texts],
    )


def test_the_log_says_that_older_lines_are_left_out_for_as_long_as_they_are(page: Page) -> None:
    note, log = page.locator("#log-note"), page.locator("#log li")
    expect(note).to_have_text(re.compile(r"^No lines since \d+:\d\d:\d\d$"))
    log_lines("first")
    expect(log).to_have_count(1)
    expect(note).to_have_text(re.compile(r"^Lines since \d+:\d\d:\d\d$"))

    log_lines(*(f"line {number}" for number in range(300)))

    expect(log.first).to_contain_text("line 299")
    expect(log).to_have_count(300)
    expect(note).to_have_text("Newest lines; older ones are left out")
    log_lines("last")
    expect(log.first).to_contain_text("last")
    expect(note).to_have_text("Newest lines; older ones are left out")
    page.get_by_label("Only lines that contain").fill("last")
    expect(note).to_have_text(re.compile("^Lines that match since"))
    page.get_by_label("Follow").uncheck()
    expect(note).to_have_text(re.compile(r"^Lines that match since \d+:\d\d:\d\d until \d+:\d\d:\d\d$"))


@pytest.mark.parametrize("username", ["x" * 300_000, b"\xff", {b"\xff"}, ["list"]])
def test_a_record_whose_user_can_have_no_total_is_edited_and_deleted(page: Page, username: Any) -> None:
    records = boto3.resource("dynamodb").Table("GameScoreRecords")
    records.put_item(Item={"RecordID": 7, "Username": username, "Score": 1})
    page.get_by_role("navigation").get_by_role("link", name="Tables").click()

    page.get_by_role("button", name="Edit record 7").click()
    page.get_by_label("Score", exact=True).fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#announcer")).to_have_text("Record 7 is saved.")
    assert records.scan()["Items"] == [{"RecordID": 7, "Username": username, "Score": 2}]

    page.get_by_role("button", name="Delete record 7").click()
    assert len(page.locator("#confirm-question").inner_text()) < 200
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#announcer")).to_have_text("Record 7 is deleted.")
    assert records.scan()["Items"] == []
    expect(page.locator("#followed li")).to_have_count(0)


def test_a_new_username_that_is_too_long_is_refused_with_the_reason(page: Page) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Tables").click()

    for label, value in (("RecordID", "7"), ("Username", "x" * 100_000), ("Score", "1")):
        page.locator("#record").get_by_label(label).fill(value)
    page.get_by_role("button", name="Add", exact=True).click()

    expect(page.locator("#record-error")).to_have_text("Username is too long for a key")


def measure(namespace: str, dimension: str, name: str, metrics: dict[str, float]) -> None:
    """Put metrics of the last two minutes that CloudWatch can be expected to have."""
    now = datetime.now(UTC)
    boto3.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": dimension, "Value": name}],
                "Timestamp": now - timedelta(minutes=minutes),
                "Value": value,
            }
            for metric, value in metrics.items()
            for minutes in (1, 2)
        ],
    )


def test_a_function_that_fails_on_every_record_is_seen_at_a_glance(visit: Visit, link: str) -> None:
    nothing = dict.fromkeys(("Applied", "Duplicates", "Outdated", "Folded", "Parked"), 0.0)
    measure("AWS/Kinesis", "StreamName", STREAM, {"IncomingRecords": 48})
    for function, lag, counts in (
        (PROCESS, 100.0, {"Stored": 48.0, "Failed": 0.0}),
        (AGGREGATE, 52_000.0, {"Records": 48.0, "Failed": 48.0}),
    ):
        measure("AWS/Lambda", "FunctionName", function, {"IteratorAge": lag, "Errors": 0})
        measure(NAMESPACE, "FunctionName", function, nothing | counts)

    page = visit(link)

    expect(page.locator("#verdict")).to_have_text("✗ Failing")
    expect(page).to_have_title("dev: failing")
    reasons = page.locator("#reasons li")
    expect(reasons).to_have_count(1)
    expect(reasons).to_have_text(
        f"{AGGREGATE}: 96 records failed and are delivered again; none of 96 delivered records was finished "
        "Runbook: records-failed"
    )
    failing, well = page.locator(f"#node-{AGGREGATE}"), page.locator(f"#node-{PROCESS}")
    bad = page.locator("#verdict").evaluate("(verdict) => getComputedStyle(verdict).color")
    expect(failing).to_contain_text("! failing")
    expect(failing).to_have_css("border-left-color", bad)
    expect(failing.locator(".state")).to_have_css("color", bad)
    expect(well).not_to_have_css("border-left-color", bad)
    with page.expect_popup() as opened:
        reasons.get_by_role("link", name="Runbook").click()
    expect(opened.value.get_by_role("heading", name="records-failed")).to_be_in_viewport()
    reasons.get_by_role("link", name="96 records failed").click()
    expect(page.get_by_label(AGGREGATE, exact=True)).to_be_checked()
    expect(page.get_by_role("heading", name="Log", exact=True)).to_be_visible()


def test_functions_and_tables_that_were_added_are_shown_beside_the_pipeline(
    visit: Visit, link: str, outputs: dict[str, Any]
) -> None:
    role = boto3.client("iam").get_role(RoleName="r")["Role"]["Arn"]
    stream = outputs["functions"][PROCESS]["event_source_arn"]
    outputs["functions"]["KeepHighScores"] = function("KeepHighScores", role, stream)
    outputs["tables"]["HighScores"] = table("HighScores", "Username", "S")

    page = visit(link)

    others = page.get_by_role("list", name="Other functions and tables").get_by_role("listitem")
    expect(others).to_have_count(2)
    expect(others.nth(0)).to_contain_text("active")
    expect(others.nth(0)).to_contain_text("mapping enabled, lag: nothing delivered lately")
    expect(others.nth(1)).to_contain_text("active")
    others.get_by_role("link", name="HighScores").nth(1).click()
    expect(page).to_have_url(re.compile("#tables/HighScores$"))


def test_what_is_shown_grows_old_while_a_look_hangs_though_the_server_answers(
    visit: Visit, link: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def hang(*arguments: Any, **options: Any) -> Status:
        goes_on.wait(60)
        return status(*arguments, **options)

    for name in ("_EVERY_AWS", "_RESOURCES_EVERY_AWS"):
        monkeypatch.setattr(flow, name, 1.0)
    page = visit(link)
    expect(page).to_have_title("dev: idle")
    monkeypatch.setattr(flow, "status", hang)

    try:
        expect(page.get_by_role("alert")).to_contain_text("No news. What is shown is of")
        expect(page).to_have_title("? dev: no news")
    finally:
        goes_on.set()
    expect(page.get_by_role("alert")).to_be_empty()
    expect(page).to_have_title("dev: idle")
