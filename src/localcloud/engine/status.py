"""Report mapping health; log only changes."""

import logging
from collections.abc import Sequence

ITSELF = "engine"
"""Stands for the engine where a mapping's UUID would, or the place of a problem."""
FUNCTION = "function"
"""How the places of problems of the function begin."""

log = logging.getLogger("localcloud.engine")


class LoggedStatus:
    """Logs what is news, and remembers what is wrong."""

    def __init__(self) -> None:
        self._problems: dict[str, dict[str, str]] = {}
        self._invoked: dict[str, bool] = {}

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

    def invoked(self, mapping: str, *, failed: bool) -> None:
        """Note whether the last invocation failed. One that did not shows that a fault of the engine is over."""
        self._invoked[mapping] = failed
        if not failed:
            self.well(mapping, ITSELF)

    def lost(self, mapping: str, what: str) -> None:
        """Log a loss, every time."""
        log.error("%s: LOST: %s", mapping, what)

    def fault(self, mapping: str, error: BaseException) -> None:
        """Log a fault of the engine's own, with its trace, unless it is the one already there."""
        problems = self._problems.setdefault(mapping, {})
        if problems.get(ITSELF) != repr(error):
            problems[ITSELF] = repr(error)
            log.error("%s: the engine failed and starts again", mapping, exc_info=error)

    def retain(self, mappings: Sequence[str]) -> None:
        """Forget mappings that are gone."""
        for gone in self._problems.keys() - set(mappings):
            del self._problems[gone]
            self._invoked.pop(gone, None)

    def results(self) -> dict[str, str]:
        """Each mapping's `OK`, or `PROBLEM: ` and what is wrong."""
        return {
            mapping: "; ".join(f"PROBLEM: {where}: {what}" for where, what in problems.items()) or "OK"
            for mapping, problems in self._problems.items()
        }

    def last_results(self) -> dict[str, str]:
        """Return each mapping's LastProcessingResult: of its stream, else of its last invocation.

        The engine's own problems are no mapping's.

        "No records processed" and "OK" are recorded (LocalStack's test_kinesis_empty_provided), "PROBLEM: Function call
        failed" is in the guide (https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html). How AWS words a
        problem of the stream is not documented: here it is the error.
        """
        return {
            mapping: self._last_result(mapping, problems)
            for mapping, problems in self._problems.items()
            if mapping != ITSELF
        }

    def _last_result(self, mapping: str, problems: dict[str, str]) -> str:
        elsewhere = [what for where, what in problems.items() if not where.startswith(FUNCTION)]
        if elsewhere:
            return f"PROBLEM: {elsewhere[0]}"
        if mapping not in self._invoked:
            return "No records processed"
        return "PROBLEM: Function call failed" if self._invoked[mapping] else "OK"
