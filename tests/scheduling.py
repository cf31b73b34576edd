"""Which tests run in one process of `make test`, and in which order.

Tests that share a deployed system run in one process, so that it is deployed once. Any process takes the other files.
Files that wait for Terraform begin first: while they wait, the other processes use the processors.
"""

from collections.abc import Sequence

import pytest
from xdist.scheduler import LoadScopeScheduling

SYSTEM, CONSOLE = "the system", "the console's system"
_SHARED = {
    "tests/acceptance/test_moto.py": "",
    "tests/acceptance/": SYSTEM,
    "tests/integration/test_soak.py": SYSTEM,
    "tests/integration/test_faults.py": SYSTEM,
    "tests/integration/test_alarms.py": SYSTEM,
    "tests/integration/test_least_privilege.py": SYSTEM,
    "tests/integration/console/": CONSOLE,
    "tests/integration/test_lifecycle.py": CONSOLE,
}
"""What files share, by the beginnings of their paths; the first that fits holds."""
_FIRST = ("tests/integration/", "tests/acceptance/", "tests/localcloud/", "tests/simulation/", "tests/property/")


def scope(nodeid: str) -> str:
    """Return what a test must share a process with: its file, or all tests of the same deployed system."""
    path = nodeid.partition("::")[0]
    return next((shared for start, shared in _SHARED.items() if path.startswith(start)), "") or path


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return tests with the longest files first; the order within a file stays."""
    return sorted(items, key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    return next((rank for rank, start in enumerate(_FIRST) if nodeid.startswith(start)), len(_FIRST))


class BySharedSystem(LoadScopeScheduling):  # type: ignore[misc]
    """Hands a process all tests of one scope."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)
