"""Failures: what failed for good, grouped by reason, and redriving it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from scripts.console.context import Context, body, check_text, text, whole
from scripts.console.failure_index import FailureIndex, Wanted, document
from scripts.console.job import Job, Tell
from scripts.console.problems import InvalidError, RefusedError
from scripts.deployment import Deployed
from scripts.failures.redrive import redrive_all, targets
from scripts.failures.store import Failure, FailureBucket

_PAGE = 50
_KEYS = 1000
_OUTCOMES = 2000
"""Outcomes of objects that a result has, the first ones; it counts them all."""


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    index = FailureIndex()
    redriving = Job(context.describe)

    @app.get("/api/failures")
    def failures() -> ResponseReturnValue:
        asked, system = request.args, context.system()
        wanted = Wanted(asked.get("function"), asked.get("reason", ""), asked.get("text", ""))
        s3, bucket = system.session.client("s3"), system.outputs["failure_bucket"]
        return jsonify(index.look(s3, bucket, wanted, whole("from", 0), _PAGE))

    @app.get("/api/failures/document")
    def failure_document() -> ResponseReturnValue:
        system, key = context.system(), request.args.get("key", "")
        found = document(system.session.client("s3"), system.outputs["failure_bucket"], key)
        if found is None:
            raise RefusedError(409, "conflict", "The failure is gone: it was redriven, or has expired")
        return jsonify(found)

    @app.post("/api/redrive")
    def start_redrive() -> ResponseReturnValue:
        sent = body()
        if unknown := sent.keys() - {"keys", "group"}:
            raise InvalidError(f"Redrive knows no {', '.join(sorted(unknown))}")
        keys = _keys(sent.get("keys"))
        if "group" in sent:
            group = sent["group"] if isinstance(sent["group"], dict) else {}
            wanted = Wanted(check_text(group.get("function"), "The group's function"), text(group, "reason"))
            keys = index.keys(wanted)
            if not wanted.reason or not keys:
                raise RefusedError(409, "conflict", "Nothing has failed for this reason. Reload the failures")
        redriving.start(partial(redrive, context.system(), keys))
        return jsonify(redriving.look()), 202

    @app.get("/api/redrive")
    def look_at_redrive() -> ResponseReturnValue:
        return jsonify(redriving.look())


def _keys(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= _KEYS:
        raise InvalidError(f"keys is a list of 1 to {_KEYS} keys")
    return [check_text(key, "A key") for key in value]


def redrive(system: Deployed, keys: Sequence[str] | None, tell: Tell) -> dict[str, Any]:
    """Redrive the failures with these keys, or all; return how many there were of each outcome, and the outcomes."""
    bucket = FailureBucket(system.session.client("s3"), system.outputs["failure_bucket"])
    gone: list[str] = []
    chosen = bucket.failures() if keys is None else _read(bucket, keys, gone)
    counts: dict[str, int] = {}
    outcomes: dict[str, dict[str, str]] = {}
    for failure, outcome, reason in redrive_all(chosen, bucket, targets(system)):
        counts[outcome] = counts.get(outcome, 0) + 1
        if len(outcomes) < _OUTCOMES:
            outcomes[failure.key] = {"outcome": outcome, "reason": reason}
        tell(f"{outcome}: {failure.key}" + (f": {reason}" if reason else ""))
    for key in gone:
        counts["gone"] = counts.get("gone", 0) + 1
        outcomes[key] = {"outcome": "gone", "reason": "It was redriven, or has expired"}
    if keys is not None and len(gone) == len(keys):
        raise RefusedError(409, "conflict", "The failures are gone: they were redriven, or have expired")
    return {"counts": counts, "outcomes": outcomes}


def _read(bucket: FailureBucket, keys: Sequence[str], gone: list[str]) -> Iterator[Failure]:
    for key in sorted(keys):
        failure = bucket.read(key)
        if failure is None:
            gone.append(key)
        else:
            yield failure
