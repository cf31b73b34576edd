"""Who may ask the console for what."""

from collections.abc import Callable

import pytest

from scripts.console.app import STATIC
from scripts.console.guard import EXCHANGE
from scripts.console.session import NONCE_HEADER, PROOF_HEADER, SIGNATURE_HEADER, Session
from scripts.console.views import HARMLESS
from scripts.deployment import Deployed, NotDeployedError
from tests.unit.scripts.console.conftest import PORT, ConsoleClient

Serve = Callable[..., ConsoleClient]
READING = {"GET", "HEAD", "OPTIONS"}


def routes(page: ConsoleClient) -> list[tuple[str, str, str]]:
    """Each method and path that the console knows, with its name."""
    return [
        (
            method,
            str(rule)
            .replace("<name>", "AggregateScoresByUser")
            .replace("<key>", "1")
            .replace("<table>", "GameScoreRecords"),
            rule.endpoint,
        )
        for rule in page.client.application.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


@pytest.fixture
def page(serve: Serve) -> ConsoleClient:
    return serve(NotDeployedError("Stage dev is not deployed"))


def test_the_page_itself_is_answered(page: ConsoleClient) -> None:
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
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(page: ConsoleClient, headers: dict[str, str]) -> None:
    for path in ("/", "/static/main.js", "/api/about"):
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
def test_another_page_is_refused_even_with_the_token(page: ConsoleClient, headers: dict[str, str]) -> None:
    for method, path, _ in routes(page):
        if path.startswith("/api/") and method != "OPTIONS":
            answer = page.ask(method, path, headers, json={} if method not in READING else None)
            assert answer.status_code == 403, (method, path)
            assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("sent", ["", "wrong", "0" * 64, "t\u00f6ken"])
def test_no_api_route_answers_without_a_signature(page: ConsoleClient, sent: str) -> None:
    for method, path, _ in routes(page):
        if path.startswith("/api/") and path != EXCHANGE:
            headers = {SIGNATURE_HEADER: sent.encode().decode("latin-1")}
            answer = page.ask(method, path, headers, json={} if method not in READING else None)
            assert answer.status_code == 403, (method, path)
            assert PROOF_HEADER not in answer.headers
            if method not in {"HEAD", "OPTIONS"}:
                assert answer.json is not None
                assert answer.json["kind"] == "key"


def test_a_signature_is_of_one_method_one_address_and_one_nonce(page: ConsoleClient) -> None:
    nonce = "0123456789abcdef"
    signature = page.session.signature("GET", "/api/about", nonce)
    signed = {NONCE_HEADER: nonce, SIGNATURE_HEADER: signature}

    assert page.ask("DELETE", "/api/records/1", signed, json={}).status_code == 403
    assert page.ask("GET", "/api/about?more=1", signed).status_code == 403
    assert page.ask("GET", "/api/about", signed | {NONCE_HEADER: "f" * 16}).status_code == 403
    assert page.ask("GET", "/api/about", signed).status_code == 200


def test_a_request_that_somebody_recorded_is_not_answered_again(page: ConsoleClient) -> None:
    nonce = "0123456789abcdef"
    signed = {NONCE_HEADER: nonce, SIGNATURE_HEADER: page.session.signature("GET", "/api/about", nonce)}
    assert page.ask("GET", "/api/about", signed).status_code == 200

    assert page.ask("GET", "/api/about", signed).status_code == 403


def test_the_last_20_000_nonces_are_remembered_and_no_more() -> None:
    session = Session()

    assert all(session.is_first(str(nonce)) for nonce in range(20_000))
    assert not any(session.is_first(str(nonce)) for nonce in range(20_000))
    assert session.is_first("another")
    assert not session.is_first("1")
    assert session.is_first("0")


def test_each_answer_proves_that_it_comes_from_the_console(page: ConsoleClient) -> None:
    nonce = "0123456789abcdef"
    signature = page.session.signature("GET", "/api/nothing", nonce)

    answer = page.ask("GET", "/api/nothing", {NONCE_HEADER: nonce, SIGNATURE_HEADER: signature})

    assert (answer.status_code, answer.headers[PROOF_HEADER]) == (404, page.session.proof(nonce))


def test_the_code_of_a_link_works_once(page: ConsoleClient) -> None:
    code = page.session.code

    first = page.ask("POST", EXCHANGE, json={"code": code})
    second = page.ask("POST", EXCHANGE, json={"code": code})

    assert first.json is not None
    assert second.json is not None
    assert (first.status_code, len(first.json["key"]) >= 43) == (200, True)
    assert (second.status_code, second.json["kind"]) == (403, "code")
    assert page.session.code != code, "the next browser gets a link of its own"


@pytest.mark.parametrize("code", ["", "guess", "\ud800", 7, None])
def test_a_code_that_is_guessed_opens_nothing(page: ConsoleClient, code: object) -> None:
    answer = page.ask("POST", EXCHANGE, json={"code": code})

    assert answer.status_code in {400, 403}
    assert "key" not in (answer.json or {})


def test_another_page_cannot_use_the_code_even_if_it_knew_it(page: ConsoleClient) -> None:
    answer = page.ask("POST", EXCHANGE, {"Origin": "https://evil.example"}, json={"code": page.session.code})

    assert answer.status_code == 403


def test_a_key_is_new_at_each_start() -> None:
    first, second = Session(), Session()

    assert first.exchange(first.code) != second.exchange(second.code)


def test_a_service_worker_that_somebody_left_behind_removes_itself(page: ConsoleClient) -> None:
    answer = page.ask("GET", "/any/worker.js", {"Service-Worker": "script"})

    assert (answer.status_code, answer.mimetype) == (200, "text/javascript")
    assert "unregister" in answer.text


def test_a_console_that_only_looks_refuses_every_route_that_could_change_anything(
    serve: Serve, deployment: Deployed
) -> None:
    page = serve(deployment, writes=False)
    changing = [
        (method, path)
        for method, path, name in routes(page)
        if method not in READING and name not in HARMLESS and path != EXCHANGE
    ]

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


def test_a_change_is_sent_as_json_which_no_form_of_another_page_can(page: ConsoleClient) -> None:
    answer = page.ask("POST", "/api/records", data="RecordID=1", content_type="text/plain")

    assert answer.status_code == 415


def test_the_page_may_load_and_send_nothing_elsewhere_and_nobody_may_frame_it(page: ConsoleClient) -> None:
    for path in ("/", "/static/console.css", "/api/about", "/nothing-here"):
        headers = page.ask("GET", path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "worker-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_no_file_beside_the_page_is_served(page: ConsoleClient) -> None:
    for path in ("/static/../guard.py", "/static/%2e%2e/guard.py", "/static//etc/passwd"):
        assert page.ask("GET", path).status_code in {404, 308}


def test_the_page_names_no_other_host() -> None:
    for file in STATIC.glob("*.*"):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file


def test_what_is_vendored_comes_with_its_licence_and_version() -> None:
    for folder in (STATIC / "vendor").iterdir():
        assert "Permission is hereby granted" in (folder / "LICENSE").read_text()
        assert "(v1.6.32)" in next(folder.glob("*.esm.js")).read_text()[:500]
