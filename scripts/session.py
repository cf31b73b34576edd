"""The boto3 session of a stage, for everything that calls AWS there."""

import os
import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

_UNSET = (None, None, None, None)
_NO_FILE = (None, None, os.devnull, None)
_NOBODYS = {"profile": _UNSET, "config_file": _NO_FILE, "credentials_file": _NO_FILE}
"""botocore's session variables that name a user's settings, without the environment variables that set them."""


class StageSession(boto3.Session):
    """A session whose clients reach one stage, whatever other sessions of the process reach.

    Threads may share it and its clients. botocore's clients are thread-safe, but making them is not, so that is done
    one at a time, and once for the same arguments:
    https://docs.aws.amazon.com/boto3/latest/guide/clients.html#multithreading-or-multiprocessing-with-clients
    """

    def __init__(self, region: str, endpoint: str | None, credential: str | None, config: Config | None) -> None:
        """Reach a region of AWS, or what stands in for AWS at the endpoint.

        With a credential, which is both key and secret, the session takes nothing from the user's environment and AWS
        configuration; without one it takes credentials from there. `config` has the defaults of its clients.
        """
        session = botocore.session.Session(_NOBODYS if credential else None)
        if config is not None:
            session.set_default_client_config(config)
        super().__init__(credential, credential, region_name=region, botocore_session=session)
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._clients: dict[Any, Any] = {}

    def client(self, *arguments: Any, **options: Any) -> Any:
        """Return the one client with these arguments; at the stage's endpoint unless they name another."""
        if options.get("endpoint_url") is None:
            options["endpoint_url"] = self._endpoint
        config = options.get("config")
        others = sorted((name, str(value)) for name, value in options.items() if name != "config")
        key = arguments, tuple(others), repr(vars(config)) if config else ""
        with self._lock:
            if key not in self._clients:
                self._clients[key] = super().client(*arguments, **options)
            return self._clients[key]
