"""The functions' zip files."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.develop.package import SOURCES, functions, package, package_name
from scripts.stage import ROOT

FUNCTIONS = functions()


def test_every_package_with_a_handler_is_a_function() -> None:
    assert {"AggregateScoresByUser", "ProcessKinesisRecords"} <= set(FUNCTIONS)
    assert [package_name(function) for function in FUNCTIONS] == sorted(
        file.parent.name for file in (SOURCES / "handlers").glob("*/handler.py")
    )


def test_make_packages_every_function() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "package"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert sorted(re.findall(r"scripts\.develop\.package (\S+) build/\1\.zip", done.stdout)) == sorted(FUNCTIONS)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_has_the_same_bytes_on_another_machine(function: str, tmp_path: Path) -> None:
    here = tmp_path / "here.zip"
    package(function, here)

    # Another machine: a checkout elsewhere, of another age, with stray files, another umask, locale and time zone.
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(SOURCES, elsewhere / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "scripts", elsewhere / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for number, file in enumerate(sorted(elsewhere.rglob("*.py"), reverse=True)):
        file.chmod(0o600)
        os.utime(file, (10**9 + number, 10**9 + number))
    subprocess.run(
        [sys.executable, "-m", "scripts.develop.package", function, "there.zip"],
        cwd=elsewhere,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "Pacific/Auckland", "PYTHONHASHSEED": "1"},
        umask=0o077,
        check=True,
    )

    assert (elsewhere / "there.zip").read_bytes() == here.read_bytes()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_holds_its_own_function_and_what_is_shared_and_nothing_else(function: str, tmp_path: Path) -> None:
    package(function, tmp_path / "function.zip")

    names = zipfile.ZipFile(tmp_path / "function.zip").namelist()
    own = package_name(function)
    assert f"handlers/{own}/handler.py" in names
    assert "handlers/shared/log.py" in names
    assert {Path(name).suffix for name in names} == {".py"}
    assert {name.split("/")[1] for name in names} == {"__init__.py", "shared", own}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_package_can_be_imported_without_this_repository(function: str, tmp_path: Path) -> None:
    package(function, tmp_path / "function.zip")
    import_it = f"from handlers.{package_name(function)}.handler import handler; print(handler.__name__)"

    done = subprocess.run(
        [sys.executable, "-c", import_it],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "function.zip", "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.endswith("handler\n")


def test_an_unknown_function_is_named_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.develop.package", "NoSuchFunction", str(tmp_path / "function.zip")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no function NoSuchFunction")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
