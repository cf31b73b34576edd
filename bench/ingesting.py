"""Ways to store score events, before an endpoint: requests, write units and CPU time of each.

A later event must not be replaced by an older one, so BatchWriteItem, which takes no conditions, is only here to
compare with. `INSERT` in a batch of PartiQL statements has the one condition that there is no such item; an event of a
record that exists would cost a second write.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bench.endpoint import Endpoint, endpoint
from bench.events import score_events
from bench.measuring import Findings, Row, cpu, medians, wall
from bench.writing import client_of
from handlers.process_kinesis_records.dynamodb import DynamoDBScoreRecords
from handlers.process_kinesis_records.ingestion import ScoreEvent
from handlers.shared import aws, decimals
from handlers.shared.workers import Threads

EVENTS, THREADS = 1000, 16
LATENCIES = {"PutItem": 0.0075}
"""Seconds."""
_TABLE = "GameScoreRecords"
_CONDITION = "attribute_not_exists(EventPosition) OR EventPosition < :position"
_INSERT = f"INSERT INTO \"{_TABLE}\" VALUE {{'RecordID': ?, 'Username': ?, 'Score': ?, 'EventPosition': ?}}"

Store = Callable[[Any, Sequence[ScoreEvent]], object]
"""Stores some events in one request of a client."""


def _item(event: ScoreEvent) -> dict[str, Any]:
    return {
        "RecordID": {"N": decimals.canonical(event.record_id)},
        "Username": {"S": event.username},
        "Score": {"N": decimals.canonical(event.score)},
        "EventPosition": {"S": event.position},
    }


def _ours(client: Any, events: Sequence[ScoreEvent]) -> None:
    DynamoDBScoreRecords(client, _TABLE).put(events[0])


def _batch_write(client: Any, events: Sequence[ScoreEvent]) -> None:
    client.batch_write_item(RequestItems={_TABLE: [{"PutRequest": {"Item": _item(event)}} for event in events]})


def _partiql(client: Any, events: Sequence[ScoreEvent]) -> None:
    statements = [{"Statement": _INSERT, "Parameters": list(_item(event).values())} for event in events]
    client.batch_execute_statement(Statements=statements)


def _transact(client: Any, events: Sequence[ScoreEvent]) -> None:
    client.transact_write_items(
        TransactItems=[
            {
                "Put": {
                    "TableName": _TABLE,
                    "Item": _item(event),
                    "ConditionExpression": _CONDITION,
                    "ExpressionAttributeValues": {":position": {"S": event.position}},
                }
            }
            for event in events
        ]
    )


OURS = "conditional PutItem"
WAYS: dict[str, tuple[int, Store]] = {
    OURS: (1, _ours),
    "BatchWriteItem, 25, no condition": (25, _batch_write),
    "PartiQL INSERT, 25": (25, _partiql),
    "TransactWriteItems, 100": (100, _transact),
}
"""Events a request, and how it is made."""
_OTHERS = [name for name in WAYS if name != OURS]


def _store_all(name: str, workers: Threads, events: Sequence[ScoreEvent]) -> Callable[[], object]:
    """Something that stores the events, by clients of its own."""
    size, store = WAYS[name]
    client = aws.client("dynamodb", THREADS)
    requests = [events[at : at + size] for at in range(0, len(events), size)]
    return lambda: list(workers.map(partial(store, client), requests))


def _units(server: Endpoint, events: Sequence[ScoreEvent]) -> dict[str, float]:
    units = {}
    for name in WAYS:
        store = _store_all(name, Threads(1), events)
        server.account()
        store()
        units[name] = server.account().write_units / len(events)
    return units


def counts() -> Findings:
    """Write units, which are the same on every machine."""
    with endpoint() as server, client_of(server):
        units = _units(server, score_events(100))
    return Findings(
        [
            Row(
                "Write units a score event",
                f"{units[OURS]:.2f}",
                "; ".join(f"{name}: {units[name]:.2f}" for name in _OTHERS),
                units[OURS],
                1.1,
                is_count=True,
            )
        ],
        {"units": units},
    )


def measure(repetitions: int = 5) -> Findings:
    """Write units, CPU time a score event, and events a second when DynamoDB takes its time."""
    findings, events, workers = counts(), score_events(EVENTS), Threads(THREADS)
    with endpoint() as server, client_of(server):
        ways = {name: _store_all(name, workers, events) for name in WAYS}
        server.account()
        cpu_seconds = medians({name: cpu(way) for name, way in ways.items()}, repetitions)
        server.account(LATENCIES)
        seconds = medians({name: wall(way) for name, way in ways.items()}, max(1, repetitions // 2))
    us = {name: 1e6 * each / EVENTS for name, each in cpu_seconds.items()}
    rates = {name: EVENTS / each for name, each in seconds.items()}
    findings.rows += [
        Row("CPU a score event", f"{us[OURS]:.0f} µs", f"{name}: {us[name]:.0f} µs", us[OURS] / us[name], None)
        for name in _OTHERS
    ]
    findings.rows += [
        Row(
            f"Score events/s, {THREADS} requests at once, {1000 * LATENCIES['PutItem']:g} ms each",
            f"{rates[OURS]:,.0f}/s",
            f"{name}: {rates[name]:,.0f}/s",
            rates[OURS] / rates[name],
            None,
        )
        for name in _OTHERS[:1]
    ]
    findings.data |= {"cpu_seconds": {name: each / EVENTS for name, each in cpu_seconds.items()}, "rates": rates}
    return findings
