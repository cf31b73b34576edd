"""Break the code, one fault at a time, and show that the tests notice each: `make mutants`.

tests/mutants.toml names the files to mutate, the tests that must notice, and the mutants that change nothing. The tests
of a mutant are those that coverage.py saw run its lines, the fastest first.
"""

import hashlib
import json
import os
import sys
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.cli import UserError
from scripts.develop.mutant_runs import CleanRuns, Verdict, run_mutants
from scripts.develop.mutation import Mutant, by_hand, mutants
from scripts.stage import ROOT

CONFIG = ROOT / "tests" / "mutants.toml"
RESULTS = ROOT / ".local" / "mutants.json"


@dataclass(frozen=True)
class Config:
    """tests/mutants.toml."""

    histories: int
    tests: list[str]
    files: list[str]
    """Patterns, from the repository's root."""
    by_hand: list[dict[str, str]] = field(default_factory=list)
    equivalent: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def read(cls) -> "Config":
        """Read the file."""
        return cls(**tomllib.loads(CONFIG.read_text()))

    @property
    def test_files(self) -> list[Path]:
        """The files of the tests."""
        found = {path for name in self.tests for path in [ROOT / name, *(ROOT / name).rglob("test_*.py")]}
        return sorted(path for path in found if path.is_file())

    @property
    def paths(self) -> list[Path]:
        """The files to mutate, from the repository's root."""
        found = {path.relative_to(ROOT) for pattern in self.files for path in ROOT.glob(pattern)}
        return sorted(path for path in found if path.suffix == ".py")


class Results:
    """What an earlier run found out, as far as it still holds.

    It does while neither the code nor the test that noticed the mutant has changed.
    """

    def __init__(self, *, fresh: bool) -> None:
        self._noticed: dict[str, list[str]] = {}
        if not fresh and RESULTS.exists():
            self._noticed = json.loads(RESULTS.read_text())

    def knows(self, mutant: Mutant) -> bool:
        """Whether the tests are known to notice a mutant."""
        test, digest = self._noticed.get(mutant.id, ("", ""))
        return bool(test) and digest == self._digest(test)

    def keep(self, verdict: Verdict) -> None:
        """Remember that a mutant was noticed. A survivor is always tried again."""
        if verdict.noticed_by is not None:
            self._noticed[verdict.mutant.id] = [verdict.noticed_by, self._digest(verdict.noticed_by)]

    def save(self) -> None:
        """Write all that is known."""
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(self._noticed))

    def _digest(self, test: str) -> str:
        file = ROOT / test.partition("::")[0]
        return hashlib.sha256(self._support + (file.read_bytes() if file.is_file() else b"")).hexdigest()

    @cached_property
    def _support(self) -> bytes:
        files = sorted(path for part in ("src", "scripts", "tests") for path in (ROOT / part).rglob("*.py"))
        files = [ROOT / "requirements.txt", *(path for path in files if not path.name.startswith("test_"))]
        return b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)


def main(
    sample: int = typer.Option(0, help="try so many, always the same, and those made by hand"),
    only: str = typer.Option("", help="try only the mutants of files whose paths contain one of these: packing,shared"),
    fresh: bool = typer.Option(False, "--fresh", help="try again what an earlier run has seen noticed"),
) -> None:
    """Exit 1 if a mutant survives that tests/mutants.toml does not explain, or if that explains what is not so."""
    started = time.monotonic()
    config = Config.read()
    os.environ["HISTORIES"] = str(config.histories)
    paths = [path for path in config.paths if any(part in str(path) for part in only.split(","))]
    if not paths:
        raise UserError(f"No file that is mutated has {only!r} in its path: {CONFIG.relative_to(ROOT)}")
    with TemporaryDirectory() as directory:
        runs = CleanRuns(config.test_files, config.paths, Path(directory))
        try:
            every = [mutant for path in paths for mutant in mutants(path, (ROOT / path).read_text())]
            made_by_hand = [_by_hand(entry) for entry in config.by_hand if Path(entry["file"]) in paths]
            equivalents = Equivalents(config.equivalent, every)
            if sample:
                every = [each for each in sampled(every, sample) if not equivalents.reason(each)]
            every += made_by_hand
            clean = runs.result()
        finally:
            runs.end()
        results = Results(fresh=fresh or sample > 0)
        survivors: list[Mutant] = []
        with _progress(len(every)) as advance:

            def tell(verdict: Verdict) -> None:
                if verdict.noticed_by is not None:
                    results.keep(verdict)
                else:
                    survivors.append(verdict.mutant)
                    if not equivalents.reason(verdict.mutant):
                        typer.echo(f"SURVIVED  {verdict.mutant}\n{_entry(verdict.mutant)}")
                advance()

            unknown = [mutant for mutant in every if not results.knows(mutant)]
            for _ in range(len(every) - len(unknown)):
                advance()
            try:
                run_mutants(unknown, clean, config.test_files, Path(directory), tell)
            finally:
                if not sample:
                    results.save()
    unexplained = [mutant for mutant in survivors if not equivalents.reason(mutant)]
    complaints = equivalents.unmatched(paths) + ([] if sample else equivalents.noticed(survivors))
    _report(every, survivors, unexplained, complaints, time.monotonic() - started)
    if unexplained or complaints:
        raise typer.Exit(1)


def sampled(every: Sequence[Mutant], number: int) -> list[Mutant]:
    """So many of them, spread over the files as the mutants are, at least one of each.

    A mutant's own digest decides, so the choice changes only where the code does, and is no better than random.
    """
    by_file: dict[Path, list[Mutant]] = {}
    for mutant in every:
        by_file.setdefault(mutant.file, []).append(mutant)
    chosen: list[Mutant] = []
    for of_file in by_file.values():
        share = max(1, round(number * len(of_file) / len(every)))
        chosen += sorted(of_file, key=lambda mutant: hashlib.sha256(repr(_key(mutant)).encode()).digest())[:share]
    return chosen


class Equivalents:
    """The mutants that are known to change nothing, with the reasons."""

    def __init__(self, entries: Iterable[Mapping[str, str]], every: Iterable[Mutant]) -> None:
        self._reasons = {self._key(each): each["why"] for each in entries}
        self._known = {_key(mutant) for mutant in every}

    def reason(self, mutant: Mutant) -> str | None:
        """Why it changes nothing; None when it is not listed."""
        return self._reasons.get(_key(mutant))

    def unmatched(self, paths: Iterable[Path]) -> list[str]:
        """Complaints about entries of these files that no mutant fits."""
        files = {str(path) for path in paths}
        wrong = (key for key in self._reasons if key[0] in files and key not in self._known)
        return [f"No mutant fits this entry any more, so remove it: {' | '.join(key)}" for key in wrong]

    def noticed(self, survivors: Iterable[Mutant]) -> list[str]:
        """Complaints about entries whose mutants are noticed after all."""
        wrong = (self._reasons.keys() & self._known) - {_key(mutant) for mutant in survivors}
        return [f"The tests notice this one, so remove its entry: {' | '.join(key)}" for key in sorted(wrong)]

    @staticmethod
    def _key(entry: Mapping[str, str]) -> tuple[str, str, str, str]:
        return entry["file"], entry["place"], entry["was"], entry["now"]


def _key(mutant: Mutant) -> tuple[str, str, str, str]:
    return str(mutant.file), mutant.place, mutant.was, mutant.now


def _by_hand(entry: Mapping[str, str]) -> Mutant:
    file = Path(entry["file"])
    try:
        return by_hand(file, (ROOT / file).read_text(), entry["lost"], entry["text"], entry["instead"])
    except ValueError as error:
        raise UserError(f"{CONFIG.relative_to(ROOT)} is out of date: {error}") from None


def _report(
    chosen: Sequence[Mutant],
    survivors: Sequence[Mutant],
    unexplained: Sequence[Mutant],
    complaints: Sequence[str],
    seconds: float,
) -> None:
    for complaint in complaints:
        typer.echo(complaint)
    of_file = Counter(str(mutant.file) for mutant in chosen)
    left = Counter(str(mutant.file) for mutant in survivors)
    for file, number in sorted(of_file.items()):
        typer.echo(f"{number:5} mutants, {left[file]:3} alive  {file}")
    typer.echo(
        f"{len(chosen)} mutants in {seconds:.0f} s: {len(chosen) - len(survivors)} noticed, "
        f"{len(survivors) - len(unexplained)} change nothing, {len(unexplained)} survived."
    )
    if unexplained:
        typer.echo(f"Write a test that notices each, or list it in {CONFIG.relative_to(ROOT)} with the reason.")


def _entry(mutant: Mutant) -> str:
    """What to list, so that only the reason is left to write."""
    names = ("file", "place", "was", "now")
    values = [f"{name} = {json.dumps(value)}" for name, value in zip(names, _key(mutant), strict=True)]
    return "\n".join(["[[equivalent]]", *values, 'why = ""', ""])


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal; elsewhere a line now and then."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        transient=True,
        disable=not sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("Mutants", total=total)
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            bar.advance(task)
            if bar.disable and done % 500 == 0:
                typer.echo(f"{done} of {total} mutants tried")

        yield advance
