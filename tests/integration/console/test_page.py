"""For everybody, under load, and when something is gone."""

import json
import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from scripts.deploy import state_bucket
from tests.integration.console.conftest import Console, FixedConnection, Visit, console_of
from tests.integration.console.test_panels import records
from tests.integration.deployment import System
from tests.integration.faults import proxy, set_rules

PANELS = ("Functions", "Tables", "Stream", "Failures", "Reconcile")
PHONE = {"width": 360, "height": 740}
BIG, ITEMS = "console-big", 100_000


def ready(page: Page) -> Page:
    expect(page.locator("#verdict")).not_to_have_text("Looking ...")
    return page


def open_panel(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name=name, level=2)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1360, "height": 900}, PHONE], ids=["desktop", "phone"])
def test_no_panel_has_a_serious_barrier_and_none_is_wider_than_the_screen(
    system: System, console: Console, visit: Visit, pictures: Path, scheme: str, viewport: dict[str, int]
) -> None:
    page = ready(visit(console.link, viewport=viewport, color_scheme=scheme))
    page.get_by_label("ProcessKinesisRecords", exact=True).check()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_role("region", name="Result of the test")).to_contain_text("Succeeded")
    expect(page.locator("#charts figure").first).to_be_visible()
    found = {}

    for panel in PANELS:
        open_panel(page, panel)
        if panel == "Tables":
            expect(page.locator("#items-note")).to_contain_text("Page 1")
        if panel == "Stream":
            expect(page.locator("#recent-note")).to_contain_text("record")
        results = Axe().run(page).response["violations"]
        found[panel] = [
            (each["id"], [node["target"] for node in each["nodes"]])
            for each in results
            if each["impact"] in {"serious", "critical"}
        ]
        page.screenshot(path=pictures / f"{panel.lower()}-{scheme}-{viewport['width']}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"], panel

    assert found == {panel: [] for panel in PANELS}


def test_a_record_is_added_and_deleted_with_the_keyboard_alone(system: System, console: Console, visit: Visit) -> None:
    page = ready(visit(console.link))

    def focus(selector: str, back: bool = False) -> None:
        """Tab on until this is focused, as somebody would who sees where they are."""
        target = page.locator(selector)
        for _ in range(200):  # a row of the table has three stops
            if target.evaluate("element => element === document.activeElement"):
                outline = target.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline != "none", f"{selector} does not show that it is focused"
                return
            page.keyboard.press("Shift+Tab" if back else "Tab")
        pytest.fail(f"no way to {selector} with Tab")

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    focus('nav a[href="#tables"]')
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Tables", level=2)).to_be_visible()

    with records(system, 7_000_020):
        focus("#record-id")
        for text in ("7000020", "console keys", "5"):
            page.keyboard.type(text)
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#followed")).to_contain_text("console keys: 5, records: 1")
        expect(page.locator("#announcer")).to_have_text("Record 7000020 is saved.")

        focus("#lookup-key", back=True)
        page.keyboard.type("7000020")
        page.keyboard.press("Enter")
        focus('button[aria-label="Delete record 7000020"]')
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("button", name="No", exact=True)).to_be_focused()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#announcer")).to_have_text("Record 7000020 is deleted.")


def test_the_first_content_is_there_within_a_second_and_nothing_moves_for_who_wants_that(
    system: System, console: Console, visit: Visit
) -> None:
    page = visit(console.link, reduced_motion="reduce")
    expect(page.get_by_role("heading", name="Pipeline")).to_be_visible()

    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < 1000
    ready(page)
    boto3.client("kinesis").put_record(StreamName=system.outputs["stream"]["name"], PartitionKey="1", Data=b"moves")
    expect(page.locator("#arrow-read")).to_have_class(re.compile("moving"))
    expect(page.locator("#arrow-read .dashes")).to_have_css("animation-name", "none")


@contextmanager
def big_table() -> Iterator[str]:
    """A table of score records that no function reads, with a hundred thousand items; gives its name."""
    dynamodb: Any = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName=BIG,
        KeySchema=[{"AttributeName": "RecordID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "RecordID", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def write(first: int) -> None:
        items = (
            {"RecordID": {"N": str(n)}, "Username": {"S": f"u{n % 99}"}, "Score": {"N": "1"}}
            for n in range(first, first + 25)
        )
        dynamodb.batch_write_item(RequestItems={BIG: [{"PutRequest": {"Item": item}} for item in items]})

    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(0, ITEMS, 25)))
        yield BIG
    finally:
        dynamodb.delete_table(TableName=BIG)


def test_it_stays_responsive_with_a_hundred_thousand_items_and_a_busy_stream(system: System, visit: Visit) -> None:
    with big_table() as table, system.start("put_events", "--n", "100000", "--rate", "200") as producer:
        tables = {
            **system.outputs["tables"],
            "GameScoreRecords": {**system.outputs["tables"]["GameScoreRecords"], "name": table},
        }
        connection = FixedConnection(system.stage, "000000000000", {**system.outputs, "tables": tables})
        try:
            with console_of(connection, writes=True) as link:
                page = visit(link, "Tables")
                expect(page.locator("#items-note")).to_have_text("Page 1, 25 items")
                page.evaluate(
                    """() => {
                        window.began = performance.now();
                        window.longest = 0;
                        new PerformanceObserver((list) => {
                            for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
                        }).observe({type: "longtask"});
                    }"""
                )

                seen: set[str] = set()
                for number in range(2, 10):
                    seen |= set(page.locator("#items tbody td:nth-child(2)").all_inner_texts())
                    page.get_by_role("button", name="Next page").click()
                    expect(page.locator("#items-note")).to_have_text(f"Page {number}, 25 items")
                page.get_by_role("region", name="Items").first.get_by_label("RecordID").fill(str(ITEMS - 1))
                page.get_by_role("button", name="Look up").click()
                expect(page.get_by_role("cell", name=str(ITEMS - 1), exact=True)).to_be_visible()
                open_panel(page, "Stream")
                rows = page.locator("#recent tbody tr")
                expect(rows.nth(199)).to_be_attached()
                first = rows.first.inner_text()
                expect(rows.first).not_to_have_text(first)
                open_panel(page, "Functions")
                expect(page.locator("#log li").nth(100)).to_be_attached()
                expect(page.locator("#arrow-read")).to_contain_text(re.compile(r"\d{2,}/s"))

                assert len(seen) == 200, "each page has its own items"
                assert rows.count() == 200
                assert page.locator("#log li").count() <= 302
                took, longest = page.evaluate("[performance.now() - window.began, window.longest]")
                assert longest < 1000, "the page was deaf for a second"
                assert took < 40_000
        finally:
            producer.send_signal(signal.SIGINT)
            producer.communicate(timeout=20)


def test_when_the_server_was_started_again_the_page_asks_for_its_link_and_goes_on_with_it(
    system: System, visit: Visit
) -> None:
    console = Console(system)
    console.start()
    page = ready(visit(console.link))
    assert console.stop() == (0, "")

    expect(page.get_by_role("alert")).to_contain_text("The console is gone. The console's server does not answer.")
    expect(page).to_have_title("? local: the console is gone")

    console.start()
    try:
        link = console.link
        expect(page.get_by_role("alert")).to_contain_text("Open the link that make console printed last")
        page.goto(link)
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
        expect(page.get_by_role("alert")).to_be_empty()
    finally:
        console.stop()


def test_a_server_that_hangs_shows_within_seconds_and_so_does_its_end(system: System, visit: Visit) -> None:
    console = Console(system)
    console.start()
    try:
        page = ready(visit(console.link))
        os.kill(console.pid, signal.SIGSTOP)
        try:
            expect(page.get_by_role("alert")).to_contain_text("What is shown is of", timeout=14_000)
            expect(page).to_have_title(re.compile(r"^\? local: "))
            expect(page.locator("body")).to_have_class(re.compile("stale"))
            expect(page.get_by_role("alert")).to_contain_text("has not answered for 10 seconds")
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            expect(page.get_by_role("alert")).to_be_in_viewport()
        finally:
            os.kill(console.pid, signal.SIGCONT)

        expect(page.get_by_role("alert")).to_be_empty()
        expect(page).to_have_title(re.compile(r"^local: "))
    finally:
        console.stop()


def test_a_cloud_that_hangs_shows_within_seconds_and_so_does_its_end(
    system: System, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(system, tmp_path, []) as url:
        monkeypatch.setenv("LOCAL_PORT", url.rpartition(":")[2])
        console = Console(system)
        console.start()
        try:
            page = ready(visit(console.link))
            set_rules(url, [{"timeout_ms": 120_000}])

            expect(page.get_by_role("alert")).to_contain_text("What is shown is of", timeout=16_000)
            expect(page).to_have_title(re.compile(r"^\? local: "))

            set_rules(url, [])
            expect(page.get_by_role("alert")).to_be_empty(timeout=40_000)
        finally:
            console.stop()


def test_when_the_credentials_expire_the_page_says_how_to_log_in_and_recovers(
    system: System, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(system, tmp_path, []) as url:
        monkeypatch.setenv("LOCAL_PORT", url.rpartition(":")[2])
        console = Console(system)
        console.start()
        try:
            page = ready(visit(console.link))
            set_rules(
                url,
                [{"service": service, "error": {"code": "ExpiredToken", "status": 403}} for service in ("sts", "s3")],
            )

            expect(page.get_by_role("alert")).to_contain_text("Logged out. AWS does not accept the credentials")
            expect(page.get_by_role("alert")).to_contain_text("aws sso login")

            set_rules(url, [])
            expect(page.get_by_role("alert")).to_be_empty()
        finally:
            console.stop()


def test_a_page_that_is_open_during_a_destroy_and_a_deploy_follows_both(
    system: System, console: Console, visit: Visit
) -> None:
    """With every state that Terraform wrote while this system was deployed, in its order."""
    s3 = boto3.client("s3")
    state: Any = {"Bucket": state_bucket.name(system.stage, system.stage.account()), "Key": system.stage.state_key}
    before = s3.get_object(**state)["Body"].read()
    written = [
        s3.get_object(**state, VersionId=each["VersionId"])["Body"].read()
        for each in reversed(s3.list_object_versions(Bucket=state["Bucket"], Prefix=state["Key"])["Versions"])
        if each["Key"] == state["Key"]
    ]
    partial = [each for each in written if json.loads(each)["outputs"] and not is_complete(each)]
    assert partial, "no state of a deploy that was under way"
    page = ready(visit(console.link, "Tables"))
    try:
        # As terraform destroy leaves it.
        s3.put_object(**state, Body=json.dumps({**json.loads(before), "outputs": {}, "resources": []}).encode())
        expect(page.get_by_role("alert")).to_contain_text(
            "Not deployed. Stage local is not deployed. Deploy it: make deploy"
        )
        for each in partial[-3:]:
            s3.put_object(**state, Body=each)
            expect(page.get_by_role("alert")).to_contain_text("Being deployed. Stage local is only partly deployed")
    finally:
        s3.put_object(**state, Body=before)

    expect(page.get_by_role("alert")).to_be_empty()
    expect(page.locator("#table-choice input")).to_have_count(len(system.outputs["tables"]))
    expect(page.locator("#items-note")).to_contain_text("Page 1")
    expect(page.locator("#verdict")).not_to_have_text("Looking ...")
    open_panel(page, "Functions")
    expect(page.locator("#function-choice input")).to_have_count(len(system.outputs["functions"]))


def is_complete(state: bytes) -> bool:
    """Whether a state has all outputs."""
    return "functions" in json.loads(state)["outputs"]
