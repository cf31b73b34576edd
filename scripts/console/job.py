"""Work that takes longer than a request: started once at a time, and looked at until it is over."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from scripts.console.problems import Problem, RefusedError

_LINES = 200
"""Lines of progress that are kept: the last ones."""

Tell = Callable[[str], None]


class Job:
    """What one panel runs in the background. `explain` says what to tell of an error."""

    def __init__(self, explain: Callable[[Exception], Problem]) -> None:
        self._explain = explain
        self._lock = threading.Lock()
        self._state = "none"
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._result: Any = None
        self._number = 0

    def start(self, work: Callable[[Tell], Any]) -> None:
        """Run `work`, whose answer becomes the result. Raises RefusedError while the last one is running."""
        with self._lock:
            if self._state == "running":
                raise RefusedError(409, "busy", "One is running. Wait until it is over")
            self._state, self._result = "running", None
            self._lines.clear()
            self._number += 1
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[[Tell], Any]) -> None:
        try:
            state, result = "done", work(self._tell)
        except Exception as error:  # noqa: BLE001 it is told on the page
            state, result = "failed", self._explain(error).body()
        with self._lock:
            self._state, self._result = state, result

    def _tell(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def look(self) -> dict[str, Any]:
        """Which run it is, whether it is over, what it told, and its result."""
        with self._lock:
            return {
                "number": self._number,
                "state": self._state,
                "lines": list(self._lines),
                "result": self._result,
            }
