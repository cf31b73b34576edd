"""Log lines."""

import io
import json
from decimal import Decimal

import pytest
from hypothesis import example, given

from handlers.shared.log import BatchLog, rfc3339
from tests.property.strategies import any_text


def written(message: str, **fields: object) -> bytes:
    """What Lambda would get: the stream is strict UTF-8, as its standard output is."""
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors="strict", newline="")
    log = BatchLog("request", clock=lambda: 0, stream=stream)
    log.warning(message, **fields)
    log.write()
    return buffer.getvalue()


@given(any_text, any_text)
@example("\ud800", "\udfff")
def test_any_text_is_logged_as_one_line_of_json_that_reads_back_the_same(message: str, event_id: str) -> None:
    line = written(message, eventID=event_id)

    assert line.count(b"\n") == 1
    read = json.loads(line)
    assert json.dumps([read["message"], read["eventID"]]) == json.dumps([message, event_id])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_392_000.25, "2026-11-23T00:00:00.250Z"),
        (1_795_392_059.9999, "2026-11-23T00:00:59.999Z"),
    ],
)
def test_a_time_has_milliseconds(seconds: float, text: str) -> None:
    assert rfc3339(seconds) == text


@pytest.mark.parametrize("text", ["grüße", "\U0001f600", "\\ud800"])
def test_text_without_lone_surrogates_is_written_as_it_is(text: str) -> None:
    assert json.dumps(text, ensure_ascii=False).encode() in written(text)


def test_what_json_does_not_know_is_logged_as_text() -> None:
    assert json.loads(written("message", Score=Decimal("1.50")))["Score"] == "1.50"


def test_a_line_has_a_level_and_says_when_and_for_which_invocation(capsys: pytest.CaptureFixture[str]) -> None:
    log = BatchLog("request", clock=lambda: 0)
    for write in log.info, log.warning, log.error:
        write("message", field=1)
    log.write()

    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {
            "timestamp": "1970-01-01T00:00:00.000Z",
            "level": level,
            "message": "message",
            "requestId": "request",
            "field": 1,
        }
        for level in ("INFO", "WARN", "ERROR")
    ]


def test_lines_are_written_once() -> None:
    stream = io.StringIO()
    log = BatchLog(None, clock=lambda: 0, stream=stream)
    log.info("first")
    log.write()
    log.info("second")

    log.write()
    log.write()

    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["first", "second"]
