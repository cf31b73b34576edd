"""How batches are cut, and what follows an invocation: the rules that the engine and a redrive share."""

import pytest

from localcloud.engine.delivery import PAYLOAD_BYTES, Batch, after_invocation, batch_length
from localcloud.engine.record import event


def test_the_payload_limit_is_what_invoke_takes() -> None:
    assert PAYLOAD_BYTES == 6_291_456 - 1


def test_a_batch_takes_what_makes_an_event_of_6_mb_and_not_a_byte_more() -> None:
    bodies = [b"1" * 1_000_000] * 5
    rest = PAYLOAD_BYTES - len(event([*bodies, b""]))

    assert len(event([*bodies, b"1" * rest])) == PAYLOAD_BYTES
    assert batch_length([*map(len, bodies), rest, 1], 100) == 6
    assert batch_length([*map(len, bodies), rest + 1, 1], 100) == 5


@pytest.mark.parametrize(("lengths", "batch_size", "count"), [([1] * 5, 3, 3), ([1] * 2, 3, 2), ([], 3, 0)])
def test_a_batch_takes_at_most_its_size(lengths: list[int], batch_size: int, count: int) -> None:
    assert batch_length(lengths, batch_size) == count


def test_a_record_that_is_too_large_goes_by_itself() -> None:
    assert batch_length([PAYLOAD_BYTES, 1], 100) == 1
    assert batch_length([1, PAYLOAD_BYTES, 1], 100) == 1


@pytest.mark.parametrize(("count", "halves"), [(2, [1, 1]), (3, [1, 2]), (4, [2, 2]), (7, [3, 4])])
def test_a_failure_of_the_whole_batch_halves_it_and_consumes_no_retry(count: int, halves: list[int]) -> None:
    outcome = after_invocation(Batch(range(count), invokes=5), None, bisect=True, max_retries=0)

    assert [len(half.records) for half in outcome.next] == halves
    assert [half.invokes for half in outcome.next] == [0, 0]
    assert [number for half in outcome.next for number in half.records] == list(range(count))
    assert (outcome.processed, outcome.discarded) == ((), None)


@pytest.mark.parametrize(("accepted", "bisect"), [(0, True), (None, False)])
def test_what_is_not_halved_is_retried_and_then_discarded(accepted: int | None, bisect: bool) -> None:
    first = after_invocation(Batch([1, 2]), accepted, bisect=bisect, max_retries=1)
    assert first.next == [Batch([1, 2], invokes=1)]

    second = after_invocation(first.next[0], accepted, bisect=bisect, max_retries=1)
    assert (second.next, second.discarded) == ((), Batch([1, 2], invokes=2))


def test_without_a_limit_a_batch_is_retried() -> None:
    outcome = after_invocation(Batch([1], invokes=10_000), None, bisect=True, max_retries=None)

    assert outcome.next == [Batch([1], invokes=10_001)]


def test_progress_resets_the_count_and_leaves_the_rest() -> None:
    outcome = after_invocation(Batch([1, 2, 3], invokes=9, refusals=2), 2, bisect=True, max_retries=0)

    assert (outcome.processed, outcome.next, outcome.discarded) == ([1, 2], [Batch([3])], None)


def test_a_batch_that_is_accepted_leaves_nothing() -> None:
    outcome = after_invocation(Batch([1, 2]), 2, bisect=True, max_retries=0)

    assert (outcome.processed, outcome.next, outcome.discarded) == ([1, 2], (), None)
