"""The console's Test button."""

import base64
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from handlers.aggregate_scores_by_user import change
from handlers.shared.errors import PoisonRecordError
from scripts.cli import UserError
from scripts.traffic import invoke as module
from scripts.traffic.invoke import EVENTS, Report, changes_totals, describe, find_report, invoke, read_event, warning
from tests.fakes.stream import TABLE_ARN

TEXT_REPORT = (
    "START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n"
    "REPORT RequestId: 1\tDuration: 12.34 ms\tBilled Duration: 13 ms\tMemory Size: 256 MB\tMax Memory Used: 71 MB\t"
    "Init Duration: 100 ms\n"
)
JSON_REPORT = (
    '{"timestamp":"2026-11-23T00:00:00Z","level":"INFO","message":"platform.report is near"}\n'
    '{"time":"2026-11-23T00:00:00Z","type":"platform.report","record":{"requestId":"1","metrics":'
    '{"durationMs":12.34,"billedDurationMs":13,"memorySizeMB":256,"maxMemoryUsedMB":71}}}\n'
)


class Lambda:
    """A function that answers as told."""

    def __init__(self, **answer: Any) -> None:
        self._answer = answer

    def get_function_configuration(self, **_: str) -> dict[str, Any]:
        return {"MemorySize": 256}

    def invoke(self, **request: Any) -> dict[str, Any]:
        assert request == {"FunctionName": "F", "Payload": b"{}", "LogType": "Tail"}
        return self._answer


def answering(payload: str, log: str, **answer: Any) -> Any:
    """A session with such a function."""
    fake = Lambda(Payload=io.BytesIO(payload.encode()), LogResult=base64.b64encode(log.encode()), **answer)
    return SimpleNamespace(client=lambda *_, **__: fake)


@pytest.mark.parametrize("log", [TEXT_REPORT, JSON_REPORT])
def test_the_report_is_read_in_either_log_format(log: str) -> None:
    assert find_report(log) == Report(12.34, 13, 256, 71)


def test_a_log_without_a_report_has_none() -> None:
    assert find_report("REPORT of the year\n") is None


def test_a_success_is_told_with_all_that_the_console_shows() -> None:
    session = answering('{"batchItemFailures": []}', f"hello\n{TEXT_REPORT}")

    told = describe(invoke(session, "F", b"{}"))

    assert told.startswith("Execution result: succeeded\n")
    for part in (
        '"batchItemFailures": []',
        "\nDuration: 12.34 ms\n",
        "\nBilled duration: 13.0 ms\n",
        "\nMemory configured: 256 MB\n",
        "\nMaximum memory used: 71 MB\n",
        "\nLog output:\nhello\n",
    ):
        assert part in told


def test_what_nobody_reports_is_said_to_be_missing() -> None:
    session = answering("null", "hello")

    told = describe(invoke(session, "F", b"{}"))

    assert "there and back (no REPORT line came back)" in told
    assert "Billed duration: not reported" in told
    assert "Memory configured: 256 MB" in told


def test_a_failure_is_told_as_such() -> None:
    session = answering('{"errorType": "ValueError"}', "", FunctionError="Unhandled")

    assert describe(invoke(session, "F", b"{}")).startswith('Execution result: failed (Unhandled)\n\n{\n  "errorType"')


def test_an_event_comes_by_name_from_a_file_or_from_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "event.json"
    file.write_text("[1]")
    monkeypatch.setattr(module.sys, "stdin", io.TextIOWrapper(io.BytesIO(b"[2]")))  # type: ignore[attr-defined]

    assert read_event("score") == (EVENTS / "score.json").read_bytes()
    assert read_event(str(file)) == b"[1]"
    assert read_event("-") == b"[2]"


@pytest.mark.parametrize(
    ("content", "message"), [(None, "Name one of batch, delete, poison, score, stream, update"), ("{", "is not JSON")]
)
def test_an_event_that_is_none_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "event"
    if content:
        file.write_text(content)

    with pytest.raises(UserError, match=message):
        read_event(str(file))


def test_the_named_events_say_what_their_names_say() -> None:
    def records(name: str) -> list[Any]:
        found: list[Any] = json.loads(read_event(name))["Records"]
        return found

    score, update, delete = (change.parse(records(name)[0], 0, TABLE_ARN) for name in ("score", "update", "delete"))
    assert score.record_id == update.record_id == delete.record_id
    assert score.version < update.version < delete.version
    assert [change.username for change in (score, update, delete)] == ["Jane Doe", "Jane Doe", None]
    assert len({change.parse(record, 0, TABLE_ARN).record_id for record in records("batch")}) == 100
    with pytest.raises(PoisonRecordError):
        change.parse(records("poison")[0], 0, TABLE_ARN)


@pytest.mark.parametrize(
    ("function", "event", "changes"),
    [
        ("AggregateScoresByUser", "score", True),
        ("AggregateScoresByUser", "batch", True),
        ("AggregateScoresByUser", "delete", False),
        ("ProcessKinesisRecords", "stream", False),
    ],
)
def test_who_is_about_to_change_totals_by_a_test_event_is_told_and_how_to_take_it_back(
    function: str, event: str, changes: bool
) -> None:
    assert changes_totals(function, read_event(event)) is changes
    assert "make reconcile FIX=1, or" in warning("local")
    assert warning("dev").count("STAGE=dev") == 2


@pytest.mark.parametrize("event", [b"[]", b"{}", b'{"Records": 1}', b'{"Records": [1]}'])
def test_an_event_that_is_no_batch_changes_no_totals(event: bytes) -> None:
    assert not changes_totals("AggregateScoresByUser", event)
