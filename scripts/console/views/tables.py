"""Tables: their items, score records to change, and the leaderboard."""

import threading
from typing import TYPE_CHECKING, Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue

from scripts.console import items
from scripts.console.context import Context, body, whole
from scripts.console.problems import RefusedError
from scripts.observe.leaderboard import Budget, leaderboard
from scripts.reconcile.tables import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_ITEMS = 100
"""The most of a page of items."""
_BOARD_PAGES, _BOARD_PAGES_A_SECOND = 100, 20.0
_BOARD_MOST = 100


def register(app: Flask, context: Context) -> None:
    """Add the routes."""
    ranking = threading.Lock()

    @app.get("/api/tables/<table>")
    def size(table: str) -> ResponseReturnValue:
        system = context.system()
        name = system.table(table)["name"]
        found = system.session.client("dynamodb").describe_table(TableName=name)["Table"]
        return jsonify(items=found["ItemCount"], bytes=found["TableSizeBytes"])

    @app.get("/api/tables/<table>/items")
    def items_of(table: str) -> ResponseReturnValue:
        limit = whole("limit", 25, _ITEMS)
        system = context.system()
        name, client = system.table(table)["name"], system.session.client("dynamodb")
        return jsonify(items.page(client, name, limit, request.args.get("after", "")))

    @app.get("/api/tables/<table>/item")
    def item(table: str) -> ResponseReturnValue:
        system = context.system()
        output: Any = system.table(table)
        client, key = system.session.client("dynamodb"), request.args.get("key", "")
        return jsonify(item=items.one(client, output["name"], output["hash_key"], key))

    def records() -> "tuple[DynamoDBClient, str]":
        system = context.system()
        return system.session.client("dynamodb"), system.table(Table.RECORDS)["name"]

    @app.post("/api/records")
    def add_record() -> ResponseReturnValue:
        items.put(*records(), body())
        return jsonify(), 201

    @app.put("/api/records/<key>")
    def edit_record(key: str) -> ResponseReturnValue:
        items.edit(*records(), key, body())
        return jsonify()

    @app.delete("/api/records/<key>")
    def delete_record(key: str) -> ResponseReturnValue:
        items.delete(*records(), key, body())
        return jsonify()

    @app.get("/api/leaderboard")
    def board() -> ResponseReturnValue:
        top = whole("top", 10, _BOARD_MOST)
        system = context.system()
        client, name = system.session.client("dynamodb"), system.table(Table.TOTALS)["name"]
        if not ranking.acquire(blocking=False):
            raise RefusedError(429, "busy", "The table is being read for the leaderboard. Wait until that has ended")
        try:
            best = leaderboard(client, name, top, Budget(_BOARD_PAGES, _BOARD_PAGES_A_SECOND))
        finally:
            ranking.release()
        totals = [{"user": user, "score": f"{score:f}", "records": count} for user, score, count in best.totals]
        return jsonify(totals=totals, users=best.users, complete=best.complete)
