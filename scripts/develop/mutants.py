"""Break the code, one fault at a time, and show that the tests notice each: `make mutants`.

tests/mutants.toml names the files to mutate, the tests that must notice, and the mutants that change nothing. The tests
of a mutant are those that coverage.py saw run its lines, the fastest first.
"""

import ast
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
from scripts.develop.mutant_runs import CleanRuns, MutantResult, run_mutants
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

    @property
    def changed_files(self) -> list[Path]:
        """These files, and those that only have mutants made by hand."""
        return sorted({*self.paths, *(Path(entry["file"]) for entry in self.by_hand)})


class Results:
    """The mutants that earlier runs saw noticed, each as long as its file and the test that noticed it are the same.

    A change of other code, or of another test, is not taken into account: --fresh tries every mutant again.
    """

    def __init__(self, *, fresh: bool) -> None:
        self._noticed: dict[str, list[str]] = {}
        self._digests: dict[tuple[str, str], str] = {}
        self._saved = time.monotonic()
        if not fresh and RESULTS.exists():
            self._noticed = json.loads(RESULTS.read_text())

    def knows(self, mutant: Mutant) -> bool:
        """Whether the tests are known to notice a mutant."""
        test, digest = self._noticed.get(mutant.id, ("", ""))
        return bool(test) and digest == self._digest(test)

    def keep(self, result: MutantResult) -> None:
        """Remember that a mutant was noticed. A survivor is always tried again."""
        if result.noticed_by is not None:
            self._noticed[result.mutant.id] = [result.noticed_by, self._digest(result.noticed_by)]

    def save(self, *, every: float = 0) -> None:
        """Write all that is known, unless that was done less than so many seconds ago."""
        if time.monotonic() - self._saved < every:
            return
        self._saved = time.monotonic()
        RESULTS.parent.mkdir(exist_ok=True)
        unfinished = RESULTS.with_suffix(".new")
        unfinished.write_text(json.dumps(self._noticed))
        unfinished.replace(RESULTS)

    def _digest(self, test: str) -> str:
        file, _, name = test.partition("[")[0].partition("::")
        if (file, name) not in self._digests:
            digest = hashlib.sha256(self._support + _source(ROOT / file, name))
            self._digests[file, name] = digest.hexdigest()
        return self._digests[file, name]

    @cached_property
    def _support(self) -> bytes:
        files = sorted(path for path in (ROOT / "tests").rglob("*.py") if not path.name.startswith("test_"))
        return b"".join(hashlib.sha256(path.read_bytes()).digest() for path in [ROOT / "requirements-dev.txt", *files])


def _source(file: Path, test: str) -> bytes:
    """Return what a file of tests consists of, without its tests other than this one."""
    if not file.is_file():
        return b""
    module = ast.parse(file.read_text())
    module.body = [
        each
        for each in module.body
        if not isinstance(each, ast.FunctionDef) or not each.name.startswith("test_") or each.name == test
    ]
    return ast.dump(module).encode()


def main(
    sample: int = typer.Option(0, help="try so many, always the same, and those made by hand"),
    only: str = typer.Option("", help="try only the mutants of files whose paths contain one of these: packing,shared"),
    fresh: bool = typer.Option(False, "--fresh", help="try again what an earlier run has seen noticed"),
) -> None:
    """Exit 1 if a mutant survives that tests/mutants.toml does not explain, or if that explains what is not so."""
    started = time.monotonic()
    config = Config.read()
    os.environ["HISTORIES"] = str(config.histories)

    def is_wanted(file: Path) -> bool:
        return any(part in str(file) for part in only.split(","))

    paths = [path for path in config.paths if is_wanted(path)]
    by_hand_entries = [entry for entry in config.by_hand if is_wanted(Path(entry["file"]))]
    if not paths and not by_hand_entries:
        raise UserError(f"No file that is mutated has {only!r} in its path: {CONFIG.relative_to(ROOT)}")
    with TemporaryDirectory() as directory:
        runs = CleanRuns(config.test_files, config.changed_files, Path(directory))
        try:
            every = [mutant for path in paths for mutant in mutants(path, (ROOT / path).read_text())]
            made_by_hand = [_by_hand(entry) for entry in by_hand_entries]
            equivalents = Equivalents(config.equivalent, every)
            if sample:
                every = [each for each in sampled(every, sample) if not equivalents.reason(each)]
            every += made_by_hand
            clean = runs.result()
            typer.echo(f"{len(every)} mutants. The tests took {time.monotonic() - started:.0f} s without any fault.")
        finally:
            runs.end()
        results = Results(fresh=fresh or sample > 0)
        survivors: list[Mutant] = []
        with _progress(len(every)) as advance:

            def tell(result: MutantResult) -> None:
                if result.noticed_by is not None:
                    results.keep(result)
                    if not sample:
                        results.save(every=30)
                else:
                    survivors.append(result.mutant)
                    if not equivalents.reason(result.mutant):
                        typer.echo(f"SURVIVED  {result.mutant}\n{_entry(result.mutant)}")
                advance()

            unknown = sorted((mutant for mutant in every if not results.knows(mutant)), key=_rank)
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

    The choice changes only where the code does.
    """
    by_file: dict[Path, list[Mutant]] = {}
    for mutant in every:
        by_file.setdefault(mutant.file, []).append(mutant)
    chosen: list[Mutant] = []
    for of_file in by_file.values():
        share = max(1, round(number * len(of_file) / len(every)))
        chosen += sorted(of_file, key=_rank)[:share]
    return chosen


def _rank(mutant: Mutant) -> bytes:
    """Sort mutants as if at random, the same way every time: what an interrupted run has tried is a fair sample."""
    return hashlib.sha256(repr(_key(mutant)).encode()).digest()


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
