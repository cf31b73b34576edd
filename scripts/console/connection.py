"""The stage that the console shows: looked up again after a deploy, a destroy or a new login."""

import os
import threading
import time
from typing import Any, Protocol

import boto3
import botocore.session
from botocore.config import Config

from scripts.console.problems import unreachable
from scripts.console.single_flight import SingleFlight
from scripts.deployment import Deployed, deployed
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


class SharedSession(boto3.Session):
    """A default session for the commands' functions to be called from several threads.

    Clients may be shared between threads, but not made in two at once:
    https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
    """

    def __init__(self) -> None:
        session = botocore.session.get_session()
        session.set_default_client_config(_CONFIG)
        super().__init__(botocore_session=session)
        self._lock = threading.Lock()
        self._clients: dict[Any, Any] = {}

    def client(self, *arguments: Any, **options: Any) -> Any:
        """One client for all that ask for the same, at the same endpoint."""
        config = options.get("config")
        others = sorted((name, str(value)) for name, value in options.items() if name != "config")
        key = arguments, tuple(others), repr(vars(config)) if config else "", os.environ.get("AWS_ENDPOINT_URL")
        with self._lock:
            if key not in self._clients:
                self._clients[key] = super().client(*arguments, **options)
            return self._clients[key]


class LiveConnection:
    """A stage by its name, in the environment that the console was started in. See Connection."""

    def __init__(self, stage: str) -> None:
        self._name = stage
        self._ambient = dict(os.environ)
        self._looking: SingleFlight[Deployed] = SingleFlight()
        self._found: tuple[float, Deployed] | None = None
        self._start_session()

    @property
    def stage(self) -> Stage:
        """See Connection."""
        return resolve(self._name, self._ambient)

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
        found = deployed(self._name, self._ambient)
        self._found = time.monotonic(), found
        return found

    def forget(self, *, credentials: bool) -> None:
        """See Connection."""
        self._found = None
        if credentials:
            self._start_session()

    def _start_session(self) -> None:
        boto3.DEFAULT_SESSION = SharedSession()
