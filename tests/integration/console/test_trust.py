"""Whose stage it is, who may change it, and that no other page can."""

import json
from dataclasses import replace
from typing import Any

import boto3
import pytest
from flask import Flask, Response
from playwright.sync_api import Page, expect

from tests.acceptance.test_system import total
from tests.integration.console.conftest import TOKEN, Console, FixedConnection, Visit, console_of, served
from tests.integration.deployment import System

ACCOUNT = "123456789012"


def connection_of(system: System, stage: str) -> FixedConnection:
    """The system, as if it were another stage."""
    return FixedConnection(replace(system.stage, name=stage), ACCOUNT, system.outputs)


def fetched(page: Page, method: str, path: str, body: Any = None) -> Any:
    """What the server answers a request of the page's own, with its token."""
    return page.evaluate(
        """async ([method, path, body]) => (await fetch(path, {
            method,
            headers: {"X-Console-Token": localStorage.getItem("console-token"), "Content-Type": "application/json"},
            body: method === "GET" ? undefined : JSON.stringify(body),
        })).json()""",
        [method, path, body],
    )


@pytest.mark.parametrize(
    ("stage", "colour"), [("local", "rgb(10, 107, 71)"), ("dev", "rgb(255, 185, 56)"), ("prod", "rgb(176, 22, 22)")]
)
def test_the_page_says_in_words_and_in_colour_whose_it_is(
    system: System, visit: Visit, stage: str, colour: str
) -> None:
    with console_of(connection_of(system, stage), writes=stage == "local") as link:
        page = visit(link)

        expect(page.get_by_role("banner")).to_contain_text(f"Stage{stage}")
        expect(page.get_by_role("banner")).to_contain_text(f"Account{ACCOUNT}")
        expect(page.get_by_role("banner")).to_contain_text(f"Region{system.stage.region}")
        expect(page.get_by_role("banner")).to_contain_text("Writingon" if stage == "local" else "Writingoff")
        expect(page.get_by_role("banner")).to_have_css("background-color", colour)
        expect(page).to_have_title(f"{stage}: stream processing")


def test_a_console_that_only_looks_offers_no_change_and_takes_none(system: System, visit: Visit) -> None:
    with console_of(connection_of(system, "dev"), writes=False) as link:
        page = visit(link, "Tables")
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
        expect(page.locator("#items-note")).to_contain_text("Page 1")

        offered = page.locator("button.writing, #items tbody button, #failure-list button")
        assert offered.count() >= 4
        assert [each for each in offered.all() if each.is_enabled()] == []
        refused = fetched(page, "POST", "/api/records", {"RecordID": "7000010", "Username": "eve", "Score": "1"})
        assert refused["kind"] == "read-only"
        assert fetched(page, "GET", "/api/about")["writes"] is False

        page.get_by_role("link", name="Reconcile").click()
        page.get_by_label("Seconds between two looks").fill("0")
        page.get_by_role("button", name="Check", exact=True).click()
        expect(page.locator("#reconcile-verdict")).to_contain_text("drift", timeout=60_000)


def test_allow_writes_lets_another_stage_be_changed(system: System, visit: Visit) -> None:
    with console_of(connection_of(system, "dev"), writes=True) as link:
        page = visit(link)

        expect(page.get_by_role("banner")).to_contain_text("Writingon")
        expect(page.get_by_role("button", name="Test", exact=True)).to_be_enabled()


ATTACK = """async ([url, token]) => {
    const record = JSON.stringify({RecordID: "7000011", Username: "console victim", Score: "1"});
    const tries = [
        () => fetch(url + "api/about", {headers: {"X-Console-Token": token}}).then((answer) => answer.text()),
        () => fetch(url + "api/records", {method: "POST", body: record, headers: {
            "X-Console-Token": token, "Content-Type": "application/json"}}).then((answer) => answer.text()),
        () => fetch(url).then((answer) => answer.text()),
    ];
    const read = [];
    for (const attempt of tries) await attempt().then((text) => read.push(text), () => {});
    for (const path of ["api/records", "api/repair"])
        await fetch(url + path, {method: "POST", mode: "no-cors", body: record}).catch(() => {});
    return read;
}"""


def test_another_page_in_the_same_browser_cannot_drive_it_even_if_it_knew_the_token(
    system: System, visit: Visit
) -> None:
    def elsewhere(_: int) -> Flask:
        app = Flask("elsewhere")
        app.add_url_rule("/", view_func=lambda: Response("<title>Another page</title>", mimetype="text/html"))
        return app

    with console_of(connection_of(system, "local"), writes=True) as link, served(elsewhere) as other:
        page = visit(link)
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
        attacker = page.context.new_page()
        attacker.goto(other)

        read = attacker.evaluate(ATTACK, [link.partition("#")[0], TOKEN])
        attacker.evaluate(
            "url => { const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame); }",
            link,
        )

        assert read == []
        assert attacker.evaluate("localStorage.length") == 0
        expect(attacker.frame_locator("iframe").locator("#pipeline")).to_have_count(0)
        records = boto3.client("dynamodb").get_item(
            TableName=system.table("GameScoreRecords"), Key={"RecordID": {"N": "7000011"}}, ConsistentRead=True
        )
        assert "Item" not in records
        assert total(system, "console victim") is None
        assert fetched(page, "GET", "/api/about")["stage"] == "local", "the page itself still may"


def test_without_the_printed_link_nothing_is_shown(console: Console, visit: Visit) -> None:
    page = visit(console.link.partition("#")[0])

    expect(page.get_by_role("alert")).to_contain_text("Open the link that make console has printed")
    expect(page.locator("#account")).to_have_text("...")

    other = page.context.new_page()
    other.goto(console.link)

    expect(other.locator("#verdict")).not_to_have_text("Looking ...")
    expect(page.get_by_role("alert")).to_be_empty()  # the page that was open goes on, too


def test_the_token_leaves_the_browser_in_no_address(console: Console, visit: Visit) -> None:
    page = visit("about:blank")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(json.dumps([request.url, request.headers.get("referer", "")])))

    page.goto(console.link)
    expect(page.locator("#verdict")).not_to_have_text("Looking ...")

    secret = console.link.partition("#token=")[2]
    assert len(asked) > 5
    assert [each for each in asked if secret in each.replace(f"#token={secret}", "")] == []
    assert secret not in page.url
    assert all(each.startswith(f'["{console.link.partition("#")[0]}') for each in asked), "nothing from elsewhere"
