"""Work that takes longer than a request: one run at a time, whose progress and result the page asks for."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from scripts.console.problems import Problem, RefusedError

_LINES = 200
"""Lines of progress that are kept: the last ones."""

Tell = Callable[[str], None]


class Job:
    """What one panel runs in the background. `describe` turns an error into what the page shows."""

    def __init__(self, describe: Callable[[Exception], Problem], clock: Callable[[], float] = time.time) -> None:
        self._describe = describe
        self._clock = clock
        self._lock = threading.Lock()
        self._state = "none"
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._result: Any = None
        self._number = 0
        self._ended: float | None = None

    def start(self, work: Callable[[Tell], Any]) -> None:
        """Run `work` and keep what it returns. Raises RefusedError while the last run has not ended."""
        with self._lock:
            if self._state == "running":
                raise RefusedError(409, "busy", "One is running. Wait until it has ended")
            self._state, self._result, self._ended = "running", None, None
            self._lines.clear()
            self._number += 1
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[Tell], Any]) -> None:
        try:
            state, result = "done", work(self._tell)
        except Exception as error:  # noqa: BLE001 the page shows it
            state, result = "failed", self._describe(error).body()
        with self._lock:
            self._state, self._result, self._ended = state, result, self._clock()

    def _tell(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def look(self) -> dict[str, Any]:
        """Return the number of the run, its state, lines of progress, result, and when it ended in epoch seconds."""
        with self._lock:
            return {
                "number": self._number,
                "state": self._state,
                "lines": list(self._lines),
                "result": self._result,
                "ended": self._ended,
            }
