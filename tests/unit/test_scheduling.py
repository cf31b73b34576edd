"""Tests that share a deployed system share a process."""

from scripts.stage import ROOT
from tests.scheduling import scope


def test_every_file_that_uses_the_deployed_system_shares_a_process_with_others() -> None:
    texts = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    using = [file for file, text in texts.items() if "(system: System" in text and "def system(" not in text]

    assert using
    assert [file for file in using if scope(f"{file}::test") == file] == []


def test_other_files_have_a_process_to_themselves() -> None:
    assert scope("tests/acceptance/test_moto.py::test[a/b]") == "tests/acceptance/test_moto.py"
    assert scope("tests/unit/test_scheduling.py::test") == "tests/unit/test_scheduling.py"
