"""Break the counting in the ways that matter, one at a time, and show that the tests notice each: `make mutants`."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import typer

ROOT = Path(__file__).resolve().parent.parent
FUNCTION = Path("src/handlers/aggregate_scores_by_user")


@dataclass(frozen=True)
class Mutant:
    """What is lost when `text`, which `file` has once, reads `instead`; which tests are there to see it."""

    lost: str
    file: str
    text: str
    instead: str
    tests: str


MUTANTS = (
    Mutant(
        "the version condition, as planned",
        "ledger.py",
        "puts.append(Put(change.record_id, new, entry.version if entry else None))",
        "puts.append(Put(change.record_id, new, change.version if entry else None))",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the version condition, as written",
        "dynamodb.py",
        '"Version = :replaced"',
        '"Version <> :replaced OR Version = :replaced"',
        "tests/contract/test_ledger.py",
    ),
    Mutant(
        "the condition that there is no entry",
        "dynamodb.py",
        '"attribute_not_exists(RecordID)"',
        '"attribute_not_exists(Nothing)"',
        "tests/contract/test_ledger.py",
    ),
    Mutant(
        "the order of versions",
        "ledger.py",
        "if entry is None or entry.version < change.version:",
        "if entry is None or entry.version != change.version:",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the tombstone of a delete",
        "counting.py",
        "tasks = [first_try(change) for change in changes]",
        "tasks = [first_try(change) for change in changes if change.username is not None]",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the tombstone's version",
        "ledger.py",
        "new = Entry(change.version, change.username, change.score)",
        'new = Entry(change.version if change.username else "", change.username, change.score)',
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the padding",
        "change.py",
        """{'0' * (_SEQUENCE_NUMBER_DIGITS - digits)}""",
        "",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the folding order",
        "change.py",
        "elif change.version > held.version:",
        "else:",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "folding",
        "change.py",
        "elif change.version > held.version:",
        "elif False:",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the transaction, entries first",
        "counting.py",
        "ledger.commit(transaction)",
        "ledger.commit(transaction._replace(adds=())), ledger.commit(transaction._replace(puts=()))",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the transaction, totals first",
        "counting.py",
        "ledger.commit(transaction)",
        "ledger.commit(transaction._replace(puts=())), ledger.commit(transaction._replace(adds=()))",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "the transaction, as written",
        "dynamodb.py",
        "self._client.transact_write_items(TransactItems=items)",
        "[self._client.transact_write_items(TransactItems=[item]) for item in items]",
        "tests/contract/test_ledger.py",
    ),
    Mutant(
        "the withdrawal of poison",
        "handler.py",
        "if withdrawn is not None:",
        "if False:",
        "tests/property/test_histories.py",
    ),
    Mutant(
        "exact decimals",
        "ledger.py",
        "entry.score.copy_negate()",
        "-entry.score",
        "tests/property/test_histories.py",
    ),
)


def main(
    histories: int = typer.Option(1000, help="How many histories a mutant may have to survive."),
) -> None:
    """Exit 1 if a mutant survives."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory)
        for part in ("src", "scripts", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        survivors = [mutant.lost for mutant in MUTANTS if not is_caught(mutant, copy, histories)]
    if survivors:
        raise typer.Exit(code=1)


def is_caught(mutant: Mutant, copy: Path, histories: int) -> bool:
    """Apply the mutant to the copy, run its tests, print what they say, and undo it."""
    file = copy / FUNCTION / mutant.file
    original = file.read_text()
    if original.count(mutant.text) != 1:
        raise SystemExit(f"{mutant.file} does not have this exactly once, so bring it up to date: {mutant.text}")
    file.write_text(original.replace(mutant.text, mutant.instead))
    # To shrink a failure that is wanted would take most of the time.
    options = ["--hypothesis-profile=unshrunk"] if "property" in mutant.tests else []
    tests = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            *options,
            mutant.tests,
        ],
        cwd=copy,
        env={**os.environ, "HISTORIES": str(histories), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    file.write_text(original)
    # 1 is a failed test; anything else, a mutant that does not even load among them, proves nothing.
    caught = tests.returncode == 1
    if not caught and tests.returncode != 0:
        raise SystemExit(tests.stdout + tests.stderr)
    typer.echo(f"{'caught' if caught else 'SURVIVED':<9} without {mutant.lost} ({mutant.tests})")
    return caught


if __name__ == "__main__":
    typer.run(main)
