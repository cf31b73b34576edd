"""Where the knees are: batch size, users, concurrency, memory."""

from functools import partial
from typing import Any

from bench.costs import CORE_MB
from bench.endpoint import Endpoint, endpoint
from bench.events import Context, table_event, table_records
from bench.measuring import Findings, cpu, medians, wall
from bench.peers import Handler, ours
from bench.writing import LATENCIES, RECORDS, USERS, client_of, counted, function
from handlers.shared.lambda_types import DynamoDBEvent

BATCHES = (100, 200, 500, 1000, 2000, 5000, 10_000)
USER_COUNTS = (1, 10, 100, 1000, 10_000)
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64)
MEMORY_SIZES = (128, 256, 512, 1024, 1769)


def measure(repetitions: int = 3) -> Findings:
    """Records a second, and seconds a batch, as one setting changes and the others stay; with the set latencies."""
    with endpoint() as server, client_of(server):
        server.account(LATENCIES)
        handler = function(ours.PEER)
        sizes = {size: table_event(size, USERS) for size in BATCHES}
        users: dict[str, Any] = {f"{count:,}": table_event(RECORDS, count) for count in USER_COUNTS}
        users["Zipf, 10,000"] = {"Records": table_records(RECORDS, RECORDS, zipf=True)}
        server.account(LATENCIES)
        by_size = {size: _seconds(partial(handler, event, Context()), repetitions) for size, event in sizes.items()}
        by_users = {name: _seconds(partial(handler, event, Context()), repetitions) for name, event in users.items()}
        units_by_size = {size: _units(server, handler, event) for size, event in sizes.items()}
        units_by_users = {name: _units(server, handler, event) for name, event in users.items()}
        server.account(LATENCIES)
        by_concurrency = {
            threads: _seconds(partial(function(ours.PEER, threads), sizes[RECORDS], Context()), repetitions)
            for threads in CONCURRENCIES
        }
        work = partial(handler, sizes[RECORDS], Context())
        cpu_seconds = medians({"cpu": cpu(work)}, repetitions)["cpu"]
    return Findings(
        data={
            "batch": {
                str(size): {"records_a_second": size / each, "seconds": each, "write_units": units_by_size[size]}
                for size, each in by_size.items()
            },
            "users": {
                name: {"records_a_second": RECORDS / each, "seconds": each, "write_units": units_by_users[name]}
                for name, each in by_users.items()
            },
            "concurrency": {
                str(threads): {"records_a_second": RECORDS / each, "seconds": each}
                for threads, each in by_concurrency.items()
            },
            "memory": {
                str(size): {"records_a_second": RECORDS / max(by_size[RECORDS], cpu_seconds / (size / CORE_MB))}
                for size in MEMORY_SIZES
            },
        }
    )


def _seconds(work: Any, repetitions: int) -> float:
    return medians({"": wall(work)}, repetitions)[""]


def _units(server: Endpoint, handler: Handler, event: DynamoDBEvent) -> float:
    """Write units a record."""
    return counted(server, handler, event).write_units / len(event["Records"])
