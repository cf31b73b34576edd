"""Replace functions of ministack, and notice when one of them is no longer what a repair was written for.

A repair names what it replaces and what it uses, as `<module>.<name>`. `fingerprints.json` holds a hash of the source
of each of these functions, as it was when the repair was written. After an upgrade of ministack, `problems` names every
repair that builds on a function that changed or is gone.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from typing import Any

PINNED = "1.5.33"
"""The version of ministack that the repairs are written for.

On 24 November 2026 it was the newest one on PyPI: no release had fixed what any repair is for.
"""

# What ministack's handlers return: status, headers, body.
Answer = Any
Handler = Callable[[dict[str, Any]], Answer]

FINGERPRINTS = Path(__file__).with_name("fingerprints.json")

_PATHS = {
    "app": "ministack.app",
    "iam_actions": "ministack.core.iam_actions",
    "iam_evaluator": "ministack.core.iam_evaluator",
    "lambda_runtime": "ministack.core.lambda_runtime",
    "responses": "ministack.core.responses",
}


@dataclass(frozen=True)
class Repair:
    """A change of ministack. Call it with the modules that it changes, named by its parameters.

    `aws` says what AWS does, with a link.
    """

    apply: Callable[..., None]
    replaces: tuple[str, ...]
    uses: tuple[str, ...]
    aws: str

    @property
    def name(self) -> str:
        """The name of the function that makes the change, with its module."""
        return f"{self.apply.__module__.rpartition('.')[2]}.{self.apply.__name__}"

    @property
    def builds_on(self) -> tuple[str, ...]:
        """All names of ministack that the repair depends on."""
        return (*self.replaces, *self.uses)

    @property
    def modules(self) -> tuple[str, ...]:
        """The short names of the modules that the repair needs, in the order of its parameters."""
        return tuple(inspect.signature(self.apply).parameters)

    def __call__(self, *modules: Any) -> None:
        """Make the change. Raises SystemExit when one of the modules lacks a name that the repair builds on."""
        given = dict(zip(self.modules, modules, strict=True))
        if missing := [name for name in self.builds_on if _find(given, name) is _MISSING]:
            raise SystemExit(_report([f"{self.name}: {', '.join(missing)} is gone"]))
        self.apply(*modules)


def repair(*, replaces: Iterable[str], aws: str, uses: Iterable[str] = ()) -> Callable[[Callable[..., None]], Repair]:
    """Declare that a function is a repair."""
    return lambda apply: Repair(apply, tuple(replaces), tuple(uses), aws)


def replace(module: Any, **functions: Callable[..., Any]) -> None:
    """Put functions in the place of ministack's own, which looks them up by these names on every use."""
    for name, function in functions.items():
        setattr(module, name, function)


def load(repairs: Iterable[Repair]) -> dict[str, Any]:
    """Import the modules of ministack that the repairs need, by their short names."""
    names = {name for each in repairs for name in each.modules}
    return {name: import_module(_PATHS.get(name, f"ministack.services.{name}")) for name in sorted(names)}


def fingerprints(repairs: Iterable[Repair], modules: Mapping[str, Any]) -> dict[str, str]:
    """Return the fingerprint of every function and text that the repairs build on. Call it before any repair."""
    found = {name: fingerprint(_find(modules, name)) for each in repairs for name in each.builds_on}
    return {name: value for name, value in sorted(found.items()) if value}


def fingerprint(value: Any) -> str:
    """Return a hash of a function's source, or of a text; "" for data, which only has to be there."""
    if inspect.isfunction(value):
        value = inspect.getsource(value)
    return hashlib.sha256(value.encode()).hexdigest()[:12] if isinstance(value, str) else ""


def problems(repairs: Iterable[Repair], modules: Mapping[str, Any], known: Mapping[str, str]) -> list[str]:
    """Name every repair that builds on something that changed or is gone, and what that is."""
    found = []
    for each in repairs:
        now = {name: _find(modules, name) for name in each.builds_on}
        gone = [name for name, value in now.items() if value is _MISSING]
        changed = [name for name in now.keys() - gone if fingerprint(now[name]) != known.get(name, "")]
        if gone:
            found.append(f"{each.name}: {', '.join(gone)} is gone")
        if changed:
            found.append(f"{each.name}: {', '.join(sorted(changed))} is not what it was")
    return found


def check(repairs: Iterable[Repair], modules: Mapping[str, Any]) -> None:
    """End the program, naming every repair to look at, when ministack is not the one that they were written for."""
    if found := problems(repairs, modules, json.loads(FINGERPRINTS.read_text())):
        raise SystemExit(_report(found))


def _report(found: list[str]) -> str:
    lines = [f"ministack {version('ministack')} is not what src/localcloud/emulator was written for ({PINNED}):"]
    lines += [f"  {each}" for each in found]
    lines.append(
        "Look at each of these repairs. When all are right, run: python src/localcloud/emulator --fingerprints"
    )
    return "\n".join(lines)


_MISSING = object()


def _find(modules: Mapping[str, Any], name: str) -> Any:
    module, _, path = name.partition(".")
    try:
        return attrgetter(path)(modules[module])
    except AttributeError:
        return _MISSING
