"""Any history, delivered in any way that AWS may deliver it, leaves the totals equal to the sums.

A history is what happened to the table. A seed decides how its stream is delivered and what goes wrong
meanwhile; hypothesis prints both when a run fails, and shrinks them. HISTORIES sets how many are tried.
"""

import os
from random import Random

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from handlers.shared.lambda_types import BatchResponse, DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.property.world import World, played

HISTORIES = int(os.environ.get("HISTORIES", "3000"))

record_ids = st.integers(1, 4)
users = st.sampled_from(["ann", "bob", "cid"])
scores = st.sampled_from(["0", "1", "-2", "0.1", "12345678901234567890.12345678901234567", "7E-16"])
steps = st.one_of(
    st.tuples(st.just("put"), record_ids, users, scores),
    st.tuples(st.just("put"), record_ids, users, scores),
    st.tuples(st.just("delete"), record_ids, users, scores),
    st.tuples(st.just("replace"), record_ids, users, scores),
    st.tuples(st.just("spoil"), record_ids, users, scores),
)
histories = st.lists(steps, min_size=1, max_size=15)


@settings(
    max_examples=HISTORIES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories, st.integers(0, 2**32 - 1))
def test_totals_equal_the_sums_whatever_happened_on_the_way(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    note(f"seed {seed}")
    table, random = played(history, first_sequence_number=10**22 - seed % 10), Random(seed)
    ledger, parking = InMemoryLedger(), InMemoryParking()

    def invoke(batch: list[DynamoDBRecord]) -> BatchResponse:
        return Function(ledger, parking, random, seconds=random.choice([0.2, 0.5])).invoke(batch)

    world = World(table, random, invoke, mishaps=random.randrange(12))
    ledger.before, ledger.after, parking.before = world.before, world.after, world.before

    world.drain_in_turns(consumers=1 + seed % 2)
    world.redrive()

    assert ledger.counted() == table.sums()
    assert set(parking.documents) == keys_of_poison(table.stream)

    totals, entries = dict(ledger.totals), dict(ledger.entries)
    for batch in (table.stream, table.stream[::-1], world.cut_anyhow()):
        assert invoke(batch) == {"batchItemFailures": []}

    assert (ledger.totals, ledger.entries) == (totals, entries)


def keys_of_poison(stream: list[DynamoDBRecord]) -> set[str]:
    """Where the records that say nothing must be parked."""
    return {
        f"parked/AggregateScoresByUser/2026-11-23/{record['eventID']}.json"
        for record in stream
        if "S" in record["dynamodb"].get("NewImage", {}).get("Score", {})
    }
