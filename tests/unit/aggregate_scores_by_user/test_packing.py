"""What is packed together, and what it costs against the floor."""

from collections import Counter
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from handlers.aggregate_scores_by_user.change import parse
from handlers.aggregate_scores_by_user.ledger import Entry, Task, plan, transaction
from handlers.aggregate_scores_by_user.packing import Stage, pack
from handlers.shared.lambda_types import DynamoDBRecord
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import TABLE_ARN, insert, modify, remove

RECORDS = 10_000


def sizes(stage: Stage) -> list[list[int]]:
    return [[sum(map(len, transaction(bin_))) for bin_ in queue] for queue in stage]


def inserts(users: list[str]) -> list[Task]:
    return [plan(parse(insert(i, i + 1, user, "1"), i, TABLE_ARN), None) for i, user in enumerate(users)]


def test_full_bins_of_a_user_form_a_queue_and_remainders_share_one() -> None:
    stages = pack(inserts(["ann"] * 199 + ["bob"] * 100))

    assert [sizes(stage) for stage in stages] == [[[100, 100], [100]], [[4]]]


def test_the_longest_queue_begins_first() -> None:
    (stage,) = pack(inserts(["ann"] * 99 + ["bob"] * 297 + ["cid"] * 198))

    assert [len(queue) for queue in stage] == [3, 2, 1]


def test_a_remainder_that_is_cut_runs_in_two_stages() -> None:
    stages = pack(inserts(["ann"] * 60 + ["bob"] * 60))

    assert [sizes(stage) for stage in stages] == [[[100]], [[23]]]


def test_neighbours_among_cut_remainders_are_kept_apart() -> None:
    stages = pack(inserts([user for user in "abcdef" for _ in range(60)]))

    assert [sizes(stage) for stage in stages] == [[[100], [100]], [[100], [69]]]
    for stage in stages:
        users = [{user for bin_ in queue for task in bin_ for user in task.users} for queue in stage]
        assert users[0].isdisjoint(users[1])


def test_deletes_of_unknown_users_run_all_at_once() -> None:
    stages = pack([plan(parse(remove(i, i + 1), i, TABLE_ARN), None) for i in range(250)])

    assert [sizes(stage) for stage in stages] == [[[100], [100]], [[50]]]


def test_a_task_alone_shares_nothing_but_its_users_queue() -> None:
    tasks = inserts(["ann"] * 4)
    tasks[1:3] = [task._replace(is_alone=True) for task in tasks[1:3]]

    assert [sizes(stage) for stage in pack(tasks)] == [[[2, 2]], [[3]]]


def moved(old: str, new: str, times: int) -> list[Task]:
    changes = [parse(modify(i, i + 1, new, "1"), i, TABLE_ARN) for i in range(times)]
    return [plan(change, Entry("", old, change.score)) for change in changes]


def test_a_bin_is_full_when_its_items_and_all_its_users_are_a_hundred() -> None:
    assert [sizes(stage) for stage in pack([*moved("ann", "bob", 98), *inserts(["cid"])])] == [[[100]], [[2]]]
    assert [sizes(stage) for stage in pack([*moved("a", "b", 33), *moved("a", "c", 33), *moved("b", "c", 31)])] == [
        [[100]]
    ]


def test_those_who_gain_a_record_share_the_queue_of_those_who_lose_it() -> None:
    stages = pack([*moved("ann", "bob", 200), *inserts(["bob"] * 200)])

    assert [len(stage) for stage in stages] == [1, 1]


def test_a_task_alone_keeps_no_others_from_sharing() -> None:
    tasks = inserts(["bob"] * 30 + ["ann"] + ["cid"] * 30)
    tasks[30] = tasks[30]._replace(is_alone=True)

    assert [sizes(stage) for stage in pack(tasks)] == [[[2]], [[62]]]


users = st.sampled_from("abcdefgh")
renames = st.tuples(users, users, st.booleans())


@given(st.lists(renames, min_size=1, max_size=40), st.integers(1, 20))
@example([("a", "b", False), ("b", "c", False)], 200)
@example([("a", "b", False), ("a", "c", False), ("b", "c", False)], 100)
def test_every_task_runs_once_and_queues_of_a_stage_share_no_user(
    moves: list[tuple[str, str, bool]], times: int
) -> None:
    tasks = []
    for i, (old, new, is_alone) in enumerate(moves * times):
        change = parse(modify(i, i + 1, new, "1"), i, TABLE_ARN)
        tasks.append(plan(change, Entry("", old, change.score), is_alone=is_alone))

    stages = pack(tasks)

    ran = [task for stage in stages for queue in stage for bin_ in queue for task in bin_]
    assert Counter(ran) == Counter(tasks)
    for stage in stages:
        owners = Counter(user for queue in stage for user in {u for bin_ in queue for task in bin_ for u in task.users})
        assert all(count == 1 for count in owners.values())
        assert all(1 <= size <= 100 for queue in sizes(stage) for size in queue)
        assert all(len(bin_) == 1 or not any(t.is_alone for t in bin_) for queue in stage for bin_ in queue)


EVEN = [f"user-{i % 100}" for i in range(RECORDS)]
ZIPF = [f"user-{min(RECORDS // (i + 1), 500)}" for i in range(RECORDS)]


@pytest.mark.parametrize(
    ("names", "requests"),
    [
        pytest.param(EVEN, 102, id="a hundred users"),
        pytest.param([f"user-{i}" for i in range(RECORDS)], 200, id="all users distinct"),
        pytest.param(["ann"] * RECORDS, 102, id="one hot user"),
        pytest.param([f"user-{i % 200}" for i in range(RECORDS)], 104, id="half bins"),
        pytest.param(ZIPF, None, id="zipf"),
    ],
)
def test_requests_and_write_units_are_close_to_the_floor(names: list[str], requests: int | None) -> None:
    ledger = InMemoryLedger()
    records = [insert(i, i + 1, name, "1") for i, name in enumerate(names)]

    Function(ledger, InMemoryParking()).invoke(records)

    items = RECORDS + len(set(names))
    assert requests in (None, ledger.requests)
    assert ledger.requests <= 1.05 * ceil(items / 100)
    assert ledger.write_units <= 1.0101 * 2 * items


@pytest.mark.parametrize(
    ("batch", "writes", "reads"),
    [
        pytest.param([insert(i, i + 1, "ann", "1") for i in range(99)], 2.02, 0, id="redelivered inserts"),
        pytest.param([modify(i, i + 1, "ann", "1") for i in range(99)], 0, 1, id="redelivered updates"),
        pytest.param([modify(i, i + 1000, "ann", "2") for i in range(99)], 2.02, 1, id="updates"),
        pytest.param([remove(i, i + 1000) for i in range(99)], 2.02, 1, id="deletes"),
        pytest.param([modify(i, i + 1000, f"user-{i}", "2") for i in range(99)], 4.04, 1, id="renames"),
    ],
)
def test_changes_of_counted_items_cost_what_the_decision_record_says(
    batch: list[DynamoDBRecord], writes: float, reads: float
) -> None:
    ledger = InMemoryLedger()
    function = Function(ledger, InMemoryParking())
    function.invoke([insert(i, i + 1, "ann", "1") for i in range(99)])
    ledger.write_units = 0

    function.invoke(batch)

    assert ledger.write_units / len(batch) == pytest.approx(writes, abs=0.05)
    assert ledger.read_units / len(batch) == reads
