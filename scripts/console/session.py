"""The secret of one start of the console, and how page and server prove to each other that they know it.

The link that `make console` prints carries a code that works once. The page exchanges it for a key, which is new at
each start and is never sent again: every request carries a nonce and a signature made with the key, every answer a
proof made from the same nonce. Whoever else takes the port sees signatures that it can neither make nor use, and
cannot answer.
"""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable

NONCE_HEADER = "X-Console-Nonce"
SIGNATURE_HEADER = "X-Console-Signature"
PROOF_HEADER = "X-Console-Proof"
_NONCE_LENGTHS = range(16, 65)
_NONCES = 20_000
"""The last nonces are remembered, so that no request is taken twice before so many others were."""


class Session:
    """The key and the present code. `on_code` is called with each new code once the last one was used."""

    def __init__(self, on_code: Callable[[str], None] = lambda _: None) -> None:
        self._on_code = on_code
        self._key = secrets.token_urlsafe(32)
        self._code = secrets.token_urlsafe(24)
        self._lock = threading.Lock()
        self._used: OrderedDict[str, None] = OrderedDict()

    @property
    def code(self) -> str:
        """The code that the next page may use."""
        return self._code

    def exchange(self, code: str) -> str | None:
        """Return the key for the present code, which no longer works afterwards; None for any other."""
        with self._lock:
            if not hmac.compare_digest(code.encode(), self._code.encode()):
                return None
            self._code = secrets.token_urlsafe(24)
        self._on_code(self._code)
        return self._key

    def signature(self, method: str, uri: str, nonce: str) -> str:
        """Return what a page signs a request with; `uri` is the path with its query, as sent."""
        return self._mac(f"request\n{method}\n{uri}\n{nonce}")

    def proof(self, nonce: str) -> str:
        """Return what shows that an answer to the request with this nonce comes from the console."""
        return self._mac(f"answer\n{nonce}")

    def is_signed(self, method: str, uri: str, nonce: str, signature: str) -> bool:
        """Whether the request was signed with the key."""
        if len(nonce) not in _NONCE_LENGTHS:
            return False
        return hmac.compare_digest(self.signature(method, uri, nonce).encode(), signature.encode())

    def is_first(self, nonce: str) -> bool:
        """Note a nonce; False when it was used before."""
        with self._lock:
            if nonce in self._used:
                return False
            self._used[nonce] = None
            if len(self._used) > _NONCES:
                self._used.popitem(last=False)
            return True

    def _mac(self, message: str) -> str:
        # A header may hold any Latin-1 character.
        return hmac.new(self._key.encode(), message.encode(errors="replace"), hashlib.sha256).hexdigest()
