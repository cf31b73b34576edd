import threading

import pytest

from handlers.shared.workers import Threads


def test_results_come_in_the_order_of_their_items() -> None:
    assert list(Threads(4).map(str, range(20))) == [str(item) for item in range(20)]


@pytest.mark.parametrize("number", [2, 4])
def test_several_are_at_work_at_once(number: int) -> None:
    meeting = threading.Barrier(number)

    assert len(list(Threads(4).map(lambda _: meeting.wait(timeout=10), range(number)))) == number


def test_no_more_are_at_work_at_once_than_allowed() -> None:
    threads = set(Threads(2).map(lambda _: threading.current_thread(), range(50)))

    assert len(threads) <= 2
    assert threading.current_thread() not in threads


def test_no_items_are_no_work() -> None:
    assert list(Threads(4).map(str, [])) == []


def test_a_single_item_does_not_pay_for_a_thread() -> None:
    assert list(Threads(4).map(lambda _: threading.current_thread(), [0])) == [threading.current_thread()]


def test_an_error_is_raised_once_nothing_is_at_work_any_more() -> None:
    done = []

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("first")
        done.append(item)

    with pytest.raises(ValueError, match="first"):
        Threads(2).map(work, range(10))

    assert sorted(done) == list(range(1, 10))
