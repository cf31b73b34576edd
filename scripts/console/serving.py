"""The server of the console: waitress, with limits that neither large bodies nor slow connections exceed."""

import time
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer, create_server
from waitress.utilities import Error

from scripts.console.guard import BODY_BYTES, EXCHANGE
from scripts.console.session import NONCE_HEADER, SIGNATURE_HEADER, Session

_THREADS = 12
_CONNECTIONS = 1000
_HEADER_BYTES = 16_384
_SMALL_BODY = 4096
"""What somebody without the key may send: more than a code takes."""
_RECEIVE_SECONDS = 10
"""How long a request may take to arrive, and a connection may wait for its first or next one."""
_SIGNED = (NONCE_HEADER, SIGNATURE_HEADER)


class _ForbiddenError(Error):
    code = 403
    reason = "Forbidden"


def make_server(app: Flask, host: str, port: int, session: Session) -> TcpWSGIServer:
    """Return the server, which listens already; `run` serves until an interrupt. Raises OSError for a taken port."""

    class Parser(HTTPRequestParser):
        """Refuses the body of a request that is not signed, before it is read."""

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if not (self.content_length > _SMALL_BODY or self.chunked) or self.error:
                return
            parsed: Any = self  # the stubs know few of a request's attributes
            nonce, signature = (parsed.headers.get(name.upper().replace("-", "_"), "") for name in _SIGNED)
            if parsed.path == EXCHANGE or not session.is_signed(parsed.command, parsed.request_uri, nonce, signature):
                self.error = _ForbiddenError("The request is not signed")
                self.completed = True
                self.body_rcv = None

    class Channel(HTTPChannel):
        """Closes a connection whose request does not arrive in time."""

        parser_class = Parser
        _waiting_since = 0.0

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self._waiting_since = self.creation_time

        def readable(self) -> bool:
            now = time.time()
            if self.requests or self.total_outbufs_len:
                self._waiting_since = now
            elif now - self._waiting_since > _RECEIVE_SECONDS:
                self.will_close = True
            return bool(super().readable())

    server = create_server(
        app,
        host=host,
        port=port,
        threads=_THREADS,
        ident=None,
        connection_limit=_CONNECTIONS,
        asyncore_use_poll=True,  # select() takes no more than 1024 files
        backlog=256,
        max_request_body_size=BODY_BYTES,
        max_request_header_size=_HEADER_BYTES,
    )
    if not isinstance(server, TcpWSGIServer):
        raise TypeError("Waitress listens on several sockets, where one was asked for")
    server.channel_class = Channel
    return server
