"""A DynamoDB that stores nothing: it answers after a set time, and counts requests and write units.

It runs in a process of its own, `python -m bench.endpoint`, and accounts for what it was sent only when it is asked:
while the other side's clock runs it does next to nothing.
"""

import asyncio
import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, cast

HOST = "127.0.0.1"
_UNIT = 1024


class DynamoDB(asyncio.Protocol):
    """One connection. What all have in common is kept in the class."""

    latencies: dict[str, float] = {}  # noqa: RUF012
    """Seconds, by operation."""
    received: list[tuple[str, bytes]] = []  # noqa: RUF012

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            length = int(_header(head, b"content-length") or 0)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            target = _header(head, b"x-amz-target")
            if not target:
                self._answer(json.dumps(self._control(json.loads(body))).encode())
                continue
            operation = target.decode().partition(".")[2]
            self.received.append((operation, body))
            seconds = self.latencies.get(operation, 0)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._answer, b"{}")
            else:
                self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                % (len(body), body)
            )

    def _control(self, latencies: dict[str, float]) -> dict[str, Any]:
        """Account for what was received, forget it, and take these latencies from now on."""
        received, self.received[:] = list(self.received), []
        self.latencies.clear()
        self.latencies.update({operation.lower(): seconds for operation, seconds in latencies.items()})
        return {
            "requests": Counter(operation for operation, _ in received),
            "write_units": sum(write_units(operation, json.loads(body)) for operation, body in received),
            "read_units": sum(operation == "getitem" for operation, _ in received),
            "items": sum(len(json.loads(body).get("TransactItems", [0])) for _, body in received),
        }


def _header(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip()


def write_units(operation: str, request: Mapping[str, Any]) -> int:
    """What a request takes that succeeds: a unit for each KB of an item, two in a transaction.

    An update is taken to leave an item of its key and the values it names.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    match operation:
        case "transactwriteitems":
            return 2 * sum(_units(write) for each in request["TransactItems"] for write in each.values())
        case "batchwriteitem":
            return sum(
                _units(write)
                for writes in request["RequestItems"].values()
                for each in writes
                for write in each.values()
            )
        case "batchexecutestatement":  # whose statements are inserts
            return sum(_units({"Item": _inserted(each)}) for each in request["Statements"])
        case "putitem" | "updateitem" | "deleteitem":
            return _units(request)
        case "getitem" | "batchgetitem":
            return 0
    raise ValueError(f"nobody has asked for {operation} before")


def _inserted(statement: Mapping[str, Any]) -> dict[str, Any]:
    names = re.findall(r"'(\w+)': \?", statement["Statement"])
    return dict(zip(names, statement["Parameters"], strict=True))


def _units(write: Mapping[str, Any]) -> int:
    item = write.get("Item") or {**write["Key"], **write.get("ExpressionAttributeValues", {})}
    return ceil(sum(len(name.encode()) + _size(value) for name, value in item.items()) / _UNIT)


def _size(value: Mapping[str, Any]) -> int:
    (kind, content), *_ = value.items()
    if kind == "N":
        return len(content.strip("-").replace(".", "")) // 2 + 2
    return len(str(content).encode())


@dataclass(frozen=True, slots=True)
class Account:
    """What an endpoint was asked for."""

    requests: dict[str, int]
    write_units: int
    read_units: int
    items: int
    """Of transactions; other requests count as one."""

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


class Endpoint:
    """An endpoint that runs."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{HOST}:{port}"
        self._port = port

    def account(self, **latencies: float) -> Account:
        """What was asked since the last account; `TransactWriteItems=0.035` and the like hold from now on."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/", json.dumps(latencies))
            return Account(**json.loads(connection.getresponse().read()))


@contextlib.contextmanager
def endpoint() -> Iterator[Endpoint]:
    """An endpoint on a free port, in a process that ends with the block."""
    process = subprocess.Popen([sys.executable, "-m", "bench.endpoint"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None  # noqa: S101
        yield Endpoint(int(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=10)


async def main() -> None:
    """Print the port, and serve until killed."""
    server = await asyncio.get_running_loop().create_server(DynamoDB, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
