"""A local cloud of a test's own, whose two processes can be killed one by one."""

from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from localcloud.cloud import CREDENTIAL, HOST, REGION, LocalCloud
from tests.waiting import free_port


class Cloud(LocalCloud):
    """A local cloud on a free port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._free_port = free_port()
        self._clients: dict[str, Any] = {}

    def begin(self) -> None:
        """Start what is not running."""
        self.up(self._free_port)

    def begin_emulator(self) -> None:
        """Start the emulator again, beside an engine that lives on."""
        self.start_emulator(self._free_port)

    def client(
        self, service: Any, config: Config | None = None, region: str = REGION, access_key: str = CREDENTIAL
    ) -> Any:
        """A client with the rights of an account's root; the access key of another account's is its number."""
        return boto3.client(
            service,
            endpoint_url=f"http://{HOST}:{self._free_port}",
            region_name=region,
            config=config,
            aws_access_key_id=access_key,
            aws_secret_access_key=CREDENTIAL,
        )

    def client_of(self, service: str) -> Any:
        """The client of a service, always the same one: to make one takes a moment."""
        if service not in self._clients:
            self._clients[service] = self.client(service)
        return self._clients[service]

    def kill_engine(self) -> None:
        """SIGKILL."""
        _kill(self.engine.process())

    def kill_emulator(self) -> None:
        """SIGKILL."""
        _kill(self.emulator.process())


def _kill(process: psutil.Process | None) -> None:
    assert process is not None, "it is not running"
    process.kill()
    process.wait(timeout=10)
