import pytest

from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.retrying import Patience


class Clock:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds -= seconds

    def patience(self, random: float = 0.5) -> Patience:
        return Patience(lambda: self.seconds, self.sleep, lambda: random)


def action(failures: int) -> str:
    if failures:
        raise RetryableError(f"{failures} to go")
    return "done"


def test_pauses_grow_up_to_a_limit_until_the_action_succeeds() -> None:
    clock = Clock(100)
    failures = iter(range(8, -1, -1))

    assert clock.patience(random=1.0).call(lambda: action(next(failures))) == "done"

    assert clock.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_jitter_is_full() -> None:
    clock = Clock(100)
    failures = iter([2, 1, 0])

    clock.patience(random=0.0).call(lambda: action(next(failures)))

    assert clock.pauses == [0, 0]


def test_the_last_error_is_raised_when_there_is_no_time_for_another_try() -> None:
    clock = Clock(0.1)
    failures = iter(range(9, 0, -1))

    with pytest.raises(RetryableError, match="8 to go"):
        clock.patience(random=1.0).call(lambda: action(next(failures)))

    assert clock.pauses == [0.05]


def test_a_pause_that_would_use_up_the_time_is_not_begun() -> None:
    clock = Clock(0.05)

    with pytest.raises(RetryableError, match="1 to go"):
        clock.patience(random=1.0).call(lambda: action(1))

    assert clock.pauses == []


def test_nothing_is_begun_when_the_time_is_up() -> None:
    with pytest.raises(RetryableError, match=r"^no time left to begin$"):
        Clock(0).patience().call(pytest.fail)


def test_what_is_refused_is_not_tried_again() -> None:
    clock = Clock(100)

    def refuse() -> None:
        raise RefusedError("AccessDenied")

    with pytest.raises(RefusedError):
        clock.patience().call(refuse)

    assert clock.pauses == []
