"""How mappings fare, told once a change."""

import logging
from collections.abc import Sequence

log = logging.getLogger("localcloud.engine")


class LoggedStatus:
    """Logs what is news, and remembers what is wrong."""

    def __init__(self) -> None:
        self._problems: dict[str, dict[str, str]] = {}

    def problem(self, mapping: str, where: str, what: str) -> None:
        """Log a problem unless it is the one already there."""
        problems = self._problems.setdefault(mapping, {})
        if problems.get(where) != what:
            problems[where] = what
            log.warning("%s: %s: PROBLEM: %s", mapping, where, what)

    def well(self, mapping: str, where: str) -> None:
        """Log that a problem is over, if there was one."""
        if self._problems.setdefault(mapping, {}).pop(where, None) is not None:
            log.info("%s: %s: well again", mapping, where)

    def lost(self, mapping: str, what: str) -> None:
        """Log a loss, every time."""
        log.error("%s: LOST: %s", mapping, what)

    def fault(self, mapping: str, error: BaseException) -> None:
        """Log a fault of the engine's own, with its trace, unless it is the one already there."""
        problems = self._problems.setdefault(mapping, {})
        if problems.get("engine") != repr(error):
            problems["engine"] = repr(error)
            log.error("%s: the engine failed and starts again", mapping, exc_info=error)

    def retain(self, mappings: Sequence[str]) -> None:
        """Forget mappings that are gone."""
        for gone in self._problems.keys() - set(mappings):
            del self._problems[gone]

    def results(self) -> dict[str, str]:
        """Each mapping's `OK`, or `PROBLEM: ` and what is wrong."""
        return {
            mapping: "; ".join(f"PROBLEM: {where}: {what}" for where, what in problems.items()) or "OK"
            for mapping, problems in self._problems.items()
        }
