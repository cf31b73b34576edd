"""The console's application. Everything under /api/ is JSON; guard.py says who may ask."""

import math
import traceback
from functools import partial
from pathlib import Path
from typing import Any

import typer
from flask import Flask, Response, jsonify
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from scripts.console import views
from scripts.console.connection import Connection
from scripts.console.context import Context, body, text
from scripts.console.guard import EXCHANGE, guard
from scripts.console.problems import Problem, RefusedError, problem
from scripts.console.session import Session

STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _Json(DefaultJSONProvider):
    """Writes what browsers read: JSON has no NaN and no infinity, and UTF-8 no lone surrogates."""

    sort_keys = False

    def dumps(self, obj: Any, **options: Any) -> str:
        try:
            return super().dumps(obj, allow_nan=False, **options)
        except ValueError:
            return super().dumps(_finite(obj), allow_nan=False, **options)


def create_app(connection: Connection, *, names: set[str], session: Session, writes: bool) -> Flask:
    """Return the console of a stage. `names` are the values of Host that it answers to, with their port."""
    app = Flask(__name__, static_folder=None)
    app.json = _Json(app)
    guard(app, names=names, session=session, writes=writes, harmless=views.HARMLESS)
    context = Context(connection, writes, partial(_describe, connection))

    @app.errorhandler(Exception)
    def fail(error: Exception) -> ResponseReturnValue:
        if isinstance(error, HTTPException):
            status = error.code or 500
            return jsonify(Problem(status, "invalid", error.description or error.name).body()), status
        found = context.describe(error)
        return jsonify(found.body()), found.status

    @app.get("/")
    def index() -> ResponseReturnValue:
        return asset("index.html")

    @app.get("/static/<path:name>")
    def asset(name: str) -> ResponseReturnValue:
        files = {file.relative_to(STATIC).as_posix(): file for file in STATIC.rglob("*") if file.suffix in _TYPES}
        if name not in files:
            raise RefusedError(404, "invalid", f"There is no {name}")
        return Response(files[name].read_bytes(), mimetype=_TYPES[files[name].suffix])

    @app.post(EXCHANGE)
    def open_session() -> ResponseReturnValue:
        key = session.exchange(text(body(), "code"))
        if key is None:
            raise RefusedError(403, "code", "This link was used already. Open the one that make console printed last")
        return jsonify(key=key)

    for view in views.ALL:
        view.register(app, context)
    return app


def _describe(connection: Connection, error: Exception) -> Problem:
    """Return what to show of an error. A fault of the console itself is printed in its terminal, with the trace."""
    found = problem(error, connection.stage)
    if found is None:
        typer.echo("".join(traceback.format_exception(error)), err=True)
        return Problem(500, "fault", "The console made a mistake; its terminal says which")
    if found.kind in {"credentials", "not-deployed", "being-deployed", "unreachable"}:
        connection.forget(credentials=found.kind == "credentials")
    return found


def _finite(value: Any) -> Any:
    """Return the value with null for what is not a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
