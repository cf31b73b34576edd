"""Run tests without any fault, and with each of many mutants.

pytest imports and collects everything once; every mutant then has a process of its own, forked from that one. There the
code of its function is replaced in place. What an import runs cannot be replaced so: then that process imports
everything again, with the mutant in place of its module. No file of the repository is written.
"""

import contextlib
import gc
import importlib.util
import io
import json
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

import coverage
import hypothesis
import pytest

from scripts.cli import UserError
from scripts.develop.mutant_code import MutantFinder, module_name, replace
from scripts.develop.mutation import Mutant
from scripts.stage import ROOT

_PRELOADED = ("boto3", "botocore.stub", "moto", "moto.dynamodb.models", "moto.s3.models", "moto.kinesis.models")
_OURS = ("handlers", "localcloud", "scripts", "tests")
_MOST_MEMORY = 4 * 2**30
_LOADING = 60
"""Seconds of work until the first test begins."""
_NOTICED = {1, 2, 3, 4}
"""pytest's exit codes when a test fails, a test module or a conftest cannot be imported, or a plugin fails."""


@dataclass(frozen=True)
class CleanRun:
    """What was seen of the tests without any fault."""

    seconds: Mapping[str, float]
    """How long each test works."""
    lines: Mapping[str, Mapping[int, Sequence[str]]]
    """By file and line, the tests that run it; "" for what is run by an import."""

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the tests that can notice a mutant, the fastest first.

        What an import sets, a constant above all, is used by tests that run no other line of its file.
        """
        tests = self._contexts(mutant)
        if "" in tests or not tests:
            tests = {test for each in self.lines.get(str(mutant.file), {}).values() for test in each}
            named = re.compile(rf"\b{mutant.file.stem}\b")
            tests |= {test for test in self.seconds if named.search(_text(test.partition("::")[0]))}
        return sorted(tests - {""}, key=lambda test: (self.seconds[test], test))

    def is_imported(self, mutant: Mutant) -> bool:
        """Whether an import runs what is changed."""
        return "" in self._contexts(mutant)

    def _contexts(self, mutant: Mutant) -> set[str]:
        lines = self.lines.get(str(mutant.file), {})
        return {test for line in range(mutant.first_line, mutant.last_line + 1) for test in lines.get(line, ())}


@dataclass(frozen=True)
class MutantResult:
    """What became of a mutant."""

    mutant: Mutant
    noticed_by: str | None
    """A test, or how it ended; None when it survived."""


class CleanRuns:
    """The tests without any fault, in two halves beside each other."""

    def __init__(self, tests: Sequence[Path], sources: Sequence[Path], directory: Path) -> None:
        for name in _PRELOADED:
            importlib.import_module(name)
        # Compile what is not mutated once for all processes, and leave nothing behind.
        sys.dont_write_bytecode, sys.pycache_prefix = False, str(directory)
        self._runs: dict[int, Path] = {}
        # Large files take long, so deal them out by size.
        files = sorted(tests, key=lambda path: path.stat().st_size)
        for half in (files[::2], files[1::2]):
            log = directory / f"clean-{len(self._runs)}"
            self._runs[_fork(partial(_clean, half, [str(ROOT / path) for path in sources], log), log)] = log

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


def run_mutants(
    mutants: Sequence[Mutant],
    clean: CleanRun,
    tests: Sequence[Path],
    directory: Path,
    tell: Callable[[MutantResult], object],
) -> None:
    """Try mutants, as many at once as there are processors, and tell each result as it comes."""
    host = _Host(mutants, clean, directory, tell)
    with contextlib.redirect_stdout(io.StringIO()):  # what is printed by imports is of no interest
        code = _pytest(["--capture=no", *map(str, tests)], host)
    if not host.has_run:
        raise UserError(f"pytest did not begin: it exited {code}.")
    if host.error:
        raise host.error


class _Host:
    """A plugin of pytest that, in place of running the tests, forks a process for each mutant that does."""

    def __init__(
        self, mutants: Sequence[Mutant], clean: CleanRun, directory: Path, tell: Callable[[MutantResult], object]
    ) -> None:
        self.has_run = False
        self.error: BaseException | None = None
        self._waiting = list(mutants)[::-1]
        self._clean = clean
        self._directory = directory
        self._tell = tell
        self._stdout = sys.stdout

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.has_run = True
        with contextlib.redirect_stdout(self._stdout):
            self._run_all(session)
        return True

    def _run_all(self, session: pytest.Session) -> None:
        items = {item.nodeid: item for item in session.items}
        gc.freeze()  # or each process would look through, and so copy, what it shares with this one
        running: dict[int, tuple[Mutant, Path]] = {}
        try:
            while self._waiting or running:
                while self._waiting and len(running) < len(os.sched_getaffinity(0)):
                    mutant = self._waiting.pop()
                    tests = self._clean.tests_of(mutant)
                    if not tests:
                        self._tell(MutantResult(mutant, None))
                        continue
                    log = self._directory / mutant.id
                    running[_fork(partial(self._run, mutant, [items[test] for test in tests]), log)] = mutant, log
                if running:
                    pid, status = os.wait()
                    mutant, log = running.pop(pid)
                    self._tell(MutantResult(mutant, _noticed_by(os.waitstatus_to_exitcode(status), log)))
                    log.unlink()
        except BaseException as error:  # noqa: BLE001  pytest would only report it
            self.error = error
        finally:
            for pid in running:
                _end(pid)

    def _run(self, mutant: Mutant, items: Sequence[pytest.Item]) -> int:
        """In a process of its own, run the tests with the mutant."""
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
        seconds = {item.nodeid: self._clean.seconds[item.nodeid] for item in items}
        if self._clean.is_imported(mutant) or not replace(mutant):
            return _run_anew(mutant, seconds)
        session = items[0].session
        items[0].config.pluginmanager.register(_Picker(seconds))
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.shouldfail or session.shouldstop:
                break
        return int(session.testsfailed > 0)


def _run_anew(mutant: Mutant, seconds: Mapping[str, float]) -> int:
    """Import everything again, with the mutant in place of its module, and run these tests, in this order."""
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    _limit(_LOADING)
    sys.meta_path.insert(0, MutantFinder(mutant))
    files = dict.fromkeys(test.partition("::")[0] for test in seconds)
    return _pytest(["--capture=no", "--tb=short", *files], _Picker(seconds))


def _noticed_by(code: int, log: Path) -> str | None:
    """The test that noticed. Raises UserError when what happened shows nothing."""
    if code == 0:
        return None
    if code < 0:
        return "it waited for too long" if code == -signal.SIGALRM else "it worked for too long"
    text = log.read_text()
    if code not in _NOTICED:
        raise UserError(f"pytest exited {code}, which shows nothing.\n{text}")
    failed = [line for line in text.splitlines() if line.startswith("noticed by ")]
    return failed[0].removeprefix("noticed by ") if failed else "it cannot be imported"


def _clean(files: Sequence[Path], sources: Sequence[str], log: Path) -> int:
    measure = coverage.Coverage(data_file=None, include=sources, config_file=False)
    measure.start()
    for source in sources:  # what their import runs belongs to no test
        importlib.import_module(module_name(Path(source).relative_to(ROOT)))
    observer = _Observer(measure.switch_context)
    code = _pytest(["--tb=short", *map(str, files)], observer)
    measure.stop()
    data = measure.get_data()
    lines = {str(Path(source).relative_to(ROOT)): data.contexts_by_lineno(source) for source in sources}
    log.with_suffix(".json").write_text(json.dumps({"seconds": observer.seconds, "lines": lines}))
    return code


def _pytest(arguments: Iterable[str], plugin: object) -> int:
    # The same examples every time; what fails is wanted to fail, so it is not made smaller.
    hypothesis.settings.register_profile(
        "mutants",
        max_examples=int(os.environ["HISTORIES"]),
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        derandomize=True,
        database=None,
        deadline=None,
    )
    hypothesis.settings.load_profile("mutants")
    options = ["--exitfirst", "--assert=plain", "-p", "no:cacheprovider", "-k", "not (local and cloud)"]
    return int(pytest.main([*options, *arguments], plugins=[plugin]))


class _Observer:
    """A plugin of pytest that sees which lines a test runs, and how long it works."""

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


class _Picker:
    """A plugin of pytest that runs these tests only, in this order, and names what fails.

    None may take much longer than it does without a fault.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds
        self._order = {test: position for position, test in enumerate(seconds)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (each for each in items if each.nodeid in self._order), key=lambda each: self._order[each.nodeid]
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        _limit(4 * self._seconds[item.nodeid] + 2)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(1, f"\nnoticed by {report.nodeid}\n".encode())


@cache
def _text(file: str) -> str:
    path = ROOT / file
    return path.read_text() if path.is_file() else ""


def _limit(seconds: float) -> None:
    """Let the system end this process after so much work, or when it has waited for thirty times as long.

    A process that waits for a processor must not be taken for one that waits for ever.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 30 * seconds)


def _forget() -> None:
    """Empty the caches of the modules, so that a line is seen to run in every test that needs it, not in the first."""
    for name, module in list(sys.modules.items()):
        if name.startswith("handlers."):
            for value in list(vars(module).values()):
                if callable(clear := getattr(value, "cache_clear", None)):
                    clear()


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
    with contextlib.suppress(ProcessLookupError):  # it has not got as far as to have a group
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
