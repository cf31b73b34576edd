"""Any history, delivered in any way that AWS may deliver it, leaves the totals equal to the sums.

A history is what happened to the table. A seed decides how its stream is delivered and what goes wrong
meanwhile; hypothesis prints both when a run fails, and shrinks them. HISTORIES sets how many are tried.
"""

import json
import os
from collections import defaultdict
from decimal import Decimal
from random import Random
from unittest.mock import patch

from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from handlers.aggregate_scores_by_user import packing
from handlers.aggregate_scores_by_user.change import parse
from handlers.aggregate_scores_by_user.counting import TOO_OLD
from handlers.shared import decimals
from handlers.shared.lambda_types import BatchResponse, DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.score_tables import InMemoryScoreTables, OpenLedger, reconciliation
from tests.fakes.stream import TABLE_ARN, SourceTable, insert, score_image
from tests.property.fault_model import NEW_SPELLING, FaultyStream, misread, played

HISTORIES = int(os.environ.get("HISTORIES", "1000"))
DAY = 24 * 60 * 60

FAR_APART = ["1E+60", "-1E+60"]
"""Scores that fit no total together with others, since 38 digits do not reach from one to the other."""

record_ids = st.integers(1, 6)
users = st.sampled_from(["ann", "bob", "cid"])
scores = st.sampled_from(["0", "1", "-2", "0.1", "12345678901234567890.12345678901234567", NEW_SPELLING])
any_scores = st.one_of(scores, scores, st.sampled_from(FAR_APART))


def histories_of(scores: st.SearchStrategy[str]) -> st.SearchStrategy[list[tuple[str, int, str, str]]]:
    """Histories whose items have these scores."""
    kinds = st.sampled_from(["put", "put", "delete", "replace", "spoil"])
    return st.lists(st.tuples(kinds, record_ids, users, scores), min_size=1, max_size=15)


histories = histories_of(scores)


@settings(
    max_examples=HISTORIES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories_of(any_scores), st.integers(0, 2**32 - 1))
def test_totals_equal_the_sums_whatever_happened_on_the_way(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    note(f"seed {seed}")
    check_totals_of(history, seed)


@settings(
    max_examples=HISTORIES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(histories, st.integers(0, 2**32 - 1))
def test_totals_equal_the_sums_when_a_batch_takes_several_transactions(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    """Three items make a transaction, so some are left when the first has failed.

    Scores that cancel out only together are left out: they can be counted only in one transaction (0003).
    """
    note(f"seed {seed}")
    with patch.object(packing, "_ITEMS", 3):
        check_totals_of(history, seed)


def check_totals_of(history: list[tuple[str, int, str, str]], seed: int) -> None:
    table, random = played(history, first_sequence_number=10**22 - seed % 10), Random(seed)
    ledger, parking = InMemoryLedger(), InMemoryParking()
    is_calm = False

    def invoke(batch: list[DynamoDBRecord]) -> BatchResponse:
        seconds = 100 if is_calm else random.choice([0.2, 0.5])
        is_old_release = not is_calm and random.random() < 0.3
        return Function(ledger, parking, random, seconds).invoke(misread(batch) if is_old_release else batch)

    def parked() -> list[DynamoDBRecord]:
        return [record for record in table.stream if key(record) in parking.documents]

    stream = FaultyStream(table, random, invoke, mishaps=random.randrange(12))
    ledger.before, ledger.after, parking.before = stream.before, stream.after, stream.before
    ledger.before_read = lambda: stream.before(None)

    stream.drain_in_turns(consumers=1 + seed % 2)
    stream.redrive_in_turns(random.randrange(4), parked, consumers=random.randrange(2), mishaps=random.randrange(8))
    is_calm = True
    # What keeps others from being counted goes, so that in the end everything can be.
    for record_id, image in list(table.items.items()):
        if image["Score"].get("N") in FAR_APART:
            table.delete(record_id)
    stream.drain_in_turns(consumers=1)
    stream.redrive(parked())
    # All at once: scores that are far apart, but cancel out, can only leave a total together.
    for _ in range(3):
        assert invoke(parked()) == {"batchItemFailures": []}

    assert ledger.counted() == table.sums()
    assert parking.documents.keys() >= {key(record) for record in table.stream if is_poison(record)}

    totals, entries = dict(ledger.totals), dict(ledger.entries)
    for batch in (table.stream, table.stream[::-1], stream.cut_anyhow()):
        assert invoke(batch) == {"batchItemFailures": []}
        assert invoke(misread(batch)) == {"batchItemFailures": []}

    assert (ledger.totals, ledger.entries) == (totals, entries)


slow_steps = st.sampled_from(["put", "put", "delete", "replace", "test", "reconcile"])
slow_histories = st.lists(
    st.one_of(
        st.tuples(slow_steps, st.integers(1, 2), users, scores),
        st.tuples(slow_steps, st.integers(1, 2), users, scores),
        st.tuples(st.just("wait"), st.sampled_from([1, 20, 40, 60]), users, scores),
    ),
    min_size=1,
    max_size=20,
)
deleted_long_ago = [("put", 1, "ann", "1"), ("delete", 1, "", ""), ("wait", 60, "", "")]
"""With these seeds, the delete is counted and forgotten, and the insert lies in the failure bucket."""


@settings(
    max_examples=HISTORIES // 2,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(slow_histories, st.integers(0, 2**32 - 1))
@example([*deleted_long_ago, ("test", 1, "bob", "0.1"), ("wait", 1, "", "")], 15)
@example([*deleted_long_ago, ("put", 1, "bob", "-2"), ("wait", 60, "", ""), ("reconcile", 1, "", "")], 19)
def test_a_replay_after_any_time_counts_what_the_ledger_can_judge_and_nothing_else(
    history: list[tuple[str, int, str, str]], seed: int
) -> None:
    note(f"seed {seed}")
    table, random = SourceTable(first_sequence_number=10**22), Random(seed)
    ledger, parking = OpenLedger(clock=lambda: table.now), InMemoryParking()
    failed: list[DynamoDBRecord] = []
    expired: list[DynamoDBRecord] = []

    def invoke(batch: list[DynamoDBRecord]) -> None:
        function = Function(ledger, parking, random, seconds=100, clock=lambda: table.now)
        assert function.invoke(batch) == {"batchItemFailures": []}

    for step, number, username, score in [*history, ("wait", 60, "", "")]:
        before = len(table.stream)
        if step == "wait":
            table.now += number * DAY
            # DynamoDB may expire an item days after its time, and clocks differ.
            ledger.forget(lambda: table.now + random.uniform(-10, 5) * DAY)
            invoke(random.sample(failed, random.randint(0, len(failed))))
            # A record parked again is a new object, so only some leave the bucket in time.
            old = [record for record in failed if table.now - parse(record, 0, TABLE_ARN).at > 35 * DAY]
            expired += random.sample(old, random.randint(0, len(old)))
            failed = [record for record in failed if record not in expired]
        if step == "test":
            test = insert(number, random.randrange(1, 9), username, score)
            test["eventSourceARN"] = "made by hand"
            invoke([test])
        if step == "reconcile":
            # Redrive first, as the runbook says: what is left in the bucket is too old.
            invoke(random.sample(failed, len(failed)))
            reconciliation(InMemoryScoreTables(table, ledger), ledger, random).run(fix=True)
            assert ledger.counted() == table.sums()
            failed = [record for record in failed if table.now - parse(record, 0, TABLE_ARN).at > 35 * DAY]
            invoke(random.sample(failed, random.randint(0, len(failed))))
            assert ledger.counted() == table.sums(), "a replay of what was too old before changes nothing after"
        if step in ("delete", "replace"):
            table.delete(number)
        if step in ("put", "replace"):
            table.put(number, score_image(number, username, score))
        for record in table.stream[before:]:
            if random.random() < 0.5:
                invoke([record])
            else:
                failed.append(record)
    invoke(random.sample(failed, len(failed)))

    too_old = {
        json.loads(document)["payload"]["Records"][0]["dynamodb"]["Keys"]["RecordID"]["N"]
        for document in parking.documents.values()
        if json.loads(document)["reason"] == TOO_OLD
    }
    newest = {record["dynamodb"]["Keys"]["RecordID"]["N"]: record for record in table.stream}
    for record_id, record in newest.items():
        if record in expired:
            continue
        entry = ledger.entries.get(record_id)
        change = parse(record, 0, TABLE_ARN)
        if record_id in too_old and (entry is None or entry.is_substitute):
            assert table.now - change.at > 35 * DAY or change.username is None
        elif change.username is None and entry is not None and entry.is_test:
            continue  # the delete was counted and forgotten before the test event came
        else:
            assert (entry and entry.username, entry.score if entry else Decimal(0)) == (change.username, change.score)
    assert ledger.counted() == sums_of(ledger)


def sums_of(ledger: InMemoryLedger) -> dict[str, tuple[Decimal, int]]:
    """By user, what the entries say has been counted."""
    sums: dict[str, tuple[Decimal, int]] = defaultdict(lambda: (Decimal(0), 0))
    for _, username, score in ledger.entries.values():
        if username is not None:
            sum_, records = sums[username]
            sums[username] = decimals.add(sum_, score), records + 1
    return sums


def is_poison(record: DynamoDBRecord) -> bool:
    """Whether no release can count the record."""
    return "S" in record["dynamodb"].get("NewImage", {}).get("Score", {})


def key(record: DynamoDBRecord) -> str:
    """Where a record is parked."""
    return f"parked/AggregateScoresByUser/2026-11-23/{record['eventID']}.json"
