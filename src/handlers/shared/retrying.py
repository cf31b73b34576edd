"""Retries with backoff, bounded by the time that an invocation has left."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from handlers.shared.errors import RetryableError

Result = TypeVar("Result")

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Exponential backoff with full jitter, until the time is up. Seconds throughout.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    remaining: Callable[[], float]
    """Return the seconds in which a call may still begin. A call that has begun by then still has time to end."""
    sleep: Callable[[float], None]
    random: Callable[[], float]
    """Uniform in [0, 1)."""

    def call(self, action: Callable[[], Result]) -> Result:
        """Return the action's result. Raises its last RetryableError when there is no time for another attempt."""
        if self.remaining() <= 0:
            raise RetryableError("no time left to begin")
        longest = _FIRST_PAUSE
        while True:
            try:
                return action()
            except RetryableError:
                pause = longest * self.random()
                if pause >= self.remaining():
                    raise
                self.sleep(pause)
                longest = min(2 * longest, _LONGEST_PAUSE)
