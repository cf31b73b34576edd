"""The rights of functions are looked up by many threads at once."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import boto3

from localcloud.engine.rights import FunctionRights


class Session:
    """A session whose only client is Lambda, and every function's role is named as the function is."""

    region_name = "us-east-1"

    def client(self, *_: Any, **__: Any) -> "Session":
        return self

    def get_function_configuration(self, *, FunctionName: str) -> dict[str, str]:  # noqa: N803
        return {"Role": f"role of {FunctionName}"}


class Rights(FunctionRights):
    """Forgets each role after two milliseconds."""

    _ROLE_SECONDS = 0.002  # type: ignore[assignment]


def test_roles_expire_while_other_threads_look_them_up() -> None:
    rights = Rights(cast(boto3.Session, Session()), 1)
    names = [f"function {number}" for number in range(10_000)]
    interval, threshold = sys.getswitchinterval(), gc.get_threshold()

    def collected(*_: object) -> None:
        """Another thread may run wherever the collector calls Python, which is wherever something is made."""

    gc.callbacks.append(collected)
    gc.set_threshold(20)
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            roles = list(threads.map(rights.role, names))
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
        gc.callbacks.remove(collected)

    assert roles == [f"role of {name}" for name in names]
