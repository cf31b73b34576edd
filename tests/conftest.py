"""What all tests share."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """Blame the test that changes the environment for good, rather than a later one of the same process."""
    before = dict(os.environ)
    yield
    after = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    before.pop("PYTEST_CURRENT_TEST", None)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    os.environ.update({name: before[name] for name in changed if name in before})
    for name in changed:
        if name not in before:
            del os.environ[name]
    assert changed == [], "left changed in the environment"
