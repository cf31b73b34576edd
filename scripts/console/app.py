"""The console's requests and answers. Everything under /api/ is JSON; guard.py says who may ask."""

import itertools
import threading
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from scripts.cli import UserError
from scripts.console import items
from scripts.console.connection import Connection
from scripts.console.flow import Flow
from scripts.console.guard import guard
from scripts.console.job import Job, Tell
from scripts.console.problems import InvalidError, Problem, RefusedError, problem
from scripts.console.recent import Recent
from scripts.deployment import Deployed
from scripts.failures.redrive import redrive_all, targets
from scripts.failures.store import FailureBucket
from scripts.observe.leaderboard import Budget, leaderboard
from scripts.observe.logs import Line, lines
from scripts.observe.metrics import LAMBDA, panels_of, period
from scripts.reconcile.reconcile import PAUSE, publish, reconcile, told
from scripts.reconcile.tables import Table
from scripts.timespan import since as parse_since
from scripts.traffic.invoke import EVENTS, check_event, invoke, read_event
from scripts.traffic.sender import Event, send_all, stream

_PAGE = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_ITEMS = 100
"""The most of a page of items."""
_LOG_LINES = 300
_FAILURES = 50
_INVOCATIONS = 3
"""Tests at once: each may take a thread for fifteen minutes, and the page needs some, too."""
_BOARD_PAGES, _BOARD_PAGES_A_SECOND = 100, 20.0
_BOARD_MOST = 100
_FINDINGS = 200
_EVENT_BYTES = 1024 * 1024
_EVENT_KEY = 256
HARMLESS = {"check_totals"}
"""What is asked by POST, and changes nothing."""


def create_app(connection: Connection, *, port: int, token: str, writes: bool) -> Flask:
    """The console of a stage, to be served on 127.0.0.1 and this port."""
    app = Flask(__name__, static_folder=None)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    guard(app, port=port, token=token, writes=writes, harmless=HARMLESS)
    explain = partial(_explain, connection)
    flow, recent = Flow(), Recent()
    totals, redriving = Job(explain), Job(explain)
    testing = threading.BoundedSemaphore(_INVOCATIONS)
    ranking = threading.Lock()

    @app.errorhandler(Exception)
    def fail(error: Exception) -> ResponseReturnValue:
        if isinstance(error, HTTPException):
            status = error.code or 500
            return jsonify(Problem(status, "invalid", error.description or error.name).body()), status
        told = explain(error)
        return jsonify(told.body()), told.status

    @app.get("/")
    def index() -> ResponseReturnValue:
        return asset("index.html")

    @app.get("/page/<name>")
    def asset(name: str) -> ResponseReturnValue:
        if name not in {file.name for file in _PAGE.iterdir()}:
            raise RefusedError(404, "invalid", f"There is no {name}")
        file = _PAGE / name
        return Response(file.read_bytes(), mimetype=_TYPES[file.suffix])

    @app.get("/api/about")
    def about() -> ResponseReturnValue:
        stage = connection.stage
        try:
            system = connection.system()
        except (UserError, BotoCoreError, ClientError):
            system = None  # the page shall say whose it is all the same; the next look tells what is wrong
        return jsonify(
            stage=stage.name,
            region=stage.region,
            endpoint=stage.endpoint,
            account=system.account if system else None,
            outputs=system.outputs if system else None,
            writes=writes,
            events=sorted(file.stem for file in EVENTS.glob("*.json")),
        )

    @app.get("/api/flow")
    def how_it_flows() -> ResponseReturnValue:
        return jsonify(flow.of(connection.system()))

    @app.get("/api/events/<name>")
    def event(name: str) -> ResponseReturnValue:
        if not (EVENTS / f"{name}.json").is_file():
            raise InvalidError(f"There is no event {name!r}")
        return jsonify(event=read_event(name).decode())

    @app.post("/api/functions/<name>/test")
    def test_function(name: str) -> ResponseReturnValue:
        payload = str(_body().get("event", "")).encode()
        check_event(payload, "The event")
        live = connection.system().function(name)["live_arn"]
        if not testing.acquire(blocking=False):
            raise RefusedError(429, "busy", f"{_INVOCATIONS} tests are running. Wait for one to end")
        try:
            return jsonify(asdict(invoke(live, payload)))
        finally:
            testing.release()

    @app.get("/api/functions/<name>/metrics")
    def metrics(name: str) -> ResponseReturnValue:
        now = datetime.now(UTC)
        start = parse_since(request.args.get("since", "1h"), now)
        system = connection.system()
        real = system.function(name)["name"]
        found = panels_of(system, start, now)
        series = {panel.metric: sorted(panel.series.get(real, {}).items()) for panel in found}
        return jsonify(
            start=start.timestamp(),
            end=now.timestamp(),
            period=period(now - start),
            series={metric: series.get(metric, []) for metric in LAMBDA},
        )

    @app.get("/api/functions/<name>/log")
    def log(name: str) -> ResponseReturnValue:
        start = parse_since(request.args.get("since", "10m"), datetime.now(UTC))
        wanted = request.args.get("filter", "").lower()
        groups = {name: connection.system().function(name)["log_group"]}
        last: deque[Line] = deque(maxlen=_LOG_LINES)
        found = 0
        for line in lines(boto3.client("logs"), groups, start):
            if wanted in line.message.lower():
                found += 1
                last.append(line)
        return jsonify(lines=[asdict(line) for line in last], left_out=found - len(last))

    @app.get("/api/tables/<table>/items")
    def items_of(table: str) -> ResponseReturnValue:
        limit = _whole("limit", 25, _ITEMS)
        name = connection.system().table(table)["name"]
        return jsonify(items.page(boto3.client("dynamodb"), name, limit, request.args.get("after", "")))

    @app.get("/api/tables/<table>/item")
    def item(table: str) -> ResponseReturnValue:
        name = connection.system().table(table)["name"]
        return jsonify(item=items.one(boto3.client("dynamodb"), Table(table), name, request.args.get("key", "")))

    @app.get("/api/tables/<table>/size")
    def size(table: str) -> ResponseReturnValue:
        name = connection.system().table(table)["name"]
        described = boto3.client("dynamodb").describe_table(TableName=name)["Table"]
        return jsonify(items=described["ItemCount"], bytes=described["TableSizeBytes"])

    def records() -> str:
        return connection.system().table(Table.RECORDS)["name"]

    @app.post("/api/records")
    def add_record() -> ResponseReturnValue:
        items.put(boto3.client("dynamodb"), records(), _body())
        return jsonify(), 201

    @app.put("/api/records/<key>")
    def edit_record(key: str) -> ResponseReturnValue:
        items.edit(boto3.client("dynamodb"), records(), key, _body())
        return jsonify()

    @app.delete("/api/records/<key>")
    def delete_record(key: str) -> ResponseReturnValue:
        items.delete(boto3.client("dynamodb"), records(), key)
        return jsonify()

    @app.get("/api/leaderboard")
    def board() -> ResponseReturnValue:
        top = _whole("top", 10, _BOARD_MOST)
        table = connection.system().table(Table.TOTALS)["name"]
        if not ranking.acquire(blocking=False):
            raise RefusedError(
                429, "busy", "The table is being read for the leaderboard already. Wait until it is over"
            )
        try:
            best = leaderboard(boto3.client("dynamodb"), table, top, Budget(_BOARD_PAGES, _BOARD_PAGES_A_SECOND))
        finally:
            ranking.release()
        totals = [{"user": user, "score": f"{score:f}", "records": count} for user, score, count in best.totals]
        return jsonify(totals=totals, users=best.users, complete=best.complete)

    @app.post("/api/stream")
    def put_event() -> ResponseReturnValue:
        sent = _event(_body())
        destination = stream(boto3.client("kinesis"), connection.system().outputs["stream"]["name"])
        send_all([sent], destination, request_items=1)
        return jsonify(), 201

    @app.get("/api/stream")
    def read_stream() -> ResponseReturnValue:
        name = connection.system().outputs["stream"]["name"]
        return jsonify(recent.look(boto3.client("kinesis"), name, _whole("after", 0)))

    @app.get("/api/failures")
    def failures() -> ResponseReturnValue:
        bucket = _bucket(connection.system())
        found = list(itertools.islice(bucket.failures(after=request.args.get("after", "")), _FAILURES + 1))
        shown = found[:_FAILURES]
        return jsonify(
            failures=[
                {
                    "key": each.key,
                    "function": each.function,
                    "at": each.failed_at.timestamp(),
                    "oldest": each.oldest.timestamp() if each.oldest else None,
                    "reason": each.reason,
                    "records": None if each.unreadable else len(each.records),
                    "document": each.legible,
                }
                for each in shown
            ],
            next=shown[-1].key if len(found) > _FAILURES else None,
        )

    @app.post("/api/redrive")
    def start_redrive() -> ResponseReturnValue:
        key, system = _body().get("key"), connection.system()
        return _started(redriving, partial(_redrive, system, None if key is None else str(key)))

    @app.get("/api/redrive")
    def look_at_redrive() -> ResponseReturnValue:
        return jsonify(redriving.look())

    def start_reconcile(fix: bool) -> ResponseReturnValue:
        pause = _pause(_body().get("pause", PAUSE))
        return _started(totals, partial(_reconcile, connection.system(), fix, pause, publishes=writes))

    @app.post("/api/reconcile")
    def check_totals() -> ResponseReturnValue:
        return start_reconcile(fix=False)

    @app.post("/api/repair")
    def repair_totals() -> ResponseReturnValue:
        return start_reconcile(fix=True)

    @app.get("/api/reconcile")
    def look_at_reconcile() -> ResponseReturnValue:
        return jsonify(totals.look())

    return app


def _explain(connection: Connection, error: Exception) -> Problem:
    """What to tell of an error. What is the console's own fault is told in its terminal, with the trace."""
    told = problem(error, connection.stage)
    if told is None:
        typer.echo("".join(traceback.format_exception(error)), err=True)
        return Problem(500, "fault", "The console made a mistake; its terminal says which")
    if told.kind in {"credentials", "not-deployed", "unreachable"}:
        connection.forget(credentials=told.kind == "credentials")
    return told


def _body() -> dict[str, Any]:
    body = request.get_json()
    if not isinstance(body, dict):
        raise InvalidError("Send a JSON object")
    return body


def _whole(name: str, default: int, most: int | None = None) -> int:
    text = request.args.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or (most is not None and not 1 <= int(text) <= most):
        raise InvalidError(f"{name} is a whole number" + (f" from 1 to {most}" if most else ""))
    return int(text)


def _pause(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= 600:
        raise InvalidError("pause is a number of seconds from 0 to 600")
    return float(value)


def _event(body: dict[str, Any]) -> Event:
    key, data = str(body.get("key", "")), str(body.get("data", "")).encode()
    if not 1 <= len(key) <= _EVENT_KEY:
        raise InvalidError(f"A partition key has 1 to {_EVENT_KEY} characters")
    if not 1 <= len(data) <= _EVENT_BYTES:
        raise InvalidError("A record carries up to 1 MB, and not nothing")
    return Event(key, data)


def _bucket(system: Deployed) -> FailureBucket:
    return FailureBucket(boto3.client("s3"), system.outputs["failure_bucket"])


def _started(job: Job, work: Callable[[Tell], Any]) -> ResponseReturnValue:
    job.start(work)
    return jsonify(job.look()), 202


def _redrive(system: Deployed, key: str | None, tell: Tell) -> dict[str, Any]:
    """Redrive one failure, or all; counts by verdict, and what was told of those that did not succeed."""
    bucket = _bucket(system)
    if key is None:
        chosen = bucket.failures()
    else:
        failure = bucket.read(key)
        if failure is None:
            raise RefusedError(409, "conflict", "The failure is gone: it was redriven, or has expired")
        chosen = iter([failure])
    verdicts: dict[str, int] = {}
    for failure, verdict, reason in redrive_all(chosen, bucket, targets(system)):
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        tell(f"{verdict}: {failure.key}" + (f": {reason}" if reason else ""))
    return verdicts


def _reconcile(system: Deployed, fix: bool, pause: float, tell: Tell, *, publishes: bool) -> dict[str, Any]:
    findings: list[dict[str, Any]] = []

    def note(finding: Any) -> None:
        if len(findings) < _FINDINGS:
            findings.append(finding._asdict())

    verdict = reconcile(system, note, fix=fix, pause=pause, tell=tell)
    if publishes:
        publish(system, verdict)
    return {**verdict.as_json(), "told": told(verdict), "findings": findings}
