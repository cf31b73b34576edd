"""Bounded concurrency."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers(Protocol):
    """A pool of workers."""

    def map(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        """Return the results in the order of the items. The work is done in any order, several items at a time."""


class Threads:
    """A pool of threads, for work that mostly waits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def map(self, work: Callable[[Item], Result], items: Sequence[Item], /) -> Iterable[Result]:
        """See Workers. A single item, which is the usual batch, does not pay for a thread."""
        if len(items) < 2:
            return [work(item) for item in items]
        from concurrent.futures import wait

        # A list, because an error must not leave work behind that runs on into the next invocation.
        futures = [self._pool.submit(work, item) for item in items]
        wait(futures)
        return [future.result() for future in futures]

    @cached_property
    def _pool(self) -> "ThreadPoolExecutor":
        # Not imported before there is work for it, like all that a cold start can do without.
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._limit)
