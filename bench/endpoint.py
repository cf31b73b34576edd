"""A DynamoDB that stores nothing: it answers after a set time, and counts requests and units.

It runs in a process of its own, `python -m bench.endpoint`, and accounts for what it was sent only when it is asked:
while the other side's clock runs it does next to nothing. Told to, it answers as if the ledger held entries.
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
from typing import Any, NamedTuple, cast

HOST = "127.0.0.1"
_UNIT = 1024
_CANCELLED = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"


class Entries(NamedTuple):
    """What the ledger is said to hold: an entry of this version for each RecordID below a number."""

    below: int
    users: int
    """RecordIDs have them by turns, as in bench.events."""
    version: str

    def entry(self, record_id: str) -> dict[str, Any] | None:
        """Return the item of a RecordID, with a score that no event of bench.events has."""
        if int(record_id) >= self.below:
            return None
        return {
            "RecordID": {"N": record_id},
            "Version": {"S": self.version},
            "Username": {"S": f"player-{int(record_id) % self.users:06d}"},
            "Score": {"N": "1000"},
        }

    def answer(self, operation: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and body of the answer to a request. What was committed before is not known."""
        if operation == "batchgetitem":
            ((table, wanted),) = request["RequestItems"].items()
            items = [self.entry(key["RecordID"]["N"]) for key in wanted["Keys"]]
            return 200, {"Responses": {table: [item for item in items if item]}, "UnprocessedKeys": {}}
        reasons = [self._reason(write) for write in request["TransactItems"]]
        if all(reason == {"Code": "None"} for reason in reasons):
            return 200, {}
        return 400, {"__type": _CANCELLED, "Message": "Transaction cancelled", "CancellationReasons": reasons}

    def _reason(self, write: Mapping[str, Any]) -> dict[str, Any]:
        put = write.get("Put")
        if put:
            entry = self.entry(put["Item"]["RecordID"]["N"])
            replaces = put.get("ExpressionAttributeValues", {}).get(":replaced")
            if (entry and entry["Version"]) != replaces:
                item = {"Item": entry} if entry else {}
                return {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", **item}
        return {"Code": "None"}


class DynamoDB(asyncio.Protocol):
    """One connection. What all have in common is kept in the class."""

    latencies: dict[str, float] = {}  # noqa: RUF012
    """Seconds, by operation."""
    received: list[tuple[str, bytes]] = []  # noqa: RUF012
    entries: Entries | None = None

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
                self._answer(200, json.dumps(self._control(**json.loads(body))).encode())
                continue
            operation = target.decode().partition(".")[2]
            self.received.append((operation, body))
            status, answer = 200, b"{}"
            if self.entries and operation in ("batchgetitem", "transactwriteitems"):
                status, content = self.entries.answer(operation, json.loads(body))
                answer = json.dumps(content).encode()
            seconds = self.latencies.get(operation, 0)
            if seconds:
                asyncio.get_running_loop().call_later(seconds, self._answer, status, answer)
            else:
                self._answer(status, answer)

    def _answer(self, status: int, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(
                b"HTTP/1.1 %d -\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\n\r\n%b"
                % (status, len(body), body)
            )

    def _control(self, latencies: dict[str, float], entries: list[Any] | None) -> dict[str, Any]:
        """Account for what was received, forget it, and take these latencies and entries from now on."""
        received, self.received[:] = list(self.received), []
        self.latencies.clear()
        self.latencies.update({operation.lower(): seconds for operation, seconds in latencies.items()})
        DynamoDB.entries = Entries(*entries) if entries else None
        return {
            "requests": Counter(operation for operation, _ in received),
            "write_units": sum(write_units(operation, json.loads(body)) for operation, body in received),
            "read_units": sum(read_units(operation, json.loads(body)) for operation, body in received),
            "items": sum(len(json.loads(body).get("TransactItems", [0])) for _, body in received),
        }


def _header(head: bytes, name: bytes) -> bytes:
    _, _, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip()


def write_units(operation: str, request: Mapping[str, Any]) -> int:
    """What a request takes: a unit for each KB of an item, two in a transaction, which takes them when it fails, too.

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


def read_units(operation: str, request: Mapping[str, Any]) -> float:
    """What a request takes that reads items of up to 4 KB: a unit each, half of one when it may read an older state."""
    match operation:
        case "getitem":
            return 1 if request.get("ConsistentRead") else 0.5
        case "batchgetitem":
            return sum(
                len(wanted["Keys"]) * (1 if wanted.get("ConsistentRead") else 0.5)
                for wanted in request["RequestItems"].values()
            )
    return 0


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
    read_units: float
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

    def account(self, latencies: Mapping[str, float] | None = None, entries: Entries | None = None) -> Account:
        """What was asked since the last account. Latencies, by operation, and entries hold from now on."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/", json.dumps({"latencies": latencies or {}, "entries": entries}))
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
