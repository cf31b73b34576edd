"""Reconcile: check the totals, and repair them."""

import math
from functools import partial
from typing import Any

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from scripts.console.context import Context, body
from scripts.console.job import Job, Tell
from scripts.console.problems import InvalidError
from scripts.deployment import Deployed
from scripts.reconcile.reconcile import PAUSE, describe, publish, reconcile

_FINDINGS = 200
_LONGEST_PAUSE = 600


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    totals = Job(context.describe)

    def start(fix: bool) -> ResponseReturnValue:
        pause = _pause(body().get("pause", PAUSE))
        totals.start(partial(run, context.system(), fix, pause, publishes=context.writes))
        return jsonify(totals.look()), 202

    @app.post("/api/reconcile")
    def check_totals() -> ResponseReturnValue:
        return start(fix=False)

    @app.post("/api/repair")
    def repair_totals() -> ResponseReturnValue:
        return start(fix=True)

    @app.get("/api/reconcile")
    def look_at_reconcile() -> ResponseReturnValue:
        return jsonify(totals.look())


def run(system: Deployed, fix: bool, pause: float, tell: Tell, *, publishes: bool) -> dict[str, Any]:
    """Check or repair the totals; return the summary in words and as values, with the first findings."""
    findings: list[dict[str, Any]] = []

    def note(finding: Any) -> None:
        if len(findings) < _FINDINGS:
            findings.append(finding._asdict())

    summary = reconcile(system, note, fix=fix, pause=pause, tell=tell)
    if publishes:
        publish(system, summary)
    return {**summary.as_json(), "summary": describe(summary), "findings": findings}


def _pause(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not 0 <= value <= _LONGEST_PAUSE:
        raise InvalidError(f"pause is a number of seconds from 0 to {_LONGEST_PAUSE}")
    return float(value)
