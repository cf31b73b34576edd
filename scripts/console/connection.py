"""The stage that the console shows: looked up again after a deploy, a destroy or a new login."""

import os
import time
from dataclasses import replace
from typing import Protocol

from botocore.config import Config

from scripts.console.problems import unreachable
from scripts.console.single_flight import SingleFlight
from scripts.deployment import Deployed, deployed_in
from scripts.stage import Stage, resolve

_KNOWN_SECONDS = 5.0
"""For how long what is deployed is not looked up again."""
_PATIENCE_SECONDS = 4.0
_POOL = 20
# A cloud that hangs must show within seconds. The invocations of tests and redrives set their own read timeout.
_CONFIG = Config(
    connect_timeout=3,
    read_timeout=8,
    max_pool_connections=_POOL,
    retries={"mode": "standard", "total_max_attempts": 2},
)


class Connection(Protocol):
    """What the console shows."""

    @property
    def stage(self) -> Stage:
        """The stage, deployed or not."""

    def system(self) -> Deployed:
        """What is deployed there now. Raises what `deployed` does."""

    def forget(self, *, credentials: bool) -> None:
        """Look it up again next time; with the credentials of then, if it was for these."""


class LiveConnection:
    """A stage by its name, in the environment that the console was started in. See Connection."""

    def __init__(self, stage: str) -> None:
        self._name = stage
        self._environ = dict(os.environ)
        self._looking: SingleFlight[Deployed] = SingleFlight()
        self._found: tuple[float, Deployed] | None = None
        self._stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        """See Connection. The same object, and so the same session, until the stage moves or a login expires."""
        stage, known = replace(resolve(self._name, self._environ), client_config=_CONFIG), self._stage
        if stage == known:
            return known
        self._stage = stage
        return stage

    def system(self) -> Deployed:
        """See Connection."""
        found = self._found
        if found is not None and time.monotonic() - found[0] <= _KNOWN_SECONDS:
            return found[1]
        try:
            return self._looking.run(self._look, _PATIENCE_SECONDS)
        except TimeoutError:
            raise unreachable(self.stage) from None

    def _look(self) -> Deployed:
        found = deployed_in(self.stage)
        self._found = time.monotonic(), found
        return found

    def forget(self, *, credentials: bool) -> None:
        """See Connection."""
        self._found = None
        if credentials:
            self._stage = None
