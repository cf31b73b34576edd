"""Who may ask the console for what: its own page alone, and changes only where they are allowed. docs/decisions/0009.

Another page in the same browser can send requests to 127.0.0.1, but has no token, cannot read the one of this page, and
is told from it by the headers that a browser adds and no page can forge: Host, Origin and Sec-Fetch-Site.
"""

import os
import secrets
import time
from hmac import compare_digest
from pathlib import Path

from flask import Flask, Request, Response, request

from scripts.console.problems import RefusedError

TOKEN_HEADER = "X-Console-Token"  # noqa: S105
_TOKEN_SECONDS = 12 * 60 * 60
_READING = {"GET", "HEAD", "OPTIONS"}
_BODY_BYTES = 7_000_000  # a test event of 6 MB, quoted

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def token(file: Path) -> str:
    """The secret that a request has to carry: what the file has, which only its owner may read, for half a day.

    A console that is started again goes on with it, so that a page which is open recovers.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        known = file.stat()
        if known.st_uid == os.getuid() and not known.st_mode & 0o077 and time.time() - known.st_mtime < _TOKEN_SECONDS:
            kept = file.read_text().strip()
            if len(kept) >= 43:  # 32 bytes in base64
                return kept
    except FileNotFoundError:
        pass
    file.unlink(missing_ok=True)
    made = secrets.token_urlsafe(32)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as opened:
        opened.write(made)
    return made


def guard(app: Flask, *, port: int, token: str, writes: bool, harmless: set[str]) -> None:
    """Refuse what is not the page's own, and, unless `writes`, every request that is neither a read nor `harmless`.

    `harmless` has the names of the routes that are asked by POST and change nothing.
    """
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
    app.config["MAX_CONTENT_LENGTH"] = _BODY_BYTES

    @app.before_request
    def check() -> None:
        if request.host not in hosts:
            raise RefusedError(403, "forbidden", f"The console answers as 127.0.0.1:{port} only")
        if not request.path.startswith("/api/"):
            return
        _check_origin(request)
        if not compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode()):
            raise RefusedError(403, "token", "Open the link that make console has printed")
        if request.method in _READING:
            return
        if not request.is_json:
            raise RefusedError(415, "invalid", "Send JSON")
        if not writes and request.endpoint not in harmless:
            raise RefusedError(
                403, "read-only", "This console only looks. Start it with ALLOW_WRITES=1 to change the stage with it"
            )

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response


def _check_origin(request: Request) -> None:
    # Browsers send both; a command line, which has the token or has not, sends neither.
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if (origin is not None and origin != f"http://{request.host}") or site != "same-origin":
        raise RefusedError(403, "forbidden", "Another page may not ask the console for anything")
