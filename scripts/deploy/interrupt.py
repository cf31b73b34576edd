"""Pass an interrupt on to Terraform, once."""

import os
import signal
import subprocess
from types import TracebackType


class OneInterrupt:
    """Passes the first interrupt on to a process, and no other.

    At the first, Terraform finishes what it has begun and saves the state. At a second it exits at once, and loses
    track of what it made. Terraform therefore runs in a process group of its own, which the terminal's Ctrl-C does
    not reach. A closed terminal and a request to terminate count as interrupts.
    """

    process: "subprocess.Popen[bytes] | subprocess.Popen[str]"

    def __init__(self) -> None:
        self._asked = 0
        self._passed_on = False

    def __enter__(self) -> "OneInterrupt":
        self._before = {
            each: signal.signal(each, self._note)
            for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            if signal.getsignal(each) is not signal.SIG_IGN
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def wait(self) -> int:
        """The exit code of the process. Raises KeyboardInterrupt when there was an interrupt."""
        if self._asked:
            self._pass_on()
        code = self.process.wait()
        if self._asked:
            raise KeyboardInterrupt
        return code

    def _note(self, *_: object) -> None:
        self._asked += 1
        # Not by print: what is interrupted may be a print itself.
        os.write(
            2,
            b"Stopping: Terraform finishes what it has begun, and saves the state.\n"
            if self._asked == 1
            else b"Still stopping. Terraform must save the state, so it is not interrupted again.\n",
        )
        if hasattr(self, "process"):
            self._pass_on()

    def _pass_on(self) -> None:
        if not self._passed_on:
            self._passed_on = True
            self.process.send_signal(signal.SIGINT)
