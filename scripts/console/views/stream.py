"""The stream: put an event, and watch what comes in."""

from flask import Flask, jsonify
from flask.typing import ResponseReturnValue

from scripts.console.context import Context, body, text, whole
from scripts.console.problems import InvalidError
from scripts.console.recent import Recent
from scripts.traffic.sender import Event, send_all, stream

_EVENT_BYTES = 1024 * 1024
_EVENT_KEY = 256


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    recent = Recent()

    @app.post("/api/stream")
    def put_event() -> ResponseReturnValue:
        sent = body()
        key, data = text(sent, "key"), text(sent, "data").encode()
        if not 1 <= len(key) <= _EVENT_KEY:
            raise InvalidError(f"A partition key has 1 to {_EVENT_KEY} characters")
        if not 1 <= len(data) <= _EVENT_BYTES:
            raise InvalidError("A record carries 1 byte to 1 MB")
        system = context.system()
        destination = stream(system.session.client("kinesis"), system.outputs["stream"]["name"])
        send_all([Event(key, data)], destination, request_items=1)
        return jsonify(), 201

    @app.get("/api/stream")
    def read_stream() -> ResponseReturnValue:
        system = context.system()
        name = system.outputs["stream"]["name"]
        return jsonify(recent.look(system.session.client("kinesis"), name, whole("after", 0)))
