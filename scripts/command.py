"""What every command shares: how it runs, and how it fails."""

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

_INTERRUPTED = 130  # as a shell reports a process that SIGINT ended
P = ParamSpec("P")


class UserError(Exception):
    """What the user can mend; the message says what is wrong and how to mend it."""


def run(main: Callable[P, None]) -> None:
    """Run a command: its arguments from the command line, its user's errors in one line and exit code 1."""

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            main(*args, **kwargs)
        except UserError as error:
            typer.secho(f"error: {error}", err=True, fg=typer.colors.RED)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(_INTERRUPTED) from None

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded)
    app()
