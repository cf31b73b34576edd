"""What deploys and operates a stage needs nothing but what requirements.txt has."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from scripts.stage import ROOT

DEVELOP = ROOT / "scripts/develop"
RUNTIME = [
    file
    for folder in ("scripts", "src")
    for file in sorted((ROOT / folder).rglob("*.py"))
    if not file.is_relative_to(DEVELOP)
]
OURS = {"handlers", "localcloud", "scripts"}
PINS = re.compile(r"^([a-z0-9-]+)==(\S+).*\\\n((?: +--hash=sha256:[0-9a-f]{64}.*\n)+)", re.MULTILINE)
SECTION = re.compile(r"^##@ (.+)$|^([a-z-]+):(.*)## ", re.MULTILINE)
NEEDS_NO_TOOLS = {"test-terraform", "package", "lock", "clean"}


def pins(name: str) -> set[tuple[str, str]]:
    return {(package, version) for package, version, _ in PINS.findall((ROOT / name).read_text())}


def imports(file: Path) -> set[str]:
    """Return the modules that a file imports, anywhere in it, but for those that only a type checker imports."""

    def visit(nodes: Iterable[ast.AST]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from visit(node.orelse)
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield str(node.module)
            else:
                yield from visit(ast.iter_child_nodes(node))

    return set(visit([ast.parse(file.read_text())]))


def foreign(file: Path) -> set[str]:
    """Return the packages that a file imports and that neither Python nor this repository has."""
    return {module.partition(".")[0] for module in imports(file)} - OURS - sys.stdlib_module_names


def targets() -> dict[str, dict[str, str]]:
    """Return the prerequisites of make's targets, by the section in which its help lists them."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for title, target, prerequisites in SECTION.findall((ROOT / "Makefile").read_text()):
        section = title or section
        if target and target != "help":
            found.setdefault(section, {})[target] = prerequisites
    return found


def test_a_command_imports_only_what_is_locked_for_deploying_and_operating() -> None:
    locked = {package for package, _ in pins("requirements.txt")}
    available = {
        module
        for module, distributions in packages_distributions().items()
        if {each.lower().replace("_", "-") for each in distributions} & locked
    }

    missing = {str(file.relative_to(ROOT)): foreign(file) - available for file in RUNTIME if foreign(file) - available}

    assert not missing, "Add them to dependencies in pyproject.toml, then: make lock"
    develop = {module for file in RUNTIME for module in imports(file) if module.startswith("scripts.develop")}
    assert not develop, "these may import what is not installed"


def test_packaging_needs_nothing_but_python() -> None:
    assert not foreign(DEVELOP / "package.py")


def test_everything_is_locked_with_hashes_and_both_locks_agree() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = re.findall(r"^[a-z0-9].*==", (ROOT / name).read_text(), re.MULTILINE)
        assert len(lines) == len(PINS.findall((ROOT / name).read_text()))

    assert pins("requirements.txt") < pins("requirements-dev.txt")


def test_nothing_for_development_is_locked_for_deploying_and_operating() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    names = {re.split(r"[\[<>=~]", requirement)[0] for requirement in groups["dev"]}

    assert not names & {package for package, _ in pins("requirements.txt")}
    assert names <= {package for package, _ in pins("requirements-dev.txt")}


def test_only_targets_that_change_the_code_install_what_they_need_beside() -> None:
    for section, rules in targets().items():
        for target, prerequisites in rules.items():
            is_development = section == "Change it" and target not in NEEDS_NO_TOOLS
            assert ("$(DEV)" in prerequisites) == is_development, target
