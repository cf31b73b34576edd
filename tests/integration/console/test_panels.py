"""What one sees and does on the console's page, on the deployed system."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import boto3
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from handlers.shared.parking import parked_document, parked_key
from tests.acceptance.players import delivered_records
from tests.integration.console.conftest import Console, Visit
from tests.integration.deployment import System
from tests.waiting import eventually

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
RECORDS, TOTALS = "GameScoreRecords", "GameScoresByUser"


def table(system: System, name: str) -> Any:
    resource: Any = boto3.resource("dynamodb")
    return resource.Table(system.table(name))


def total(system: System, user: str) -> dict[str, Any]:
    return dict(table(system, TOTALS).get_item(Key={"Username": user}, ConsistentRead=True).get("Item", {}))


def put_score(system: System, record_id: int, user: str, score: int) -> None:
    event = {"RecordID": record_id, "Username": user, "Score": score}
    boto3.client("kinesis").put_record(
        StreamName=system.outputs["stream"]["name"], PartitionKey=str(record_id), Data=json.dumps(event).encode()
    )


@contextmanager
def records(system: System, *record_ids: int) -> Iterator[None]:
    """Score records of a test's own, which are gone and uncounted afterwards."""
    try:
        yield
    finally:
        users = set()
        for record_id in record_ids:
            gone = table(system, RECORDS).delete_item(Key={"RecordID": record_id}, ReturnValues="ALL_OLD")
            users.add(gone.get("Attributes", {}).get("Username"))
        for user in users - {None}:
            eventually(lambda user=user: total(system, user).get("RecordCount", 0) == 0, what=f"{user} without records")  # type: ignore[misc]


def answer(page: Page, yes: str) -> None:
    """Confirm what the page asks."""
    page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()


def cell(page: Page, text: str) -> Locator:
    return page.get_by_role("cell", name=text, exact=True)


def test_the_pipeline_is_drawn_from_left_to_right_and_a_glance_tells_that_it_flows(
    system: System, console: Console, visit: Visit
) -> None:
    page = visit(console.link)
    nodes = page.get_by_role("list", name="From the stream to the totals").get_by_role("heading")

    with records(system, 7_000_001):
        put_score(system, 7_000_001, "console flow", 1)

        expect(page.locator("#verdict")).to_have_text("● Flowing")
        for arrow, what in (("read", "read"), ("stored", "stored"), ("changes", "changes"), ("counted", "counted")):
            expect(page.locator(f"#arrow-{arrow}")).to_contain_text(re.compile(rf"/s.*[1-9][\d,]* {what} in 1 min"))
        expect(page.locator("#arrow-read")).to_have_class(re.compile("moving"))
    expect(nodes).to_have_text(
        [
            system.outputs["stream"]["name"],
            system.function(PROCESS),
            system.table(RECORDS),
            system.function(AGGREGATE),
            system.table(TOTALS),
            system.table("GameScoreLedger"),
            system.outputs["failure_bucket"],
        ]
    )
    lefts = [box["x"] for box in (each.bounding_box() for each in nodes.all()[:5]) if box]
    assert lefts == sorted(set(lefts))
    for function in (PROCESS, AGGREGATE):
        expect(page.locator(f"#node-{function}")).to_contain_text(
            re.compile(r"mapping enabled, lag [\d.,]+ s, backlog about [\d,]+ record")
        )
    page.get_by_role("link", name=system.table("GameScoreLedger")).click()
    expect(page.get_by_label("GameScoreLedger", exact=True)).to_be_checked()
    expect(page.locator("#alarms")).to_contain_text("Alarms: ")


def test_a_mapping_that_is_disabled_is_seen_at_a_glance(system: System, console: Console, visit: Visit) -> None:
    page = visit(console.link)
    mapping = system.outputs["functions"][PROCESS]["mapping_uuid"]
    functions = boto3.client("lambda")
    try:
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)

        expect(page.locator("#verdict")).to_have_text("■ Blocked")
        expect(page.locator("#reasons")).to_contain_text(
            re.compile(f"{system.function(PROCESS)}: its event source mapping is Disabl")
        )
        expect(page.locator(f"#node-{PROCESS}")).to_have_attribute("data-how", "bad")
    finally:
        eventually(lambda: functions.get_event_source_mapping(UUID=mapping)["State"] == "Disabled", "it is disabled")
        functions.update_event_source_mapping(UUID=mapping, Enabled=True)
    expect(page.locator("#verdict")).not_to_have_text("■ Blocked")
    expect(page.locator(f"#node-{PROCESS}")).to_have_attribute("data-how", "good")


def test_a_function_is_tested_with_a_named_event(console: Console, visit: Visit) -> None:
    page = visit(console.link)
    page.get_by_label(PROCESS, exact=True).check()
    page.get_by_label("Event", exact=True).select_option("stream")
    expect(page.get_by_label("Its JSON")).to_have_value(re.compile("SGVsbG8sIHRoaXMg"))

    page.get_by_role("button", name="Test", exact=True).click()

    result = page.get_by_role("region", name="Result of the test")
    expect(result).to_contain_text("✓ Succeeded")
    expect(result).to_contain_text(re.compile(r"Duration[\d.,]+ ms"))
    expect(result).to_contain_text(re.compile(r"Memory configured\d+ MB"))
    expect(result).to_contain_text("Memory used")
    expect(result).to_contain_text('"batchItemFailures": []')
    expect(result).to_contain_text("Decoded payload: Hello, this is a test 123.")
    expect(page.get_by_role("button", name="Test", exact=True)).to_be_focused()


def test_a_test_says_before_what_it_changes_and_after_what_it_counted(console: Console, visit: Visit) -> None:
    page = visit(console.link)
    page.get_by_label(AGGREGATE, exact=True).check()
    expect(page.get_by_label("Event", exact=True).get_by_role("option")).to_have_text(
        ["batch", "delete", "poison", "score", "update", "My own"]
    )
    expect(page.locator("#test-effect")).to_contain_text("A test event is counted: totals change")
    page.get_by_label("Event", exact=True).select_option("delete")
    expect(page.get_by_label("Its JSON")).to_have_value(re.compile("REMOVE"))

    page.get_by_label("Its JSON").press("Control+Enter")

    result = page.get_by_role("region", name="Result of the test")
    expect(result).to_contain_text("✓ Succeeded")
    expect(result).to_contain_text(re.compile(r"CountedApplied \d+, Duplicates \d+"))
    expect(page.get_by_label("Its JSON")).to_be_focused()


def test_an_event_of_ones_own_is_checked_and_its_error_pointed_at(console: Console, visit: Visit) -> None:
    page = visit(console.link)
    event, button = page.get_by_label("Its JSON"), page.get_by_role("button", name="Test", exact=True)
    page.get_by_label(AGGREGATE, exact=True).check()

    event.fill('{\n  "Records": oops\n}')
    event.blur()
    expect(page.locator("#test-error")).to_contain_text("Not JSON: ")
    button.click()

    expect(page.locator("#test-error")).to_have_text(re.compile(r"The event is not JSON: .* \(line 2, column 14\)"))
    expect(event).to_have_attribute("aria-invalid", "true")
    expect(event).to_be_focused()
    assert event.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "o"

    event.fill("{}")
    button.click()

    result = page.get_by_role("region", name="Result of the test")
    expect(result).to_contain_text("! Returned, but its response reports the whole batch as failed")
    expect(result).not_to_contain_text("Succeeded")
    expect(result).to_contain_text("no list of Records")
    expect(page.get_by_label("Event", exact=True)).to_have_value("My own")
    expect(page.locator("#test-error")).to_have_text("")


def test_an_event_that_arrives_late_touches_neither_what_was_written_nor_its_error(
    console: Console, visit: Visit
) -> None:
    page = visit(console.link)
    event, error = page.get_by_label("Its JSON"), page.locator("#test-error")
    expect(event).to_have_value(re.compile("kinesis"))
    held: list[Route] = []
    page.route("**/api/events/*", lambda route: held.append(route))
    page.get_by_label(AGGREGATE, exact=True).check()
    event.fill("oops")
    page.get_by_role("button", name="Test", exact=True).click()
    expect(error).to_contain_text("The event is not JSON: ")

    with page.expect_response("**/api/events/*"):
        held[0].continue_()
    page.evaluate("() => new Promise(requestAnimationFrame)")

    expect(error).to_contain_text("The event is not JSON: ")
    expect(event).to_have_value("oops")


def test_the_charts_show_the_chosen_range(system: System, console: Console, visit: Visit) -> None:
    system.command("invoke", "--function", PROCESS, "--event", "stream")
    page = visit(console.link)
    page.get_by_label(PROCESS, exact=True).check()

    titles = page.locator("#charts figcaption")
    for title in ("Invocations", "Errors", "Duration, average in ms", "IteratorAge, maximum in ms", "Failed", "Parked"):
        expect(titles.get_by_text(title, exact=True)).to_be_visible()
    chart = page.get_by_role("img", name=re.compile(rf"Invocations\. .*{PROCESS}: at most [1-9]"))
    expect(chart).to_be_visible()
    invocations = page.locator("#charts figure").filter(has_text="Invocations")
    invocations.get_by_text("Values").click()
    expect(invocations.get_by_role("listitem").nth(59)).to_be_attached()
    expect(page.locator("#charts-note")).to_contain_text("a point is a minute")

    page.get_by_label("Range").select_option("15m")

    expect(invocations.get_by_role("listitem").nth(17)).not_to_be_attached()
    expect(invocations.get_by_role("listitem").nth(14)).to_be_attached()
    page.get_by_label(AGGREGATE, exact=True).check()
    expect(chart).to_be_visible()  # the charts are of all functions, whichever is tested


def test_the_log_is_followed_through_a_filter(system: System, console: Console, visit: Visit) -> None:
    page = visit(console.link)
    page.get_by_label(PROCESS, exact=True).check()
    page.get_by_label("Only lines that contain").fill("WANTED by the console")
    log = page.get_by_role("log", name="Log lines, newest first")
    kinesis, stream = boto3.client("kinesis"), system.outputs["stream"]["name"]

    for data in ("unwanted by nobody", "wanted by the console, first"):
        kinesis.put_record(StreamName=stream, PartitionKey="1", Data=data.encode())
    expect(log.get_by_role("listitem")).to_have_text([re.compile("Decoded payload: wanted by the console, first")])
    kinesis.put_record(StreamName=stream, PartitionKey="1", Data=b"wanted by the console, then")

    lines = log.get_by_role("listitem")
    expect(lines).to_have_text([re.compile("then$"), re.compile("first$")])
    page.get_by_label("Follow").uncheck()
    kinesis.put_record(StreamName=stream, PartitionKey="1", Data=b"wanted by the console, paused")
    eventually(lambda: any("paused" in line for line in system.logged(PROCESS)), what="the line in the log")
    expect(lines).to_have_text([re.compile("then$"), re.compile("first$")])  # what was there stays, and no more comes

    page.get_by_label("Follow").check()

    expect(lines.first).to_have_text(re.compile("paused$"))


def test_a_record_is_added_edited_and_deleted_and_the_totals_follow(
    system: System, console: Console, visit: Visit
) -> None:
    page = visit(console.link, "Tables")
    form = page.get_by_role("region", name=re.compile("a score record|Edit record"))
    followed = page.locator("#followed")
    record_id, ann, bob = "7000002", "console ann", "console bob"

    with records(system, int(record_id)):
        form.get_by_label("RecordID").fill(record_id)
        form.get_by_label("Username").fill(ann)
        form.get_by_label("Score").fill("forty")
        form.get_by_role("button", name="Add").click()
        expect(form.locator("#record-error")).to_have_text("Score is not a number")

        form.get_by_label("Score").fill("40.5")
        form.get_by_role("button", name="Add").click()
        expect(followed).to_contain_text(f"{ann}: 40.5, records: 1 (was ")
        expect(page.locator("tr.saved")).to_contain_text(ann)

        page.get_by_role("region", name="Items").first.get_by_label("RecordID").fill(record_id)
        page.get_by_role("button", name="Look up").click()
        page.get_by_role("button", name=f"Edit record {record_id}").click()
        expect(form.get_by_label("Score")).to_have_value("40.5")
        form.get_by_label("Username").fill(bob)
        form.get_by_label("Score").fill("-2")
        form.get_by_role("button", name="Save").click()
        expect(followed).to_contain_text(f"{bob}: -2, records: 1 (was ")
        expect(followed).to_contain_text(re.compile(rf"{ann}: 0(\.0)?, records: 0 \(was 40\.5, records: 1\)"))

        page.get_by_role("button", name="Look up").click()
        delete = page.get_by_role("button", name=f"Delete record {record_id}")
        delete.click()
        answer(page, "No")
        expect(delete).to_be_visible()
        delete.click()
        answer(page, "Delete")
        expect(followed).to_contain_text(f"{bob}: 0, records: 0 (was -2, records: 1)")
        page.get_by_role("button", name="Look up").click()
        expect(page.get_by_role("region", name="Items", exact=True).last).to_contain_text(
            f"There is no item with RecordID {record_id}"
        )


def test_a_total_is_found_by_its_user_and_the_leaderboard_says_what_it_costs_first(
    system: System, console: Console, visit: Visit
) -> None:
    with records(system, 7_000_003):
        table(system, RECORDS).put_item(Item={"RecordID": 7_000_003, "Username": "console top", "Score": 10**15})
        eventually(lambda: total(system, "console top").get("Score") == 10**15, what="the total")
        page = visit(console.link, "Tables")

        page.get_by_label(TOTALS, exact=True).check()
        expect(page.locator("#lookup-label")).to_have_text("Username")
        page.get_by_label("Username").first.fill("console top")
        page.get_by_role("button", name="Look up").click()
        expect(cell(page, "console top")).to_be_visible()

        expect(page.locator("#board-cost")).to_have_text(re.compile(r"reads the whole table .* [\d,]+ read units?"))
        page.get_by_label("Users", exact=True).fill("1")
        page.get_by_role("button", name="Read the leaderboard").click()
        row = page.get_by_role("table", name="Leaderboard").get_by_role("row").nth(1)
        expect(row).to_have_text(f"1console top{10**15}1")


def test_an_event_is_put_into_the_stream_and_seen_decoded(system: System, console: Console, visit: Visit) -> None:
    page = visit(console.link, "Stream")
    recent = page.get_by_role("table", name="Recent records")

    page.get_by_label("Partition key").fill("console")
    page.get_by_label("Data").fill("Grüße from the console")
    page.get_by_role("button", name="Put").click()
    expect(recent.get_by_role("row").nth(1)).to_contain_text("Grüße from the console")
    boto3.client("kinesis").put_record(
        StreamName=system.outputs["stream"]["name"], PartitionKey="console", Data=b"\xff\xfe"
    )
    expect(recent.get_by_role("row").nth(1)).to_contain_text("2 bytes, not UTF-8: ff fe")
    page.locator("#recent-text").fill("grüße from")
    recent.get_by_role("button", name=re.compile("Open record")).first.click()
    expect(recent.locator("pre")).to_have_text("Grüße from the console")

    page.get_by_role("button", name="Make it a score event").click()
    expect(page.get_by_label("Data")).to_have_value(
        re.compile(r'^\{"RecordID": \d+, "Username": "ada", "Score": 42\}$')
    )


@contextmanager
def failure(system: System, reason: str, record: dict[str, Any]) -> Iterator[str]:
    """A parked record of the aggregator; gives its key. Neither it nor what became of it stays."""
    bucket, name = system.outputs["failure_bucket"], system.function(AGGREGATE)
    key = parked_key(name, record, 0)
    s3 = boto3.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=parked_document(name, record, reason).encode())
    try:
        yield key
    finally:
        for each in (key, f"redriven/{key}"):
            s3.delete_object(Bucket=bucket, Key=each)


def delivered(system: System, record_id: int) -> dict[str, Any]:
    """What the table's stream says of a record, under an event id of its own."""

    def found() -> dict[str, Any] | None:
        for each in delivered_records(system):
            if each["dynamodb"]["Keys"]["RecordID"] == {"N": str(record_id)}:
                return {**each, "eventID": uuid4().hex}
        return None

    return eventually(found, what=f"record {record_id} in the stream")


def test_failures_are_listed_with_reason_and_payload_and_redriven_one_or_all(
    system: System, console: Console, visit: Visit
) -> None:
    with records(system, 7_000_004):
        table(system, RECORDS).put_item(Item={"RecordID": 7_000_004, "Username": "console late", "Score": 3})
        eventually(lambda: total(system, "console late").get("Score") == 3, what="the total")
        first, second = delivered(system, 7_000_004), delivered(system, 7_000_004)
        with failure(system, "Parked by a test, one", first) as one, failure(system, "Parked by a test, all", second):
            page = visit(console.link, "Failures")
            item = page.locator("#failure-list tbody > tr:not(.below)").filter(has_text="Parked by a test, one")
            expect(item).to_contain_text(system.function(AGGREGATE))
            expect(item).to_contain_text('Username: "console late"')
            groups = page.get_by_role("table", name="Failures by reason")
            expect(groups).to_contain_text("Parked by a test, one")
            expect(page.locator("#reasons")).to_contain_text("wait in the failure bucket")
            page.get_by_role("button", name=f"Open {one}").click()
            expect(page.locator("#failure-list .below")).to_contain_text("Score: 3")

            page.get_by_label(f"Select {one}").check()
            button = page.get_by_role("button", name="Redrive 1 selected")
            button.click()
            answer(page, "No")
            expect(item).to_contain_text("waits")
            button.click()
            answer(page, "Redrive")
            expect(page.locator("#redrive")).to_contain_text("objects redriven 1.")
            expect(item).to_contain_text("redriven")
            page.get_by_role("button", name="Reload").locator("visible=true").click()
            expect(item).to_have_count(0)

            other = page.locator("#failure-list tbody > tr:not(.below)").filter(has_text="Parked by a test, all")
            expect(other).to_be_visible()
            page.get_by_role("button", name="Redrive all", exact=True).click()
            answer(page, "Redrive")
            expect(page.locator("#redrive")).to_contain_text(re.compile(r"objects .*redriven \d"))
            expect(other).to_contain_text("redriven")
        assert total(system, "console late")["Score"] == 3, "what was counted is not counted again"


def test_reconcile_shows_its_verdict_and_the_drift_that_it_repairs(
    system: System, console: Console, visit: Visit
) -> None:
    page = visit(console.link, "Reconcile")
    verdict = page.locator("#reconcile-verdict")
    page.get_by_label("Seconds between two looks").fill("1")

    with records(system, 7_000_005):
        table(system, RECORDS).put_item(Item={"RecordID": 7_000_005, "Username": "console drift", "Score": 3})
        eventually(lambda: total(system, "console drift").get("Score") == 3, what="the total")
        # What other tests have left is put right first.
        page.get_by_role("button", name="Repair").click()
        answer(page, "Repair")
        expect(verdict).to_have_text(re.compile(r"As of .*(No drift|in drift)"), timeout=60_000)
        repaired = verdict.inner_text()
        page.get_by_role("button", name="Check", exact=True).click()
        expect(verdict).not_to_have_text(repaired)
        expect(verdict).to_contain_text("No drift: every total is the sum over its records.", timeout=60_000)
        table(system, TOTALS).update_item(
            Key={"Username": "console drift"},
            UpdateExpression="ADD Score :five",
            ExpressionAttributeValues={":five": Decimal(5)},
        )

        page.get_by_role("button", name="Check", exact=True).click()
        expect(verdict).to_contain_text("1 user in drift, 0 repaired", timeout=60_000)
        row = page.get_by_role("table", name="What has drifted").get_by_role("row").nth(1)
        expect(row).to_contain_text("console drift")
        expect(row).to_contain_text("somebody else wrote it")

        page.get_by_role("button", name="Repair").click()
        answer(page, "Repair")
        expect(verdict).to_contain_text("1 user in drift, 1 repaired", timeout=60_000)
        assert total(system, "console drift")["Score"] == 3


@pytest.mark.parametrize("panel", ["Functions", "Tables", "Stream", "Failures", "Reconcile"])
def test_a_panel_has_an_address_of_its_own(console: Console, visit: Visit, panel: str) -> None:
    page = visit(console.link, panel)
    page.reload()

    expect(page.get_by_role("heading", name=panel, level=2)).to_be_visible()
    expect(page.get_by_role("navigation").get_by_role("link", name=panel)).to_have_attribute("aria-current", "page")
    assert "code" not in page.url
