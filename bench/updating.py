"""Updates, deletes and redelivered batches, beside a function that tries a transaction first and reads only then."""

from collections.abc import Callable, Mapping
from functools import partial
from random import Random

from bench.costs import READ_UNIT, WRITE_UNIT
from bench.endpoint import Account, Entries, endpoint
from bench.events import FIRST_RECORD, table_records
from bench.measuring import Findings, Row
from bench.peers import ours, transaction_first
from bench.writing import RECORDS, USERS, client_of, counted, function, records_a_second
from handlers.aggregate_scores_by_user.change import SEQUENCE_NUMBER_DIGITS
from handlers.shared.lambda_types import DynamoDBEvent, DynamoDBRecord
from tests.fakes.stream import LABEL

PEERS = (ours.PEER, transaction_first.PEER)
LATENCIES = {"BatchGetItem": 0.010, "TransactWriteItems": 0.035}
"""Seconds."""
THREADS = 16
"""The default of CONCURRENCY."""
HOT_RECORDS = 1000
_OTHER = transaction_first.PEER.name
_UPDATES, _DELETES = 1500, 500
"""Of 10,000 records; the rest are inserts."""
_LATER = "9" * SEQUENCE_NUMBER_DIGITS
_EARLIER = "0" * (SEQUENCE_NUMBER_DIGITS - 1) + "1"


def _entries(users: int, *, count: int = RECORDS, sequence_number: str = _EARLIER) -> Entries:
    """The ledger's entries of the first so many records."""
    return Entries(FIRST_RECORD + count, users, f"{LABEL}#{sequence_number}")


def _updated(record: DynamoDBRecord) -> DynamoDBRecord:
    record["eventName"] = "MODIFY"
    return record


def _renamed(record: DynamoDBRecord) -> DynamoDBRecord:
    image = record["dynamodb"]["NewImage"]
    image["Username"] = {"S": image["Username"]["S"].replace("player", "renamed")}
    return _updated(record)


def _deleted(record: DynamoDBRecord) -> DynamoDBRecord:
    record["eventName"] = "REMOVE"
    del record["dynamodb"]["NewImage"]
    return record


def updates(n: int = RECORDS, users: int = USERS) -> list[DynamoDBRecord]:
    """Each record's score, changed."""
    return list(map(_updated, table_records(n, users)))


def _mixed() -> list[DynamoDBRecord]:
    records = table_records(RECORDS, USERS)
    existing, new = records[: _UPDATES + _DELETES], records[_UPDATES + _DELETES :]
    Random(1).shuffle(existing)  # noqa: S311
    batch = [*map(_updated, existing[:_UPDATES]), *map(_deleted, existing[_UPDATES:]), *new]
    Random(2).shuffle(batch)  # noqa: S311
    return batch


Batch = tuple[Callable[[], list[DynamoDBRecord]], Entries | None]
"""Records, and the entries that the ledger has before."""

BATCHES: Mapping[str, Batch] = {
    "insert": (partial(table_records, RECORDS, USERS), None),
    "update": (updates, _entries(USERS)),
    "delete": (lambda: list(map(_deleted, table_records(RECORDS, USERS))), _entries(USERS)),
    "rename": (lambda: list(map(_renamed, table_records(RECORDS, RECORDS))), _entries(RECORDS)),
    "mixed": (_mixed, _entries(USERS, count=_UPDATES + _DELETES)),
    "redelivered": (partial(table_records, RECORDS, USERS), _entries(USERS, sequence_number=_LATER)),
}


def dollars(account: Account) -> float:
    """What DynamoDB charges for a million records like those of the batch."""
    return 1e6 / RECORDS * (account.write_units * WRITE_UNIT + account.read_units * READ_UNIT)


def counts() -> Findings:
    """Write and read units, the same on every machine. Those of a batch delivered again are bounded."""
    with endpoint() as server, client_of(server):
        accounts = {
            name: {peer.name: counted(server, function(peer, THREADS), {"Records": make()}, entries) for peer in PEERS}
            for name, (make, entries) in BATCHES.items()
        }
    mine = {name: each[ours.PEER.name] for name, each in accounts.items()}
    other = {name: each[transaction_first.PEER.name] for name, each in accounts.items()}
    reads, inserts = 1e6 / RECORDS * mine["mixed"].read_units * READ_UNIT, dollars(mine["insert"])
    kinds = {
        "update": (f"Update of a score, {RECORDS:,} records of {USERS} users", 2.05),
        "delete": ("Delete, the same", 2.05),
        "rename": ("Change of Username, every user distinct", 6.1),
    }
    rows = []
    for name, (metric, bar) in kinds.items():
        units, before = mine[name].write_units / RECORDS, other[name].write_units / RECORDS
        rows += [
            Row(
                f"{metric}: write units a record", f"{units:.2f}", f"{_OTHER}: {before:.2f}", units, bar, is_count=True
            ),
            Row(
                "The same, read units",
                f"{mine[name].read_units / RECORDS:.2f}",
                f"{_OTHER}: {other[name].read_units / RECORDS:.2f}",
                mine[name].read_units / RECORDS,
                1,
                is_count=True,
            ),
        ]
    redelivered, before = dollars(mine["redelivered"]), dollars(other["redelivered"])
    rows += [
        Row(
            "80 % inserts, 15 % updates, 5 % deletes: DynamoDB, $ a million records",
            f"{dollars(mine['mixed']):.3f}, of which reads {reads:.3f}",
            f"inserts alone: {inserts:.3f}; {_OTHER}: {dollars(other['mixed']):.3f}",
            (dollars(mine["mixed"]) - reads) / inserts,
            1.06,
            is_count=True,
        ),
        # At most one transaction a thread is under way when the first one fails.
        Row(
            f"Inserts delivered again, {THREADS} transactions at once: DynamoDB, $ a million records",
            f"{redelivered:.3f}",
            f"{_OTHER}: {before:.3f}",
            redelivered / before,
            0.3,
            is_count=True,
        ),
    ]
    return Findings(rows)


def measure(repetitions: int = 3) -> Findings:
    """Units, and updates a second when DynamoDB takes its time."""
    findings = counts()
    many: DynamoDBEvent = {"Records": updates()}
    hot: DynamoDBEvent = {"Records": updates(HOT_RECORDS, 1)}
    with endpoint() as server, client_of(server):
        functions = {peer.name: function(peer, THREADS) for peer in PEERS}
        server.account(LATENCIES, _entries(USERS))
        of_many = records_a_second({name: (each, many) for name, each in functions.items()}, repetitions)
        server.account(LATENCIES, _entries(1))
        of_one = records_a_second({name: (each, hot) for name, each in functions.items()}, repetitions)
    waiting = ", ".join(f"{1000 * seconds:g} ms {name}" for name, seconds in LATENCIES.items())
    for metric, found, bar in (
        (f"Updates/s with {waiting}", of_many, 1.6),
        ("The same with one hot user", of_one, 1.5),
    ):
        own, before_ = found[ours.PEER.name], found[transaction_first.PEER.name]
        findings.rows.append(
            Row(metric, f"{own:,.0f}/s", f"{_OTHER}: {before_:,.0f}/s", own / before_, bar, at_least=True)
        )
    return findings
