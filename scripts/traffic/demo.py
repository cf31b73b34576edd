"""See the system at work on a local cloud: `make demo [N=3000] [USERS=20]`."""

import itertools
import random
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import typer
from rich.live import Live

from scripts.deploy import deploy
from scripts.deployment import Deployed, NotDeployedError, deployed
from scripts.observe.leaderboard import Board, Budget, leaderboard, render
from scripts.reconcile.reconcile import EXIT_CODES, describe, publish, reconcile, show
from scripts.stage import LOCAL
from scripts.traffic.put_scores import Write, produce, writes

_MIX = {"insert": 80, "update": 20}
_PLAYING_SECONDS = 10
_SETTLED_SECONDS = 3.0
"""When no total has moved for so long, all is counted; reconcile tells if it is not."""
_FRAME_SECONDS = 0.5
_TOP, _PAGES, _PAGES_A_SECOND = 10, 1000, 20.0


def main(
    n: int = typer.Option(3000, min=1, help="how many scores"),
    users: int = typer.Option(20, min=1, help="of how many users"),
) -> None:
    """Deploy the local stage unless it is, play scores through the stream, and check the totals."""
    try:
        system = deployed(LOCAL)
    except NotDeployedError:
        deploy.main(LOCAL)
        system = deployed(LOCAL)
    seed = random.randrange(2**32)  # noqa: S311
    typer.echo(f"Playing {n:,} scores of {users} users through {system.outputs['stream']['name']} (seed {seed})")
    first_record = time.time_ns() // 1000
    _play(system, writes(n, users=users, mix=_MIX, seed=seed, first_record=first_record), n / _PLAYING_SECONDS)
    typer.echo()
    summary = reconcile(system, show, pause=1)
    typer.echo(describe(summary))
    publish(system, summary)
    raise typer.Exit(EXIT_CODES[summary.judgement])


def _play(system: Deployed, scores: Iterable[Write], rate: float) -> None:
    """Send the scores, and show the leaderboard until they are all in it."""
    stopped = threading.Event()
    going_on = itertools.takewhile(lambda _: not stopped.is_set(), scores)
    with ThreadPoolExecutor(1) as pool, Live(auto_refresh=False) as live:
        try:
            playing = pool.submit(produce, system, going_on, rate=rate)
            board, moved = _look(system), time.monotonic()
            while not playing.done() or time.monotonic() - moved < _SETTLED_SECONDS:
                live.update(render(board), refresh=True)
                time.sleep(_FRAME_SECONDS)
                before, board = board, _look(system)
                if board != before or not playing.done():
                    moved = time.monotonic()
            playing.result()
        finally:
            stopped.set()


def _look(system: Deployed) -> Board:
    budget = Budget(_PAGES, _PAGES_A_SECOND)
    return leaderboard(system.session.client("dynamodb"), system.table("GameScoresByUser")["name"], _TOP, budget)
