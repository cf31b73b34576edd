"""What every command shares: how it runs, and how it fails."""

import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn, ParamSpec

import typer
from botocore.exceptions import BotoCoreError, ClientError

P = ParamSpec("P")
_OPTION = re.compile(r"'?--([a-z][a-z-]*)'?")
"""An option in one of Typer's messages. The user typed a variable of make: N=none, not --n."""


class UserError(Exception):
    """What the user can mend; the message says what is wrong and how to mend it."""


def agree(word: str, given: str, question: str) -> None:
    """Have the user type a word before what is not easily undone, unless it was given (CONFIRM=<word>).

    Raises UserError when it is another word, or when there is nobody to ask.
    """
    if given == word:
        return
    if given or not sys.stdin.isatty():
        raise UserError(f"Nothing was changed. To go on unasked: CONFIRM={word}")
    if typer.prompt(f"{question} Type {word} to go on") != word:
        raise UserError("Nothing was changed.")


def run(main: Callable[P, None], program: str, arguments: Sequence[str]) -> NoReturn:
    """Run a command and exit. Errors that the user can mend, and errors from AWS, are printed as one line."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as scripts/__init__.py left it during the imports
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        # Typer turns an interrupt into exit code 130, as a shell reports it.
        sys.exit(app(arguments, prog_name=program, standalone_mode=False))
    except (UserError, BotoCoreError, ClientError) as error:
        problem = str(error)
    except typer.TyperException as error:
        problem = _OPTION.sub(lambda option: option[1].upper().replace("-", "_"), error.format_message())
    except typer.Abort:
        problem = "Nothing was answered."
    typer.secho(f"error: {problem}", err=True, fg=typer.colors.RED)
    sys.exit(1)
