"""Whose stage it is, who may change it, and that no other page can."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest
from flask import Flask, Response, jsonify, request
from playwright.sync_api import Page, expect

from scripts.console.session import Session
from tests.acceptance.test_system import total
from tests.integration.console.conftest import (
    CODE,
    Console,
    FixedConnection,
    Visit,
    console_app,
    console_of,
    served,
)
from tests.integration.deployment import System
from tests.waiting import eventually, free_port

ACCOUNT = "123456789012"


def connection_of(system: System, stage: str) -> FixedConnection:
    """The system, as if it were another stage."""
    return FixedConnection(replace(system.stage, name=stage), ACCOUNT, system.outputs)


def fetched(page: Page, method: str, path: str, body: Any = None) -> Any:
    """What the server answers a request of the page's own, signed with its key."""
    return page.evaluate(
        """async ([method, path, body]) => {
            const {ask} = await import("/static/api.js");
            return ask(method, path.replace("/api/", ""), body ?? undefined).catch(({kind}) => ({kind}));
        }""",
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
        expect(page).to_have_title(re.compile(f"^{stage}: (idle|flowing|failing|behind|blocked)$"))


def test_a_console_that_only_looks_offers_no_change_and_takes_none(system: System, visit: Visit) -> None:
    with console_of(connection_of(system, "dev"), writes=False) as link:
        page = visit(link, "Tables")
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
        expect(page.locator("#items-note")).to_contain_text("Page 1")

        offered = page.locator("button.writing, #items tbody button:not(.opener), #redrive-selected")
        assert offered.count() >= 4
        assert [each for each in offered.all() if each.is_enabled()] == []
        expect(page.locator(".read-only:visible")).to_contain_text("Stage dev is read-only here")
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


ATTACK = """async ([url, code]) => {
    const record = JSON.stringify({RecordID: "7000011", Username: "console victim", Score: "1"});
    const json = {"Content-Type": "application/json"};
    const tries = [
        () => fetch(url + "api/about").then((answer) => answer.text()),
        () => fetch(url + "api/session", {method: "POST", body: JSON.stringify({code}), headers: json})
            .then((answer) => answer.text()),
        () => fetch(url + "api/records", {method: "POST", body: record, headers: json}).then((answer) => answer.text()),
        () => fetch(url).then((answer) => answer.text()),
    ];
    const read = [];
    for (const attempt of tries) await attempt().then((text) => read.push(text), () => {});
    for (const path of ["api/records", "api/repair"])
        await fetch(url + path, {method: "POST", mode: "no-cors", body: record}).catch(() => {});
    return read;
}"""


def test_another_page_in_the_same_browser_cannot_drive_it_even_if_it_knew_the_code(
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

        read = attacker.evaluate(ATTACK, [link.partition("#")[0], link.partition(CODE)[2]])
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


def test_without_the_printed_link_nothing_is_shown_until_it_is_pasted_into_the_open_tab(
    console: Console, visit: Visit
) -> None:
    link = console.link
    page = visit(link.partition("#")[0])
    expect(page.get_by_role("alert")).to_contain_text("Open the link that make console printed last")
    expect(page.locator("#account")).to_have_text("...")

    page.goto(link)

    expect(page.locator("#verdict")).not_to_have_text("Looking ...")
    expect(page.get_by_role("alert")).to_be_empty()
    assert CODE not in page.url


def test_a_link_that_was_used_opens_no_second_browser_and_disturbs_no_open_page(console: Console, visit: Visit) -> None:
    link = console.link
    page = visit(link)
    expect(page.locator("#verdict")).not_to_have_text("Looking ...")

    other = visit(link)

    expect(other.get_by_role("alert")).to_contain_text("This link was used already")
    page.goto(f"{link.partition('#')[0]}{CODE}forged")
    expect(page.locator("#announcer")).to_contain_text("This link was used already")
    expect(page.get_by_role("alert")).to_be_empty()


def test_what_the_browser_sends_never_has_the_key(console: Console, visit: Visit) -> None:
    page = visit("about:blank")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(json.dumps([request.url, request.headers, request.post_data])))
    link = console.link

    page.goto(link)
    expect(page.locator("#verdict")).not_to_have_text("Looking ...")

    key = page.evaluate("localStorage.getItem('console-key')")
    assert len(key) >= 43
    assert len(sent) > 5
    assert [each for each in sent if key in each] == []
    assert CODE not in page.url
    assert all(f'["{link.partition("#")[0]}' in each for each in sent), "nothing from elsewhere"


def impostor(seen: list[str]) -> Callable[[int], Flask]:
    """Somebody who has taken the port: says yes to everything, and leaves a service worker behind."""

    def app_of(_: int) -> Flask:
        app = Flask("impostor")

        @app.route("/", defaults={"path": ""}, methods=["GET", "POST"])
        @app.route("/<path:path>", methods=["GET", "POST"])
        def answer(path: str) -> Response:
            seen.append(f"{request.full_path} {request.headers} {request.get_data(as_text=True)}")
            return jsonify(stage="local", writes=True, state="flowing", reasons=[], deployment="x")

        return app

    return app_of


def test_whoever_takes_the_port_learns_nothing_and_is_not_believed(system: System, visit: Visit) -> None:
    seen: list[str] = []
    port = free_port()
    session = Session()
    connection = connection_of(system, "local")
    with served(lambda _: console_app(connection, port, session, writes=True), port) as url:
        page = visit(f"{url}{CODE}{session.code}")
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
    expect(page.get_by_role("alert")).to_contain_text("The console is gone")

    with served(impostor(seen), port):
        expect(page.get_by_role("alert")).to_contain_text(
            "Something answers on the console's port that is not the console"
        )

        key = page.evaluate("localStorage.getItem('console-key')")
    assert len(seen) > 0
    assert [each for each in seen if key in each] == []


def test_a_service_worker_that_an_impostor_left_behind_is_gone_after_a_visit(system: System, visit: Visit) -> None:
    """On the same name, which a console that is started again does not have."""
    port = free_port()
    connection = connection_of(system, "local")

    def hostile(_: int) -> Flask:
        app = Flask("hostile")
        worker = "self.addEventListener('fetch', (event) => event.respondWith(new Response('mine')));"
        app.add_url_rule("/", view_func=lambda: Response("<title>Hostile</title>", mimetype="text/html"))
        app.add_url_rule("/worker.js", "worker", lambda: Response(worker, mimetype="text/javascript"))
        return app

    with served(hostile, port) as url:
        page = visit("about:blank")
        page.goto(url)
        page.evaluate(
            "navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => 1)"
        )
    session = Session()
    with served(lambda _: console_app(connection, port, session, writes=True), port) as url:

        def shows_the_console() -> bool:
            page.goto("about:blank")  # another fragment alone loads nothing
            page.goto(f"{url}{CODE}{session.code}")
            page.wait_for_timeout(3000)  # a browser asks for a worker's script again when the visit has come to rest
            return page.locator("#verdict").count() == 1

        eventually(shows_the_console, what="the console's own page")
        expect(page.locator("#verdict")).not_to_have_text("Looking ...")
        assert page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0
