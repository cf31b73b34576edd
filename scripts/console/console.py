"""Serve the console of a stage: `make console [STAGE=<stage>] [PORT=4580] [ALLOW_WRITES=1]`."""

import logging
import secrets

import typer

from localcloud.cloud import HOST
from scripts.cli import UserError
from scripts.console.app import create_app
from scripts.console.connection import LiveConnection
from scripts.console.serving import make_server
from scripts.console.session import Session
from scripts.stage import LOCAL, StageName


def main(
    stage: StageName = LOCAL,
    port: int = typer.Option(4580, min=1, max=65535, help="port of 127.0.0.1 to serve it on"),
    allow_writes: bool = typer.Option(False, "--allow-writes", help="let the page change a stage other than local"),
) -> None:
    """Serve one page that shows a stage, until Ctrl-C.

    While the stage is not deployed, being deployed, or not within reach, the page says so; it shows the stage once that
    changes.
    """
    connection = LiveConnection(stage)
    # A name of its own gives each start an origin of its own: what somebody else who had the port left in the browser,
    # a service worker say, is not there. Browsers take every name under localhost for this machine.
    name = f"console-{secrets.token_hex(4)}.localhost"
    session = Session(on_code=lambda code: typer.echo(f"For another browser: http://{name}:{port}/#code={code}"))
    names = {f"{each}:{port}" for each in (name, HOST, "localhost")}
    app = create_app(connection, names=names, session=session, writes=connection.stage.is_local or allow_writes)
    try:
        server = make_server(app, HOST, port, session)
    except OSError as error:
        raise UserError(
            f"Port {port} of {HOST} is not free ({error.strerror}). Choose another: PORT={port + 1}"
        ) from None
    typer.echo(f"The console of stage {stage} is on http://{name}:{port}/#code={session.code}")
    typer.echo("The link works once, for one browser, which then acts with your credentials. Stop with Ctrl-C.")
    # Waitress would warn whenever all threads are busy.
    logging.getLogger("waitress").setLevel(logging.ERROR)
    server.run()
