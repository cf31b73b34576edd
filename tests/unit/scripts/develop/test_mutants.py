"""Mutation testing: which faults are made, which tests are run for them, and what must be explained."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts.develop.mutant_code import replace
from scripts.develop.mutant_runs import CleanRun, MutantResult
from scripts.develop.mutants import Config, Equivalents, Results, sampled
from scripts.develop.mutation import Mutant, by_hand, mutants
from scripts.stage import ROOT

FILE = Path("src/handlers/some.py")


def changes(source: str) -> set[tuple[str, str]]:
    return {(mutant.was, mutant.now) for mutant in mutants(FILE, source)}


def test_code_outside_of_functions_and_decorated_functions_are_mutated_too() -> None:
    source = "DAYS = 14\n\n\n@cache\ndef seconds() -> int:\n    return DAYS * 86400\n"

    assert changes(source) == {
        ("DAYS = 14", "DAYS = None"),
        ("DAYS = 14", "DAYS = 15"),
        ("return DAYS * 86400", "return DAYS / 86400"),
        ("return DAYS * 86400", "return DAYS * 86401"),
        ("return DAYS * 86400", "pass"),
    }


def test_entries_arguments_and_statements_are_left_out_and_conditions_forced() -> None:
    source = """
def put(client):
    if client.is_open:
        client.put({"Item": 1, "Condition": two}, ConsistentRead=True)
"""

    call = 'client.put({"Item": 1, "Condition": two}, ConsistentRead=True)'
    assert changes(source) >= {
        (call, 'client.put({"Item": 1, }, ConsistentRead=True)'),
        (call, 'client.put({"Item": 1, "Condition": two}, )'),
        (call, 'client.put({"Item": 1, "Condition": two}, ConsistentRead=False)'),
        (call, "pass"),
        ("if client.is_open:", "if (client.is_open) and False:"),
        ("if client.is_open:", "if (client.is_open) or True:"),
    }


def test_what_shows_nothing_is_not_mutated() -> None:
    source = '''"""A module."""
import os
T = TypeVar("T")
Lane = list[str]
Failure = KeyError | None
TYPE_CHECKING = False
if TYPE_CHECKING:
    from a import b
def f(a: "Any" = 1.5) -> "Any":
    """A function."""
'''

    assert changes(source) == {('def f(a: "Any" = 1.5) -> "Any":', 'def f(a: "Any" = 2.5) -> "Any":')}


def test_what_checks_ourselves_and_bodies_of_protocols_are_left_alone() -> None:
    source = """
class Store(Protocol):
    def read(self) -> int: ...
pairs = zip(a, b, strict=True)
"""

    assert {now for was, now in changes(source) if was.startswith("pairs")} == {
        "pairs = None",
        "pairs = zip(None, b, strict=True)",
        "pairs = zip(a, None, strict=True)",
        "pairs = zip(b, strict=True)",
        "pairs = zip(a, strict=True)",
    }
    assert not [was for was, _ in changes(source) if "read" in was]


def test_every_mutant_differs_from_its_file_in_the_lines_that_it_names() -> None:
    file = Path(__file__).parents[4] / "scripts" / "failures" / "replay.py"
    source = file.read_text()

    for mutant in mutants(file, source):
        compile(mutant.source, str(file), "exec")
        assert mutant.source != source
        lines = source.splitlines()[mutant.first_line - 1 : mutant.last_line]
        assert mutant.was in " ".join(" ".join(lines).split())


def test_a_mutant_by_hand_has_one_place() -> None:
    mutant = by_hand(FILE, "a = 1\nb = 2\n", "b", "b = 2", "b = 3")

    assert (mutant.source, mutant.first_line, mutant.last_line) == ("a = 1\nb = 3\n", 2, 2)
    assert (mutant.was, mutant.now) == ("b = 2", "b = 3")
    for wrong in "c = 2", " = ":
        with pytest.raises(ValueError, match="not once"):
            by_hand(FILE, "a = 1\nb = 2\n", "b", wrong, "")


def test_every_mutant_written_by_hand_fits_the_code_as_it_is() -> None:
    for entry in Config.read().by_hand:
        file = ROOT / entry["file"]

        compile(by_hand(file, file.read_text(), entry["lost"], entry["text"], entry["instead"]).source, file, "exec")


def mutant(line: int = 2, now: str = "b", file: Path = FILE) -> Mutant:
    return Mutant(file, "place", line, line, "a", now, f"{line}{now}")


def test_the_tests_of_a_mutant_are_those_that_run_its_lines_the_fastest_first() -> None:
    clean = CleanRun(
        {"slow": 2, "quick": 1, "other": 0.5}, {str(FILE): {1: [""], 2: ["slow", "quick"], 3: ["other", "slow"]}}
    )

    assert clean.tests_of(mutant(line=2)) == ["quick", "slow"]
    assert clean.tests_of(mutant(line=1)) == ["other", "quick", "slow"]  # its import is all that runs it
    assert clean.tests_of(mutant(line=9)) == ["other", "quick", "slow"]  # an else: has no line of its own
    assert clean.tests_of(mutant(file=Path("unknown.py"))) == []


def test_a_constant_is_tested_by_what_names_its_module_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.develop.mutant_runs.ROOT", tmp_path)
    (tmp_path / "test_a.py").write_text("from handlers import some")
    (tmp_path / "test_b.py").write_text("from handlers import something")
    clean = CleanRun({"test_a.py::test": 1, "test_b.py::test": 1}, {str(FILE): {1: [""], 2: []}})

    assert clean.tests_of(mutant(line=1)) == ["test_a.py::test"]


SOURCE = """
from functools import cached_property, lru_cache

def plain():
    return 1

@lru_cache
def cached():
    return 2

def outer():
    def inner():
        return 3
    return inner()

def default(value=4):
    return value

class Base:
    def method(self):
        return 5

class Derived(Base):
    @property
    def shown(self):
        return 6

    @cached_property
    def kept(self):
        return 7

    @classmethod
    def of_class(cls):
        return 8

    def method(self):
        return super().method() + 9
"""


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (1, "plain()"),
        (2, "cached()"),
        (3, "outer()"),
        (5, "Base().method()"),
        (6, "Derived().shown"),
        (7, "Derived().kept"),
        (8, "Derived.of_class()"),
        (9, "Derived().method() - 5"),
    ],
)
def test_a_functions_code_is_replaced_where_it_is_used_already(
    number: int, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(tmp_path, monkeypatch)
    functions = dict(vars(module))
    assert eval(value, functions) == number  # noqa: S307
    functions["cached"].cache_clear()

    changed = by_hand(Path("some.py"), SOURCE, "", str(number), "70")

    assert replace(changed)
    assert eval(value, functions) == 70  # noqa: S307


@pytest.mark.parametrize(("text", "instead"), [("value=4", "value=70"), ("super().method()", "5")])
def test_what_cannot_be_replaced_in_place_is_left(
    text: str, instead: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load(tmp_path, monkeypatch)

    assert not replace(by_hand(Path("some.py"), SOURCE, "", text, instead))
    assert (module.default(), module.Derived().method()) == (4, 14)


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (path / "some.py").write_text(SOURCE)
    module = ModuleType("some")
    exec(compile(SOURCE, path / "some.py", "exec"), vars(module))  # noqa: S102
    monkeypatch.setitem(sys.modules, "some", module)
    monkeypatch.setattr("scripts.develop.mutant_code.ROOT", path)
    return module


def test_a_sample_is_the_same_every_time_and_has_some_of_every_file() -> None:
    large = [mutant(now=str(i)) for i in range(100)]
    small = [mutant(file=Path("src/handlers/small.py"))]

    chosen = sampled([*large, *small], 10)

    assert len(chosen) == 11
    assert small[0] in chosen
    assert sampled([*small, *large[::-1]], 10) == [small[0], *(each for each in chosen if each.file == FILE)]
    kept = sampled([*large[:50], *small], 10)
    assert {each for each in chosen if each in large[:50]} <= set(sampled(large[:50], 50))
    assert kept


def test_what_is_listed_must_still_be_a_mutant_and_must_still_survive() -> None:
    entry = {"file": str(FILE), "place": "place", "was": "a", "now": "b", "why": "reason"}
    gone = entry | {"now": "gone"}
    elsewhere = entry | {"file": "src/handlers/other.py"}
    listed = Equivalents([entry, gone, elsewhere], [mutant(), mutant(now="c")])

    assert listed.reason(mutant()) == "reason"
    assert listed.reason(mutant(now="c")) is None
    assert [complaint.rpartition(" | ")[2] for complaint in listed.unmatched([FILE])] == ["gone"]
    assert listed.noticed([mutant()]) == []
    assert [complaint.rpartition(" | ")[2] for complaint in listed.noticed([])] == ["b"]


def test_what_was_noticed_is_known_until_the_test_that_noticed_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.develop.mutants.ROOT", tmp_path)
    monkeypatch.setattr("scripts.develop.mutants.RESULTS", tmp_path / ".local" / "mutants.json")
    (tmp_path / "requirements-dev.txt").touch()
    test = tmp_path / "tests" / "test_some.py"
    test.parent.mkdir()
    helper, one, other = "LIMIT = 1\n", "def test():\n    assert LIMIT\n", "def test_other():\n    pass\n"
    test.write_text(helper + one)
    noticed, survivor = MutantResult(mutant(), "tests/test_some.py::test"), MutantResult(mutant(now="c"), None)
    results = Results(fresh=False)
    for each in noticed, survivor:
        results.keep(each)
    results.save()

    assert Results(fresh=False).knows(noticed.mutant)
    assert not Results(fresh=False).knows(survivor.mutant)
    assert not Results(fresh=True).knows(noticed.mutant)

    test.write_text(other + helper + one)
    assert Results(fresh=False).knows(noticed.mutant)
    for changed in helper + one.replace("assert", "assert not"), helper.replace("1", "2") + one, other:
        test.write_text(changed)
        assert not Results(fresh=False).knows(noticed.mutant)
