"""What the unit tests share."""

import importlib.util
from dataclasses import dataclass
from types import ModuleType

import pytest


@dataclass
class Context:
    """Lambda's context object, as far as the functions use it."""

    aws_request_id: str = "request-1"
    function_name: str = "Function"
    remaining_ms: int = 60_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


def load(module: ModuleType) -> None:
    """Run what importing a module runs, once more and in a module of its own."""
    spec = module.__spec__
    assert spec and spec.loader
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.fixture
def context() -> Context:
    return Context()


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """No unit test can reach an account or a local cloud, whatever the developer's shell points at."""
    own = ("LOCAL_PORT", "STATE_BUCKET", "LOCAL_DIR", "STAGES_DIR")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN", *own):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "us-east-1")
