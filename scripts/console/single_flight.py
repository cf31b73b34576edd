"""One look at a time for all who ask, in a thread of its own, so that nobody waits for a cloud that hangs."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs what is asked for once, however many ask while it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Future[T] | None = None

    def run(self, look: Callable[[], T], seconds: float) -> T:
        """Return what `look`, or the one that is running already, returns or raises.

        Raises TimeoutError when that takes longer; it goes on nevertheless.
        """
        with self._lock:
            if self._running is None:
                self._running = Future()
                threading.Thread(target=self._finish, args=(look, self._running), daemon=True).start()
            running = self._running
        return running.result(timeout=seconds)

    def _finish(self, look: Callable[[], T], running: "Future[T]") -> None:
        try:
            result = look()
        except BaseException as error:  # noqa: BLE001 whoever waits gets it
            self._end()
            running.set_exception(error)
        else:
            self._end()
            running.set_result(result)

    def _end(self) -> None:
        with self._lock:
            self._running = None
