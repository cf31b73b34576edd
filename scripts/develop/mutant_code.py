"""Put a mutant in place of the code that it changes, in this process alone."""

import importlib.util
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from inspect import CO_OPTIMIZED, unwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from scripts.develop.mutation import Mutant
from scripts.stage import ROOT


def replace(mutant: Mutant) -> bool:
    """Replace the code of the function that a mutant changes. Returns False, and changes nothing, when it cannot be."""
    path = str(ROOT / mutant.file)
    before, after = (compile(text, path, "exec", dont_inherit=True) for text in (Path(path).read_text(), mutant.source))
    old = next((code for code in _functions(before) if mutant.first_line in _lines(code)), None)
    new = old and next(
        (code for code in _functions(after) if _name(code) == _name(old) and code.co_freevars == old.co_freevars), None
    )
    function = old and _function(sys.modules[module_name(mutant.file)], old.co_qualname)
    if not new or not function or new == old:  # the same: what is changed is a default
        return False
    function.__code__ = new
    return True


def _functions(code: CodeType) -> Iterator[CodeType]:
    """The functions of a module and the methods of its classes, but not what is inside of them."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & CO_OPTIMIZED:
                yield each
            else:
                yield from _functions(each)


def _name(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def _lines(code: CodeType) -> set[int]:
    lines = {line for _, _, line in code.co_lines() if line is not None}
    return set(range(min(lines), max(lines) + 1)) if lines else set()


def _function(owner: Any, name: str) -> FunctionType | None:
    """The function of this qualified name, without what decorates it; None for what is no function."""
    for part in name.split("."):
        owner = vars(owner).get(part)
        if owner is None:
            return None
    owner = getattr(owner, "__func__", getattr(owner, "fget", getattr(owner, "func", owner)))
    function = unwrap(owner)
    return function if isinstance(function, FunctionType) else None


class _Loader(SourceFileLoader):
    """Loads a mutant in place of its module."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(ROOT / mutant.file))
        self._source = mutant.source

    def get_code(self, _: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class MutantFinder(MetaPathFinder):
    """Finds the mutant before Python finds the module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != module_name(self._mutant.file):
            return None
        return importlib.util.spec_from_file_location(fullname, loader=_Loader(fullname, self._mutant))


def module_name(file: Path) -> str:
    """The name under which a file is imported."""
    parts = file.with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "src" else parts).removesuffix(".__init__")
