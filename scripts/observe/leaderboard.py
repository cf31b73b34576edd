"""Show the users with the highest totals: `make leaderboard [TOP=10] [WATCH=1]`.

GameScoresByUser has no index by score, and is scanned; docs/decisions/0004 says why, and what that costs.
"""

import heapq
import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_SEGMENTS = 4
_PAGES_A_SECOND = 20.0  # a page is up to 1 MB, 128 read units: about 2,500 a second at most
_REST = 5  # times what a scan took, before the next when watching
_SHORTEST_REST_SECONDS = 1.0


class Total(NamedTuple):
    """A user's total."""

    username: str
    score: Decimal
    records: int


@dataclass(frozen=True, slots=True)
class Board:
    """The best of those users that were looked at."""

    totals: list[Total]
    users: int
    """How many were looked at."""
    complete: bool
    """Whether that is all of them."""


class Budget:
    """Pages that several threads may still read, no faster than the rate."""

    def __init__(self, pages: int, rate: float) -> None:
        self._left = pages
        self._interval = 1 / rate
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Wait for the next page's turn; False when there is none left."""
        with self._lock:
            if self._left <= 0:
                return False
            self._left -= 1
            turn = max(self._next, time.monotonic())
            self._next = turn + self._interval
        time.sleep(max(0.0, turn - time.monotonic()))
        return True

    def cancel(self) -> None:
        """Leave no page."""
        with self._lock:
            self._left = 0


def leaderboard(dynamodb: "DynamoDBClient", table: str, top: int, budget: Budget) -> Board:
    """The `top` users by total, without those who have no records left; in memory are that many for each segment."""

    def best(segment: int) -> Board:
        board = Board([], 0, complete=True)
        for page in _pages(dynamodb, table, segment, budget):
            if page is None:
                return Board(board.totals, board.users, complete=False)
            board = Board(_top(top, itertools.chain(board.totals, page)), board.users + len(page), complete=True)
        return board

    with ThreadPoolExecutor(_SEGMENTS) as pool:
        try:
            boards = list(pool.map(best, range(_SEGMENTS)))
        finally:
            budget.cancel()  # an interrupt need not wait for the whole scan
    return Board(
        _top(top, itertools.chain.from_iterable(board.totals for board in boards)),
        sum(board.users for board in boards),
        all(board.complete for board in boards),
    )


def _pages(dynamodb: "DynamoDBClient", table: str, segment: int, budget: Budget) -> Iterator[list[Total] | None]:
    """The pages of a segment; None in place of the first that the budget has no room for."""
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        ProjectionExpression="Username, Score, RecordCount",
        Segment=segment,
        TotalSegments=_SEGMENTS,
    )
    remaining = iter(pages)
    more = True
    while more:
        if not budget.take():
            yield None
            return
        page = next(remaining)
        more = "LastEvaluatedKey" in page
        totals = (
            Total(item["Username"]["S"], Decimal(item["Score"]["N"]), int(item["RecordCount"]["N"]))
            for item in page["Items"]
        )
        yield [total for total in totals if total.records > 0]


def _top(top: int, totals: "itertools.chain[Total]") -> list[Total]:
    return heapq.nsmallest(top, totals, key=lambda total: (-total.score, total.username))


def render(board: Board) -> Table:
    """The board as a table."""
    what = f"{board.users:,} users" if board.complete else f"the first {board.users:,} users: there are more"
    table = Table("Rank", "User", "Total", "Records", title="GameScoresByUser", caption=what, box=SIMPLE_HEAD)
    for column in (0, 2, 3):
        table.columns[column].justify = "right"
    for rank, total in enumerate(board.totals, 1):
        table.add_row(str(rank), escape(total.username), f"{total.score:,f}", f"{total.records:,}")
    return table


def main(
    stage: StageName = LOCAL,
    top: int = typer.Option(10, min=1, max=1000, help="how many users"),
    pages: int = typer.Option(1000, min=1, help="how many pages of 1 MB to read at most"),
    watch: bool = typer.Option(False, "--watch", help="show it live, until Ctrl-C"),
    as_json: bool = typer.Option(False, "--json", help="print it as JSON; totals are strings, since they are exact"),
) -> None:
    """Show the users with the highest totals."""
    system = deployed(stage)
    dynamodb, table = system.session.client("dynamodb"), system.table("GameScoresByUser")["name"]

    def look() -> Board:
        return leaderboard(dynamodb, table, top, Budget(pages, _PAGES_A_SECOND))

    if watch:
        with Live(auto_refresh=False) as live:
            while True:
                started = time.monotonic()
                live.update(render(look()), refresh=True)
                time.sleep(max(_SHORTEST_REST_SECONDS, _REST * (time.monotonic() - started)))
    board = look()
    if as_json:
        users = [{"username": user, "score": str(score), "records": count} for user, score, count in board.totals]
        typer.echo(json.dumps({"top": users, "users": board.users, "complete": board.complete}))
    else:
        Console().print(render(board))
