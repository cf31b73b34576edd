"""Who may ask the console for what."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.console.app import HARMLESS
from scripts.console.guard import token
from scripts.deployment import Deployed, NotDeployedError
from tests.unit.scripts.console.conftest import PORT, TOKEN, Page

Serve = Callable[..., Page]
READING = {"GET", "HEAD", "OPTIONS"}


def routes(page: Page) -> list[tuple[str, str, str]]:
    """Each method and path that the console knows, with its name."""
    return [
        (method, str(rule).replace("<name>", "AggregateScoresByUser").replace("<key>", "1"), rule.endpoint)
        for rule in page.client.application.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


@pytest.fixture
def page(serve: Serve) -> Page:
    return serve(NotDeployedError("Stage dev is not deployed"))


def test_the_page_itself_is_answered(page: Page) -> None:
    answer = page.ask("GET", "/api/about")

    assert answer.status_code == 200
    assert answer.json is not None
    assert (answer.json["stage"], answer.json["outputs"]) == ("dev", None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": f"evil.example:{PORT}"},
        {"Host": "127.0.0.1"},
        {"Host": f"127.0.0.1:{PORT + 1}"},
        {"Host": f"127.0.0.1.evil.example:{PORT}"},
    ],
)
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(page: Page, headers: dict[str, str]) -> None:
    for path in ("/", "/page/main.js", "/api/about"):
        assert page.ask("GET", path, headers).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{PORT + 1}"},
        {"Origin": f"https://127.0.0.1:{PORT}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_another_page_is_refused_even_with_the_token(page: Page, headers: dict[str, str]) -> None:
    for method, path, _ in routes(page):
        if path.startswith("/api/") and method != "OPTIONS":
            answer = page.ask(method, path, headers, json={} if method not in READING else None)
            assert answer.status_code == 403, (method, path)
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("sent", ["", "wrong", TOKEN[:-1], TOKEN + "x", "t\u00f6ken"])
def test_no_api_route_answers_without_the_token(page: Page, sent: str) -> None:
    for method, path, _ in routes(page):
        if path.startswith("/api/"):
            headers = {"X-Console-Token": sent.encode().decode("latin-1")}
            answer = page.ask(method, path, headers, json={} if method not in READING else None)
            assert answer.status_code == 403, (method, path)
            if method not in {"HEAD", "OPTIONS"}:
                assert answer.json is not None
                assert answer.json["kind"] == "token"


def test_the_token_is_not_taken_from_the_address(page: Page) -> None:
    answer = page.ask("GET", f"/api/about?token={TOKEN}", {"X-Console-Token": ""})

    assert answer.status_code == 403


def test_a_console_that_only_looks_refuses_every_route_that_could_change_anything(
    serve: Serve, deployment: Deployed
) -> None:
    page = serve(deployment, writes=False)
    changing = [(method, path) for method, path, name in routes(page) if method not in READING and name not in HARMLESS]

    answers = {each: page.ask(*each, json={}) for each in changing}

    assert sorted(changing) == [
        ("DELETE", "/api/records/1"),
        ("POST", "/api/functions/AggregateScoresByUser/test"),
        ("POST", "/api/records"),
        ("POST", "/api/redrive"),
        ("POST", "/api/repair"),
        ("POST", "/api/stream"),
        ("PUT", "/api/records/1"),
    ]
    assert {each: answer.json and answer.json["kind"] for each, answer in answers.items()} == dict.fromkeys(
        changing, "read-only"
    )
    assert {name for _, _, name in routes(page)} >= HARMLESS


def test_a_change_is_sent_as_json_which_no_form_of_another_page_can(page: Page) -> None:
    answer = page.ask("POST", "/api/records", data="RecordID=1", content_type="text/plain")

    assert answer.status_code == 415


def test_the_page_may_load_and_send_nothing_elsewhere_and_nobody_may_frame_it(page: Page) -> None:
    for path in ("/", "/page/console.css", "/api/about", "/nothing-here"):
        headers = page.ask("GET", path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_file_beside_the_page_is_served(page: Page) -> None:
    for path in ("/page/../guard.py", "/page/%2e%2e/guard.py", "/page//etc/passwd"):
        assert page.ask("GET", path).status_code in {404, 308}


def test_the_page_names_no_other_host() -> None:
    folder = Path(__file__).parents[4] / "scripts" / "console" / "page"

    for file in folder.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file


def test_a_token_is_kept_for_a_console_that_is_started_again_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "console" / "dev.token"

    first = token(file)

    assert len(first) >= 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert token(file) == first


@pytest.mark.parametrize("spoil", ["age", "mode", "content"])
def test_a_token_that_is_old_or_was_open_to_others_is_made_anew(tmp_path: Path, spoil: str) -> None:
    file = tmp_path / "dev.token"
    first = token(file)
    if spoil == "age":
        os.utime(file, (time.time() - 13 * 60 * 60,) * 2)
    elif spoil == "mode":
        file.chmod(0o644)
    else:
        file.write_text("short")

    second = token(file)

    assert second not in {first, "short"}
    assert file.stat().st_mode & 0o777 == 0o600
