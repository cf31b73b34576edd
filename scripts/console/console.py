"""Serve the console of a stage: `make console [STAGE=<stage>] [PORT=4580] [ALLOW_WRITES=1]`."""

import logging

import typer
from botocore.exceptions import BotoCoreError, ClientError
from waitress.server import create_server

from localcloud.cloud import HOST
from scripts.cli import UserError
from scripts.console.app import create_app
from scripts.console.connection import LiveConnection
from scripts.console.guard import token
from scripts.deployment import PartlyDeployedError
from scripts.stage import LOCAL, StageName

_THREADS = 12


def main(
    stage: StageName = LOCAL,
    port: int = typer.Option(4580, min=1, max=65535, help="port of 127.0.0.1 to serve it on"),
    allow_writes: bool = typer.Option(False, "--allow-writes", help="let the page change a stage other than local"),
) -> None:
    """Serve one page that shows a stage, until Ctrl-C.

    Of a stage that is not deployed, or not within reach, the page says so, and shows the stage once that changes. A
    stage that is partly deployed does not change by itself.
    """
    connection = LiveConnection(stage)
    try:
        connection.system()
    except PartlyDeployedError:
        raise
    except (UserError, BotoCoreError, ClientError):
        pass
    found = connection.stage
    secret = token(found.folder / "console" / f"{stage}.token")
    app = create_app(connection, port=port, token=secret, writes=found.is_local or allow_writes)
    try:
        server = create_server(app, host=HOST, port=port, threads=_THREADS, ident=None)
    except OSError as error:
        raise UserError(
            f"Port {port} of {HOST} is not free ({error.strerror}). Choose another: PORT={port + 1}"
        ) from None
    typer.echo(f"The console of stage {stage} is on http://{HOST}:{port}/#token={secret}")
    typer.echo("Keep that link to yourself: who has it acts with your credentials. Stop the console with Ctrl-C.")
    # It would tell of every moment in which all threads are busy.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server.run()
