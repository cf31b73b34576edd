"""Break the code, one fault at a time, and show that the tests notice each: `make mutants`.

tests/mutants.toml names the files to mutate, the tests that must notice, and the mutants that change nothing. The tests
of a mutant are those that coverage.py saw run its lines, the fastest first. Each mutant is loaded from memory, in a
process of its own, in place of the module: no file of the repository is written.
"""

import hashlib
import importlib.util
import json
import os
import resource
import signal
import sys
import time
import tomllib
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType
from typing import NoReturn

import coverage
import hypothesis
import pytest
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from scripts.command import UserError, run
from scripts.mutation import Mutant, by_hand, mutants
from scripts.stage import ROOT

CONFIG = ROOT / "tests" / "mutants.toml"
RESULTS = ROOT / ".local" / "mutants.json"
_PRELOADED = ("boto3", "botocore.stub", "moto", "moto.dynamodb.models", "moto.s3.models", "moto.kinesis.models")
_MOST_MEMORY = 4 * 2**30
_LOADING = 60
"""Seconds of work until the first test begins."""
_NOTICED = {1, 2, 3, 4}
"""pytest's exit codes when a test fails, a test module or a conftest cannot be imported, or a plugin fails."""


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
    def paths(self) -> list[Path]:
        """The files to mutate, from the repository's root."""
        found = {path.relative_to(ROOT) for pattern in self.files for path in ROOT.glob(pattern)}
        return sorted(path for path in found if path.suffix == ".py")


@dataclass(frozen=True)
class CleanRun:
    """What was seen of the tests without any fault."""

    seconds: Mapping[str, float]
    """How long each test takes."""
    lines: Mapping[str, Mapping[int, Sequence[str]]]
    """By file and line, the tests that run it; "" for what is run by an import."""

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that can notice a mutant, the fastest first."""
        lines = self.lines.get(str(mutant.file), {})
        tests = {test for line in range(mutant.first_line, mutant.last_line + 1) for test in lines.get(line, ())}
        if "" in tests or not tests:
            tests = {test for each in lines.values() for test in each}
        return sorted(tests - {""}, key=lambda test: (self.seconds[test], test))


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    noticed_by: str | None
    """A test, or how it ended; None when it survived."""


class Results:
    """What an earlier run found out, as far as it still holds.

    It does while neither the code nor the test that noticed the mutant has changed.
    """

    def __init__(self, *, fresh: bool) -> None:
        self._noticed: dict[str, list[str]] = {}
        if not fresh and RESULTS.exists():
            self._noticed = json.loads(RESULTS.read_text())

    def verdict(self, mutant: Mutant) -> Verdict | None:
        """Return what is known of a mutant."""
        test, digest = self._noticed.get(mutant.id, ("", ""))
        return Verdict(mutant, test) if test and digest == self._digest(test) else None

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
    config = Config.read()
    os.environ["HISTORIES"] = str(config.histories)
    for name in _PRELOADED:
        importlib.import_module(name)
    started = time.monotonic()
    with TemporaryDirectory() as directory:
        # Compile what is not mutated once for all processes, and leave nothing behind.
        sys.dont_write_bytecode, sys.pycache_prefix = False, directory
        clean = _CleanRuns(config, Path(directory))
        try:
            paths = [path for path in config.paths if any(part in str(path) for part in only.split(","))]
            if not paths:
                raise UserError(f"No file that is mutated has {only!r} in its path: {CONFIG.relative_to(ROOT)}")
            every = [mutant for path in paths for mutant in mutants(path, (ROOT / path).read_text())]
            made_by_hand = [_by_hand(entry) for entry in config.by_hand if Path(entry["file"]) in paths]
            equivalents = Equivalents(config.equivalent, every)
            if sample:
                every = sampled([each for each in every if not equivalents.reason(each)], sample)
            every += made_by_hand
            tests = clean.result()
        finally:
            clean.end()
        verdicts = _try(every, tests, Path(directory), None if sample else Results(fresh=fresh))
    survivors = [verdict.mutant for verdict in verdicts if verdict.noticed_by is None]
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
    for mutant in unexplained:
        typer.echo(f"SURVIVED  {mutant}\n{_entry(mutant)}")
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


# Processes


class _CleanRuns:
    """The tests without any fault, in two halves beside each other."""

    def __init__(self, config: Config, directory: Path) -> None:
        files = sorted(
            path
            for name in config.tests
            for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("test_*.py"))
        )
        sources = [str(ROOT / path) for path in config.paths]
        self._runs: dict[int, Path] = {}
        # Large files take long, so deal them out by size.
        files.sort(key=lambda path: path.stat().st_size)
        for half in (files[::2], files[1::2]):
            log = directory / f"clean-{len(self._runs)}"
            self._runs[_fork(partial(_clean, half, sources, log), log)] = log

    def result(self) -> CleanRun:
        """Wait for both. Raises UserError when a test fails."""
        seconds: dict[str, float] = {}
        lines: dict[str, dict[int, list[str]]] = {}
        while self._runs:
            pid, log = next(iter(self._runs.items()))
            _, status = os.waitpid(pid, 0)
            del self._runs[pid]
            if status:
                raise UserError(f"The tests fail without any fault, so nothing can be shown.\n{log.read_text()}")
            found = json.loads(log.with_suffix(".json").read_text())
            seconds |= found["seconds"]
            for file, by_line in found["lines"].items():
                for line, tests in by_line.items():
                    lines.setdefault(file, {}).setdefault(int(line), []).extend(tests)
        return CleanRun(seconds, lines)

    def end(self) -> None:
        """End what still runs."""
        for pid in self._runs:
            _end(pid)


class _Witness:
    """A plugin of pytest that says which test fails."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            sys.__stdout__.write(f"noticed by {report.nodeid}\n")  # type: ignore[union-attr]


def _clean(files: Sequence[Path], sources: Sequence[str], log: Path) -> int:
    measure = coverage.Coverage(data_file=None, include=sources, config_file=False)
    measure.start()
    for source in sources:  # what their import runs belongs to no test
        importlib.import_module(_module(Path(source).relative_to(ROOT)))
    observer = _Observer(measure.switch_context)
    code = _pytest([str(path) for path in files], observer)
    measure.stop()
    data = measure.get_data()
    lines = {str(Path(source).relative_to(ROOT)): data.contexts_by_lineno(source) for source in sources}
    log.with_suffix(".json").write_text(json.dumps({"seconds": observer.seconds, "lines": lines}))
    return code


def _try(chosen: Sequence[Mutant], clean: CleanRun, directory: Path, results: Results | None) -> list[Verdict]:
    """Try mutants, as many at once as there are processors."""
    verdicts: list[Verdict] = []
    running: dict[int, tuple[Mutant, Path]] = {}
    waiting = list(chosen)[::-1]
    try:
        with _progress(len(chosen)) as advance:
            while waiting or running:
                while waiting and len(running) < (os.cpu_count() or 1):
                    mutant = waiting.pop()
                    tests = clean.tests_of(mutant)
                    known = results.verdict(mutant) if results else None
                    if known or not tests:
                        verdicts.append(known or Verdict(mutant, None))
                        advance()
                        continue
                    log = directory / mutant.id
                    seconds = {test: clean.seconds[test] for test in tests}
                    running[_fork(partial(_test, mutant, seconds), log)] = mutant, log
                if not running:
                    break
                pid, status = os.wait()
                mutant, log = running.pop(pid)
                verdicts.append(Verdict(mutant, _noticed_by(os.waitstatus_to_exitcode(status), log)))
                log.unlink()
                advance()
                if results:
                    results.keep(verdicts[-1])
    finally:
        for pid in running:
            _end(pid)
        if results:
            results.save()
    return verdicts


def _noticed_by(code: int, log: Path) -> str | None:
    """The test that noticed. Raises UserError when what happened shows nothing."""
    if code == 0:
        return None
    if code < 0:
        return "it took too long"
    text = log.read_text()
    if code not in _NOTICED:
        raise UserError(f"pytest exited {code}, which shows nothing.\n{text}")
    failed = [line for line in text.splitlines() if line.startswith("noticed by ")]
    return failed[0].removeprefix("noticed by ") if failed else "it cannot be imported"


def _test(mutant: Mutant, seconds: Mapping[str, float]) -> int:
    """Run tests with a mutant, in this order, each for no longer than several times what it takes."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    _limit(_LOADING)
    sys.meta_path.insert(0, _Finder(mutant))
    files = dict.fromkeys(test.partition("::")[0] for test in seconds)
    return _pytest([*files], _Picker(seconds))


def _limit(seconds: float) -> None:
    """Let the system end this process after so much work, or when it has waited for ten times as long."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def _pytest(arguments: Sequence[str], plugin: _Witness) -> int:
    # The same examples every time; what fails is wanted to fail, so it is not made smaller.
    hypothesis.settings.register_profile(
        "mutants", phases=[hypothesis.Phase.generate], derandomize=True, database=None, deadline=None
    )
    hypothesis.settings.load_profile("mutants")
    options = ["-q", "-x", "--tb=short", "--assert=plain", "-p", "no:cacheprovider", "-k", "not (local and cloud)"]
    return int(pytest.main([*options, *arguments], plugins=[plugin]))


class _Observer(_Witness):
    """Sees which lines a test runs, and how long it works."""

    def __init__(self, switch_context: Callable[[str], object]) -> None:
        self.seconds: dict[str, float] = {}
        self._switch_context = switch_context

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        _forget()
        self._switch_context(item.nodeid)
        started = time.process_time()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = time.process_time() - started
            self._switch_context("")


class _Picker(_Witness):
    """Runs these tests only, in this order."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds
        self._order = {test: position for position, test in enumerate(seconds)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (each for each in items if each.nodeid in self._order), key=lambda each: self._order[each.nodeid]
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        _limit(5 * self._seconds[item.nodeid] + 5)
        return (yield)


def _forget() -> None:
    """Empty the caches of the modules, so that a line is seen to run in every test that needs it, not in the first."""
    for name, module in list(sys.modules.items()):
        if name.startswith("handlers."):
            for value in list(vars(module).values()):
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()


class _Loader(SourceFileLoader):
    """Loads a mutant in place of its module."""

    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(ROOT / mutant.file))
        self._source = mutant.source

    def get_code(self, _: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    """Finds the mutant before Python finds the module."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != _module(self._mutant.file):
            return None
        return importlib.util.spec_from_file_location(fullname, loader=_Loader(fullname, self._mutant))


def _module(file: Path) -> str:
    """The name under which a file is imported."""
    parts = file.with_suffix("").parts
    return ".".join(parts[1:] if parts[0] == "src" else parts).removesuffix(".__init__")


def _fork(work: Callable[[], int], log: Path) -> int:
    """Do the work in another process, which writes to the log, and exits with what it returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _child(work, log)
    return pid


def _child(work: Callable[[], int], log: Path) -> NoReturn:
    code = 99
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        output = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(ROOT)
        code = work()
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        os._exit(code)


def _end(pid: int) -> None:
    """End a process and all that it has started."""
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    run(main)
