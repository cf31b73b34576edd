"""AggregateScoresByUser and its peers before an endpoint: requests, write units, records a second."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from math import ceil

from bench.endpoint import Account, Endpoint, Entries, endpoint
from bench.events import Context, table_event
from bench.measuring import Findings, Row, cpu, medians, wall
from bench.peers import Handler, Peer, batch_token, coalescing, lab, ours, powertools
from handlers.shared.lambda_types import DynamoDBEvent
from handlers.shared.workers import Threads

PEERS = (ours.PEER, lab.PEER, coalescing.PEER, powertools.PEER, batch_token.PEER)
LATENCIES = {"UpdateItem": 0.0075, "PutItem": 0.0075, "TransactWriteItems": 0.035}
"""Seconds."""
RECORDS, USERS = 10_000, 100
_THREADS = {ours.PEER.name: 16}
"""Its CONCURRENCY; the others get 32."""


@contextmanager
def client_of(server: Endpoint) -> Iterator[None]:
    """Clients made within talk to the endpoint."""
    before = dict(os.environ)
    os.environ |= {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def function(peer: Peer, threads: int | None = None) -> Handler:
    """A peer's function, whose client talks to wherever the environment points."""
    return peer.handler(peer.client(), Threads(threads or _THREADS.get(peer.name, 32)))


def counted(server: Endpoint, handler: Handler, event: DynamoDBEvent, entries: Entries | None = None) -> Account:
    """What a batch asks of DynamoDB, given what the ledger holds."""
    server.account(entries=entries)
    handler(event, Context())
    return server.account()


def records_a_second(handlers: dict[str, tuple[Handler, DynamoDBEvent]], repetitions: int) -> dict[str, float]:
    """By name, how fast each function gets through its event."""
    sides = {name: wall(partial(handler, event, Context())) for name, (handler, event) in handlers.items()}
    seconds = medians(sides, repetitions)
    return {name: len(handlers[name][1]["Records"]) / figure for name, figure in seconds.items()}


def events_by_peer(sample: int) -> dict[Peer, DynamoDBEvent]:
    """The whole batch; of it a sample for those who make a request for each record, which all cost the same."""
    full = table_event(RECORDS, USERS)
    return {
        ours.PEER: full,
        lab.PEER: table_event(sample, USERS),
        coalescing.PEER: full,
        powertools.PEER: table_event(sample // 5, USERS),
        batch_token.PEER: full,
    }


def counts() -> Findings:
    """Requests and write units, which are the same on every machine."""
    events = events_by_peer(sample=500)
    with endpoint() as server, client_of(server):
        accounts = {peer.name: counted(server, function(peer), events[peer]) for peer in PEERS}
    mine = accounts[ours.PEER.name]
    floor_requests, floor_units = ceil((RECORDS + USERS) / 100), 2 * (RECORDS + USERS)
    return Findings(
        [
            Row(
                f"Requests a record, {RECORDS:,} records of {USERS} users",
                f"{mine.total / RECORDS:.4f} ({mine.total})",
                f"ceil((R + U) / 100) / R: {floor_requests / RECORDS:.4f} ({floor_requests})",
                mine.total / floor_requests,
                1.05,
                is_count=True,
            ),
            Row(
                "Write units a record",
                f"{mine.write_units / RECORDS:.3f}",
                f"2 (R + U) / R: {floor_units / RECORDS:.3f}",
                mine.write_units / floor_units,
                1.01,
                is_count=True,
            ),
        ],
        {
            "units": {
                peer.name: {"requests": account.total / records, "write_units": account.write_units / records}
                for peer, event in events.items()
                for account, records in [(accounts[peer.name], len(event["Records"]))]
            }
        },
    )


def rates(repetitions: int = 5, sample: int = 1000) -> Findings:
    """Records a second."""
    events, hot = events_by_peer(sample), table_event(sample, 1)
    full, part = events[ours.PEER], events[lab.PEER]
    with endpoint() as server, client_of(server):
        at_once = records_a_second(
            {
                "ours": (function(ours.PEER), full),
                "alone": (function(lab.PEER, 1), part),
                "lab": (function(lab.PEER), part),
            },
            repetitions,
        )
        server.account(LATENCIES)
        delayed = records_a_second(
            {peer.name: (function(peer), events[peer]) for peer in PEERS},
            max(1, repetitions // 2),
        )
        cpu_seconds = {
            peer.name: medians({"cpu": cpu(partial(function(peer), event, Context()))}, 1)["cpu"]
            / len(event["Records"])
            for peer in PEERS
            for event in [events[peer]]
        }
        one_user = records_a_second(
            {"ours": (function(ours.PEER), hot), "lab": (function(lab.PEER), hot)}, max(1, repetitions // 2)
        )
    waiting = ", ".join(f"{1000 * seconds:g} ms {name}" for name, seconds in LATENCIES.items() if name != "PutItem")
    mine, usual = delayed[ours.PEER.name], delayed[lab.PEER.name]
    fastest = max(at_once["alone"], at_once["lab"])
    return Findings(
        [
            _rate(
                "Records/s, instant endpoint",
                at_once["ours"],
                "the lab's way, 1 or 32 threads, the faster",
                fastest,
                18,
            ),
            _rate(f"The same with {waiting}", mine, "the lab's way, 32 threads", usual, 8),
            _rate("The same with one hot user", one_user["ours"], "the lab's way, 32 threads", one_user["lab"], 2.5),
        ],
        {"rates": delayed, "cpu_seconds": cpu_seconds},
    )


def _rate(metric: str, mine: float, name: str, other: float, bar: float) -> Row:
    return Row(metric, f"{mine:,.0f}/s", f"{name}: {other:,.0f}/s", mine / other, bar, at_least=True)
