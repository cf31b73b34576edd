"""The console of the deployed system, in a Chromium that the machine has."""

import os
import queue
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from werkzeug.serving import make_server

from scripts.console.app import create_app
from scripts.console.connection import Connection
from scripts.console.session import Session
from scripts.deployment import Deployed
from scripts.stage import Stage
from tests.integration.deployment import System
from tests.waiting import free_port

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CODE = "#code="
DESKTOP = {"width": 1280, "height": 900}

expect.set_options(timeout=60_000)  # a busy machine takes long to start a console and to draw its page


class Console:
    """`make console` of the local stage, as a process that can be killed and started again."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self._links: queue.Queue[str] = queue.Queue()

    def start(self) -> None:
        self._links = queue.Queue()
        self._process = self._system.start("console", "--port", str(self.port))
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, self._links), daemon=True)
        self._reader.start()

    @staticmethod
    def _read(printed: IO[str], links: "queue.Queue[str]") -> None:
        for line in printed:
            if CODE in line:
                links.put(line.split()[-1])

    @property
    def link(self) -> str:
        """A link that no browser has used: the console prints another once one was."""
        return self._links.get(timeout=20)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> tuple[int, str]:
        """End it as Ctrl-C does; its exit code, and what it complained of."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=20)
        self._reader.join(timeout=10)
        with self._process as ended:  # closes what it has open
            assert ended.stderr is not None
            return ended.returncode, ended.stderr.read()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, without a window. Playwright's event loop runs while it is open, so no other module's tests meet it."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium, or name one that is there: CHROMIUM=<its path>")
    with sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]  # root may not have one
        with playwright.chromium.launch(executable_path=found, args=sandbox) as launched:
            yield launched


@pytest.fixture(scope="session")
def console(system: System) -> Iterator[Console]:
    started = Console(system)
    started.start()
    try:
        yield started
    finally:
        assert started.stop() == (0, "")


Visit = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens a link in a browser of its own: `visit(link, panel="tables", color_scheme="dark")`. A page may not fail."""
    failed: list[str] = []
    contexts = []

    def open_(link: str, panel: str = "", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on(
            "console",
            lambda message: failed.append(message.text) if "Content Security Policy" in message.text else None,
        )
        page.goto(link)
        if CODE not in link:
            return page
        page.locator("body.ready").or_(page.get_by_role("alert").filter(has_text=re.compile("."))).first.wait_for()
        if panel:
            page.get_by_role("navigation").get_by_role("link", name=panel).click()
        return page

    yield open_
    for context in contexts:
        context.close()
    assert failed == []


@contextmanager
def served(app_of: Callable[[int], Flask], port: int = 0) -> Iterator[str]:
    """An app on this port or a free one, in this process; gives where."""
    port = port or free_port()
    # Waitress, which serves the real one, cannot be stopped from outside its thread.
    server = make_server("127.0.0.1", port, app_of(port), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


def console_app(connection: Connection, port: int, session: Session, *, writes: bool) -> Flask:
    return create_app(connection, names={f"127.0.0.1:{port}"}, session=session, writes=writes)


@contextmanager
def console_of(connection: Connection, *, writes: bool) -> Iterator[str]:
    """A console of anything, in this process; gives its link."""
    session = Session()
    with served(lambda port: console_app(connection, port, session, writes=writes)) as url:
        yield f"{url}{CODE}{session.code}"


@dataclass(frozen=True)
class FixedConnection:
    """The system under the name of a stage, perhaps with other tables than it has. See Connection."""

    stage: Stage
    account: str
    outputs: Mapping[str, Any]

    def system(self) -> Deployed:
        return Deployed(self.stage, self.account, self.outputs)

    def forget(self, *, credentials: bool) -> None:
        """There is nothing else to find."""


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: SCREENSHOTS=<folder> keeps them."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
