"""Whatever is sent, and whatever lies in the stage, is answered: never with a fault of the console's own."""

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from scripts.console.visible import indented
from scripts.deployment import Deployed
from tests.unit.scripts.console.conftest import ConsoleClient
from tests.unit.scripts.console.test_guard import READING, routes

Serve = Callable[..., ConsoleClient]
DIGITS = "9" * 5000
DEEP = "[" * 100_000 + "]" * 100_000
VALUES = ["", "x", DIGITS, "-1", "1e400", "NaN", "\ud800", "\u202egnp.exe", "\x00", "a\nb", "0001-01-01", "9999-12-31"]
FIELDS = ("event", "key", "data", "RecordID", "Username", "Score", "pause", "keys", "code", "set", "read")
QUERIES = ("since", "filter", "limit", "after", "top", "key", "from", "text", "function", "reason")


def answered(page: ConsoleClient, method: str, path: str, **options: Any) -> int:
    answer = page.ask(method, path, **options)
    if method != "HEAD" and path.startswith("/api/"):
        json.loads(answer.text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    return answer.status_code


def api(page: ConsoleClient) -> list[tuple[str, str]]:
    """Each method and path of the API, but for those that start work in the background."""
    background = {"/api/redrive", "/api/reconcile", "/api/repair"}
    return [
        (method, path)
        for method, path, _ in routes(page)
        if path.startswith("/api/") and method != "OPTIONS" and (method in READING or path not in background)
    ]


@pytest.fixture
def page(serve: Serve, system: Deployed) -> ConsoleClient:
    return serve(system)


def test_no_value_of_a_query_is_a_fault(page: ConsoleClient, capsys: pytest.CaptureFixture[str]) -> None:
    reading = [path for method, path in api(page) if method == "GET"]
    everywhere = [dict.fromkeys(QUERIES, value) for value in VALUES if value != "\ud800"]  # an address cannot hold it
    alone = [{name: value} for name in QUERIES for value in (DIGITS, "0001-01-01")]

    statuses = {
        (path, str(sent)[:40]): answered(page, "GET", path, query_string=sent)
        for path in reading
        for sent in everywhere + alone
    }

    assert {each: status for each, status in statuses.items() if status >= 500 and status != 503} == {}
    assert "Traceback" not in capsys.readouterr().err


def test_no_value_in_a_body_is_a_fault(page: ConsoleClient, capsys: pytest.CaptureFixture[str]) -> None:
    changing = [(method, path) for method, path in api(page) if method not in READING and "test" not in path]
    values: list[Any] = [
        DIGITS,
        "\ud800",
        "\x00",
        None,
        True,
        [],
        {},
        1.5,
        {"Username": {"type": "S", "text": "\ud800"}},
    ]

    statuses = {
        (method, path, name, str(value)[:20].encode(errors="replace")): answered(page, method, path, json={name: value})
        for method, path in changing
        for name in FIELDS
        for value in values
    }

    assert {each: status for each, status in statuses.items() if status >= 500 and status != 503} == {}
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "body", [DIGITS, f'{{"pause": {DIGITS}}}', DEEP, '{"key": NaN}', "", "{", '"\\ud800"', b"\xff"]
)
def test_no_body_is_a_fault(page: ConsoleClient, capsys: pytest.CaptureFixture[str], body: str | bytes) -> None:
    for method, path in api(page):
        if method not in READING:
            answer = page.ask(method, path, data=body, content_type="application/json")
            assert answer.status_code == 400, (method, path)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("event", [DEEP, f'{{"Records": [{DIGITS}]}}', '{"Records": [NaN]}', "\ud800", "\x00"])
def test_no_test_event_is_a_fault(page: ConsoleClient, event: str) -> None:
    answer = page.ask("POST", "/api/functions/AggregateScoresByUser/test", json={"event": event})

    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"function": "F", "reason": "because", "payload": {"Records": [{"dynamodb": NaN}]}}',
        b'{"function": "F", "reason": NaN, "payload": {"Records": [NaN, 1, null]}}',
        b'{"function": "F", "reason": "\\ud800", "payload": {"Records": ["\\ud800"]}}',
        b'{"payload": ' + DEEP.encode() + b"}",
        b'{"payload": {"Records": [' + DIGITS.encode() + b"]}}",
        b'{"payload": {"Records": [{"kinesis": {"data": "%%%"}}, {"kinesis": {"data": 7}}, {"dynamodb": []}]}}',
        b"\xff\xfe",
    ],
)
def test_no_object_of_the_failure_bucket_spoils_the_panel(
    page: ConsoleClient, capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket="failures", Key="parked/F/2026-11-23/good.json", Body=b'{"reason": "good", "payload": {}}')
    s3.put_object(Bucket="failures", Key="parked/F/2026-11-23/bad.json", Body=body)

    listed = page.ask("GET", "/api/failures")
    opened = page.ask("GET", "/api/failures/document?key=parked/F/2026-11-23/bad.json")

    assert (listed.status_code, opened.status_code) == (200, 200)
    found = json.loads(listed.text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    assert len(found["failures"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_numbers_are_shown_as_they_were_written() -> None:
    text = '{"a":12345678901234567890,"b":[1.10,{}],"c":"x\\"{,","d":1e-400,"e":[]}'

    assert indented(text) == (
        '{\n  "a": 12345678901234567890,\n  "b": [\n    1.10,\n    {}\n  ],\n'
        '  "c": "x\\"{,",\n  "d": 1e-400,\n  "e": []\n}'
    )
    assert json.loads(indented(text)) == json.loads(text)


@pytest.mark.parametrize("text", ["", "not JSON", '"open', DEEP, "{,}"])
def test_what_is_not_json_is_shown_as_it_is(text: str) -> None:
    assert indented(text) == text
