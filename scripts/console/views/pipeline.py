"""Which stage it is, and how the pipeline is."""

import hashlib
import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from scripts.cli import UserError
from scripts.console.context import Context
from scripts.console.flow import Flow
from scripts.console.problems import RefusedError
from scripts.deployment import Deployed


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    flow = Flow()

    @app.get("/api/about")
    def about() -> ResponseReturnValue:
        stage = context.connection.stage
        try:
            system = context.system()
        except (UserError, RefusedError, BotoCoreError, ClientError):
            system = None  # the page names the stage all the same; the next look says what is wrong
        return jsonify(
            stage=stage.name,
            region=stage.region,
            endpoint=stage.endpoint,
            account=system.account if system else None,
            outputs=system.outputs if system else None,
            deployment=_fingerprint(system) if system else None,
            writes=context.writes,
        )

    @app.get("/api/flow")
    def look_at_flow() -> ResponseReturnValue:
        system = context.system()
        seen: dict[str, Any] = flow.of(system)
        return jsonify(**seen, deployment=_fingerprint(system))


def _fingerprint(system: Deployed) -> str:
    """Return what changes when something else is deployed: the page then asks again what there is."""
    told = json.dumps([system.account, system.outputs], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]
