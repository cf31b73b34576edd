"""Who may ask the console for what: its own page alone, and changes only where they are allowed. docs/decisions/0009.

Another page in the same browser can send requests to 127.0.0.1, but does not know the key of session.py, and headers
that a browser adds and no page can forge tell it from the console's own page: Host, Origin and Sec-Fetch-Site.
"""

import re

from flask import Flask, Request, Response, request

from scripts.console.problems import RefusedError
from scripts.console.session import NONCE_HEADER, PROOF_HEADER, SIGNATURE_HEADER, Session

BODY_BYTES = 7_000_000
"""The most that a request may send: a test event of 6 MB, quoted."""
EXCHANGE = "/api/session"
"""The one request for data that carries a code instead of a signature."""
_FORMER_NAME = re.compile(r"console-[0-9a-f]{8}\.localhost:\d+")
_READING = {"GET", "HEAD", "OPTIONS"}

_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; worker-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

# A browser asks again for the script of a service worker that is registered here, at each visit. The console has none:
# whoever registered it had taken the port. This one takes its place and removes itself.
_REMOVE_WORKER = """\
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", () => self.registration.unregister());
"""


def guard(app: Flask, *, names: set[str], session: Session, writes: bool, harmless: set[str]) -> None:
    """Refuse what is not the page's own, and, unless `writes`, every request that is neither a read nor `harmless`.

    `names` are the values of Host that the console answers to; `harmless` has the names of the routes that are asked by
    POST and change nothing.
    """
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES

    @app.before_request
    def check() -> Response | None:
        if request.host not in names:
            # A page of an earlier start asks under the name of that start.
            kind = "key" if _FORMER_NAME.fullmatch(request.host) else "forbidden"
            raise RefusedError(
                403, kind, "The console does not answer to this name. Open the link that it printed last"
            )
        if request.headers.get("Service-Worker") == "script":
            return Response(_REMOVE_WORKER, mimetype="text/javascript")
        if not request.path.startswith("/api/"):
            return None
        _check_origin(request)
        if request.path != EXCHANGE:
            _check_signature(request, session)
        if request.method in _READING:
            return None
        if not request.is_json:
            raise RefusedError(415, "invalid", "Send JSON")
        if not writes and request.path != EXCHANGE and request.endpoint not in harmless:
            raise RefusedError(
                403, "read-only", "This console is read-only. Start it with ALLOW_WRITES=1 to change the stage with it"
            )
        return None

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        nonce = request.headers.get(NONCE_HEADER)
        if nonce and _is_signed(request, session):
            response.headers[PROOF_HEADER] = session.proof(nonce)
        return response


def _is_signed(request: Request, session: Session) -> bool:
    nonce, signature = request.headers.get(NONCE_HEADER, ""), request.headers.get(SIGNATURE_HEADER, "")
    return session.is_signed(request.method, request.environ["REQUEST_URI"], nonce, signature)


def _check_signature(request: Request, session: Session) -> None:
    if not _is_signed(request, session):
        raise RefusedError(403, "key", "Open the link that make console printed last")
    if not session.is_first(request.headers[NONCE_HEADER]):
        raise RefusedError(403, "forbidden", "This request was sent before")


def _check_origin(request: Request) -> None:
    # Browsers send both; a command line sends neither.
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    if (origin is not None and origin != f"http://{request.host}") or site != "same-origin":
        raise RefusedError(403, "forbidden", "Another page may not ask the console for anything")
