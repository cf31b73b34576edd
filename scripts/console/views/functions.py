"""Functions: test one, see its metrics, follow its log."""

import json
import math
import threading
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from localcloud.engine.record import sequence_number
from localcloud.engine.response import accepted
from scripts.console.context import Context, body, start_of, text
from scripts.console.counts import from_summaries
from scripts.console.loglines import newest
from scripts.console.problems import InvalidError, RefusedError
from scripts.console.visible import indented
from scripts.observe.logs import Line
from scripts.observe.metrics import panels_of, period
from scripts.traffic.invoke import EVENTS, Execution, check_event, invoke, read_event, warning

_LOG_LINES = 300
_INVOCATIONS = 3
"""Tests at once: each may take a thread for fifteen minutes, and the page needs some, too."""
_COUNTED = ("Stored", "Outdated", "Applied", "Duplicates", "Folded", "Parked", "Failed")


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    testing = threading.BoundedSemaphore(_INVOCATIONS)

    @app.get("/api/events")
    def events() -> ResponseReturnValue:
        functions = context.system().outputs["functions"]
        sources = {lab: service(function["event_source_arn"]) for lab, function in functions.items()}
        found = [_described(file.stem) for file in sorted(EVENTS.glob("*.json"))]
        return jsonify(
            events=found,
            fitting={lab: [each["name"] for each in found if each["service"] == of] for lab, of in sources.items()},
            warning=warning(context.connection.stage.name),
        )

    @app.get("/api/events/<name>")
    def event(name: str) -> ResponseReturnValue:
        if not (EVENTS / f"{name}.json").is_file():
            raise InvalidError(f"There is no event {name!r}")
        return jsonify(event=read_event(name).decode())

    @app.post("/api/functions/<name>/test")
    def test_function(name: str) -> ResponseReturnValue:
        payload = text(body(), "event").encode()
        check_event(payload, "The event")
        system = context.system()
        live = system.function(name)["live_arn"]
        if not testing.acquire(blocking=False):
            raise RefusedError(429, "busy", f"{_INVOCATIONS} tests are running. Wait for one to end")
        try:
            execution = invoke(system.session, live, payload)
        finally:
            testing.release()
        return jsonify(as_answer(payload, execution))

    @app.get("/api/metrics")
    def metrics() -> ResponseReturnValue:
        now = datetime.now(UTC)
        start = start_of("1h", now)
        system = context.system()
        labs = {each["name"]: lab for lab, each in system.outputs["functions"].items()}
        found = panels_of(system, start, now)
        return jsonify(
            start=start.timestamp(),
            end=now.timestamp(),
            period=period(now - start),
            functions=list(labs.values()),
            panels=[
                {
                    "metric": panel.metric,
                    "title": panel.title,
                    "series": {
                        labs[name]: [[at, value] for at, value in sorted(series.items()) if math.isfinite(value)]
                        for name, series in panel.series.items()
                        if name in labs
                    },
                }
                for panel in found
            ],
        )

    @app.get("/api/functions/<name>/log")
    def log(name: str) -> ResponseReturnValue:
        now = datetime.now(UTC)
        start = start_of("10m", now)
        wanted = request.args.get("filter", "")
        system = context.system()
        group = system.function(name)["log_group"]
        is_aws = system.stage.endpoint is None
        found, complete = newest(system.session.client("logs"), group, start, now, wanted, _LOG_LINES, is_aws=is_aws)
        return jsonify(lines=[asdict(line) for line in found], complete=complete)


def service(arn: str) -> str:
    """Return the service of an ARN; "" for what is not one."""
    return (arn.split(":") + [""] * 3)[2]


def _described(name: str) -> dict[str, Any]:
    records = _records(read_event(name))
    first = records[0] if records and isinstance(records[0], dict) else {}
    return {"name": name, "service": str(first.get("eventSource", "")).removeprefix("aws:"), "records": len(records)}


def as_answer(event: bytes, execution: Execution) -> dict[str, Any]:
    """Return an execution as the page shows it; what its response means is read as the event source mapping reads it.

    `accepted` is the number of leading records that the function finished, null when the whole batch failed.
    """
    records = _records(event)
    response = json.dumps(execution.response, ensure_ascii=False)
    taken = accepted(response.encode(errors="replace"), execution.error, [_sequence(record) for record in records])
    logged = [Line(0, "", "", line) for line in execution.log.splitlines()]
    counted = from_summaries(logged)
    return {
        **asdict(execution),
        "response": indented(response),
        "records": len(records),
        "accepted": taken,
        "counted": {name: counted.total("", [name]) for name in _COUNTED if counted.of("", name)},
    }


def _records(event: bytes) -> list[Any]:
    parsed = json.loads(event)
    records = parsed.get("Records") if isinstance(parsed, dict) else None
    return records if isinstance(records, list) else []


def _sequence(record: Any) -> str | None:
    try:
        return sequence_number(record)
    except (KeyError, TypeError, AttributeError):
        return None
