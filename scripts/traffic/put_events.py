"""Put made-up events into Demo-Stream: `make put-events [N=] [USERS=] [RATE=] [SEED=]`."""

import json
import random
from collections.abc import Iterator

import typer

from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName
from scripts.traffic.sender import PUT_RECORDS, Event, Meter, send_all, stream

_ACTIONS = ("login", "join", "chat", "leave", "logout")


def events(n: int, *, users: int, seed: int) -> Iterator[Event]:
    """Made-up events that are no scores, the same for the same arguments."""
    dice = random.Random(seed)  # noqa: S311
    for number in range(n):
        event = {"event": number, "user": f"player-{dice.randrange(users)}", "action": dice.choice(_ACTIONS)}
        yield Event(str(number), json.dumps(event).encode())


def main(
    stage: StageName = LOCAL,
    n: int = typer.Option(1000, min=1, help="how many events"),
    users: int = typer.Option(20, min=1, help="of how many users"),
    rate: float = typer.Option(0, min=0, help="events a second; 0 for as fast as it goes"),
    seed: int = typer.Option(None, help="of the made-up events, to have the same again"),
    as_json: bool = typer.Option(False, "--json", help="print the summary as JSON"),
) -> None:
    """Put made-up events into Demo-Stream, whose function logs them."""
    system = deployed(stage)
    name = system.outputs["stream"]["name"]
    made_up = events(n, users=users, seed=random.randrange(2**32) if seed is None else seed)  # noqa: S311
    with Meter(n, name, as_json=as_json) as meter:
        destination = stream(system.session.client("kinesis"), name)
        send_all(made_up, destination, request_items=PUT_RECORDS, rate=rate, on_sent=meter.on_sent)
