"""A proxy before the local cloud that fails requests as AWS would."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration.deployment import System
from tests.waiting import eventually, free_port

Rule = dict[str, Any]
"""One of https://github.com/pingedbrain/microburst#rules"""


@contextmanager
def proxy(system: System, folder: Path, rules: Sequence[Rule]) -> Iterator[str]:
    """A proxy with these rules; gives its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    config = folder / "microburst.json"
    config.write_text(json.dumps({"upstream": system.stage.endpoint, "port": port, "rules": rules}))
    with (folder / "microburst.log").open("wb") as log:
        process = subprocess.Popen(
            # Signed anew, as root: the caller's own signature is of another host.
            [str(Path(sys.executable).with_name("microburst")), "--config", str(config), "--resign"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: get(f"{url}/_microburst/health"), what="the proxy")
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


def get(url: str) -> Any:
    """The JSON at a URL; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return json.loads(response.read())
    except OSError:
        return None


def set_rules(url: str, rules: Sequence[Rule]) -> None:
    """Replace the rules of a proxy."""
    request = urllib.request.Request(f"{url}/_microburst/rules", json.dumps(rules).encode(), method="POST")  # noqa: S310
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
