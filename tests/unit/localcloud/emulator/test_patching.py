"""Every repair of the emulator notices when ministack is no longer what it was written for."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import localcloud.emulator
from localcloud.emulator import patching
from localcloud.emulator.patching import FINGERPRINTS, Repair, fingerprint, problems, repair, replace
from localcloud.emulator.repairs import REPAIRS


@pytest.fixture(scope="module")
def ministack() -> dict[str, Any]:
    """The modules of ministack that the repairs need, unrepaired."""
    return patching.load(REPAIRS)


def ids(each: Repair) -> str:
    return each.name


def test_the_installed_ministack_is_the_one_that_the_repairs_were_written_for(ministack: dict[str, Any]) -> None:
    assert problems(REPAIRS, ministack, json.loads(FINGERPRINTS.read_text())) == [], (
        "look at each repair, and then run: python src/localcloud/emulator --fingerprints"
    )


def test_fingerprints_are_kept_of_nothing_that_no_repair_builds_on(ministack: dict[str, Any]) -> None:
    assert json.loads(FINGERPRINTS.read_text()) == patching.fingerprints(REPAIRS, ministack)


def test_every_repair_is_made() -> None:
    package = Path(localcloud.emulator.__file__).parent
    written = sum(file.read_text().count("\n@repair(") for file in package.glob("*.py"))

    assert len(set(REPAIRS)) == written


@pytest.mark.parametrize("each", REPAIRS, ids=ids)
def test_a_repair_says_what_aws_does(each: Repair) -> None:
    assert "https://" in each.aws or "#" in each.aws


@pytest.mark.parametrize("each", REPAIRS, ids=ids)
def test_a_repair_does_not_run_on_a_ministack_that_lacks_what_it_builds_on(each: Repair) -> None:
    renamed = [ModuleType(name) for name in each.modules]

    with pytest.raises(SystemExit) as end:
        each(*renamed)

    assert f"{each.name}: " in str(end.value)
    assert all(name in str(end.value) for name in each.builds_on)
    assert patching.PINNED in str(end.value)


def original() -> str:
    return "as it was"


def changed() -> str:
    return "as it is after an upgrade"


@repair(replaces=["kinesis.put"], uses=["kinesis.size", "kinesis.TEXT", "kinesis.streams"], aws="https://example.com")
def wrap_put(kinesis: Any) -> None:
    """Replace one function."""
    replace(kinesis, put=lambda: "repaired")


def kinesis(**names: Any) -> dict[str, Any]:
    module = ModuleType("kinesis")
    vars(module).update({"put": original, "size": original, "TEXT": "text", "streams": {}} | names)
    return {"kinesis": module}


@pytest.mark.parametrize(
    ("upgrade", "named"),
    [
        ({"put": changed}, "kinesis.put is not what it was"),
        ({"size": changed}, "kinesis.size is not what it was"),
        ({"TEXT": "another text"}, "kinesis.TEXT is not what it was"),
        ({"put": None}, "kinesis.put is not what it was"),
    ],
)
def test_an_upgrade_that_changes_what_a_repair_builds_on_names_the_repair(upgrade: dict[str, Any], named: str) -> None:
    known = patching.fingerprints([wrap_put], kinesis())

    assert problems([wrap_put], kinesis(), known) == []
    assert problems([wrap_put], kinesis(streams={"one": {}}), known) == []
    assert problems([wrap_put], kinesis(**upgrade), known) == [f"test_patching.wrap_put: {named}"]


def test_an_upgrade_that_removes_a_name_names_the_repair() -> None:
    known, upgraded = patching.fingerprints([wrap_put], kinesis()), kinesis()
    del upgraded["kinesis"].streams

    assert problems([wrap_put], upgraded, known) == ["test_patching.wrap_put: kinesis.streams is gone"]


def test_a_fingerprint_is_of_the_source_and_data_has_none() -> None:
    assert fingerprint(original) != fingerprint(changed)
    assert fingerprint({}) == ""


def test_every_repair_replaces_what_it_declares_and_nothing_else() -> None:
    """In a process that ends: what is replaced stays replaced."""
    program = """
import inspect, json
from localcloud.emulator import patching
from localcloud.emulator.repairs import REPAIRS

modules = patching.load(REPAIRS)
wrong = {}

def names():
    found = {}
    for name, module in modules.items():
        for key, value in vars(module).items():
            found[f"{name}.{key}"] = value
            if inspect.isclass(value) and value.__module__ == module.__name__:
                found |= {f"{name}.{key}.{inner}": each for inner, each in vars(value).items()}
    return found

for repair in REPAIRS:
    before = names()
    repair(*(modules[name] for name in repair.modules))
    after = names()
    replaced = sorted(key for key in after if after[key] is not before.get(key))
    if replaced != sorted(repair.replaces):
        wrong[repair.name] = replaced
print(json.dumps(wrong))
"""
    sources = Path(localcloud.emulator.__file__).parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(sources)}, capture_output=True, text=True, check=True
    )

    assert json.loads(answer.stdout.splitlines()[-1]) == {}
