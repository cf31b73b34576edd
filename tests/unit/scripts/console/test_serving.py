"""What the console's server takes from whom, over real connections."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest

from scripts.console import serving
from scripts.console.app import create_app
from scripts.console.guard import BODY_BYTES, EXCHANGE
from scripts.console.serving import make_server
from scripts.console.session import NONCE_HEADER, SIGNATURE_HEADER, Session
from scripts.deployment import NotDeployedError
from tests.unit.scripts.console.conftest import FixedConnection, stage
from tests.waiting import eventually, free_port

HOST = "127.0.0.1"


class Server:
    """A console that listens."""

    def __init__(self, port: int, session: Session) -> None:
        self.port = port
        self.session = session

    def headers(self, method: str, path: str) -> dict[str, str]:
        nonce = f"{time.monotonic_ns():020}"
        return {NONCE_HEADER: nonce, SIGNATURE_HEADER: self.session.signature(method, path, nonce)}

    def about(self) -> int:
        """The status of the answer to a signed request."""
        url = f"http://{HOST}:{self.port}/api/about"
        asked = urllib.request.Request(url, headers=self.headers("GET", "/api/about"))
        with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310
            return int(answer.status)

    def connect(self) -> socket.socket:
        return socket.create_connection((HOST, self.port), timeout=10)

    def status(self, head: str, body: bytes = b"") -> int:
        """What is answered to a head, however much of the body is taken."""
        with closing(self.connect()) as connection:
            connection.sendall(head.replace("\n", "\r\n").encode())
            try:
                for start in range(0, len(body), 65_536):
                    connection.sendall(body[start : start + 65_536])
            except OSError:
                pass  # refused before the end
            return int(connection.recv(4096).split()[1])


@pytest.fixture
def server(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(serving, "_RECEIVE_SECONDS", 1)
    port, session = free_port(), Session()
    connection = FixedConnection(stage("dev", tmp_path), NotDeployedError("Stage dev is not deployed"))
    app = create_app(connection, names={f"{HOST}:{port}"}, session=session, writes=True)
    listening = make_server(app, HOST, port, session)
    thread = threading.Thread(target=listening.run, daemon=True)
    thread.start()
    try:
        yield Server(port, session)
    finally:
        # Closing the sockets ends the loop.
        listening.close()
        thread.join(timeout=10)
        listening.task_dispatcher.shutdown()


def test_a_body_without_a_signature_is_refused_before_it_is_read(server: Server) -> None:
    head = f"POST /api/records HTTP/1.1\nHost: {HOST}:{server.port}\nContent-Type: application/json\n"

    with closing(server.connect()) as connection:
        connection.sendall(f"{head}Content-Length: 6000000\n\n".replace("\n", "\r\n").encode())
        answer = connection.recv(4096)  # not a byte of the body was sent

    assert answer.split()[1] == b"403"
    chunked = f"{head}Transfer-Encoding: chunked\n\n"
    assert server.status(chunked) == 403
    forged = f"{head}{NONCE_HEADER}: {'0' * 20}\n{SIGNATURE_HEADER}: {'0' * 64}\nContent-Length: 6000000\n\n"
    assert server.status(forged) == 403
    code = f"POST {EXCHANGE} HTTP/1.1\nHost: {HOST}:{server.port}\nContent-Type: application/json\n"
    assert server.status(f"{code}Content-Length: 6000000\n\n") == 403


def test_a_signed_body_may_be_a_test_event_of_six_megabytes_and_no_more(server: Server) -> None:
    path = "/api/functions/AggregateScoresByUser/test"

    def head(length: int) -> str:
        signed = "".join(f"{name}: {value}\n" for name, value in server.headers("POST", path).items())
        kind = "Content-Type: application/json\n"
        return f"POST {path} HTTP/1.1\nHost: {HOST}:{server.port}\n{kind}{signed}Content-Length: {length}\n\n"

    body = json.dumps({"event": json.dumps("x" * 6_000_000)}).encode()

    assert server.status(head(len(body)), body) == 503, "the event was taken, and the stage is not deployed"
    assert server.status(head(BODY_BYTES + 1)) == 413


def test_three_hundred_connections_that_send_nothing_or_little_stop_nobody(server: Server) -> None:
    with ExitStack() as open_:
        slow = [open_.enter_context(closing(server.connect())) for _ in range(300)]
        for each in slow[:150]:
            each.sendall(b"GET /api/about HTTP/1.1\r\nHost: ")

        assert server.about() == 200

        def is_closed() -> bool:
            slow[0].setblocking(False)
            try:
                return slow[0].recv(1) == b""
            except BlockingIOError:
                return False

        eventually(is_closed, what="the end of a connection whose request does not arrive")


def test_a_request_that_drips_in_is_not_waited_for(server: Server) -> None:
    with closing(server.connect()) as connection:
        connection.settimeout(0.2)
        connection.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")

        def is_refused() -> bool:
            try:
                connection.sendall(b"x")
                return connection.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        eventually(is_refused, what="the end of a request that drips in")


def test_a_header_of_a_megabyte_is_refused(server: Server) -> None:
    assert server.status(f"GET / HTTP/1.1\nHost: {HOST}\nX-Long: " + "x" * 1_000_000) == 431
