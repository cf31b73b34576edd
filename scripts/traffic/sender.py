"""Sending many small things to AWS: full requests, a steady rate, and again what was not taken."""

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from handlers.shared.errors import RetryableError
from handlers.shared.retrying import Patience
from scripts.cli import UserError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

_PATIENCE_SECONDS = 60.0
_REQUESTS_A_SECOND = 10  # when a rate is asked for: fewer would come in bursts


class Keyed(Protocol):
    """What can be sent."""

    @property
    def key(self) -> str:
        """What must stay in order: its like are never in one request, where some may be left for later."""


Item = TypeVar("Item", bound=Keyed)
Destination = Callable[[Sequence[Item]], Sequence[Item]]
"""Sends a request, and returns what was not taken."""


class Event(NamedTuple):
    """A record for a stream."""

    key: str
    data: bytes


PUT_RECORDS = 500
"""What one PutRecords takes."""


def stream(kinesis: "KinesisClient", name: str) -> Destination[Event]:
    """A Kinesis stream."""

    def send(events: Sequence[Event]) -> Sequence[Event]:
        records: list[PutRecordsRequestEntryTypeDef] = [
            {"PartitionKey": event.key, "Data": event.data} for event in events
        ]
        answers = kinesis.put_records(StreamName=name, Records=records)["Records"]
        return [event for event, answer in zip(events, answers, strict=True) if answer.get("ErrorCode")]

    return send


def ignore(sent: int, again: int) -> None:
    """Where nobody watches."""


def send_all(
    items: Iterable[Item],
    destination: Destination[Item],
    *,
    request_items: int,
    rate: float = 0,
    on_sent: Callable[[int, int], None] = ignore,
) -> None:
    """Send the items in order, `request_items` at a time, at most `rate` a second (0: as fast as it goes).

    `on_sent` gets, after each request, how many were taken and how many have to be sent again. Raises UserError
    when some are not taken for a minute.
    """
    size = min(request_items, ceil(rate / _REQUESTS_A_SECOND)) if rate else request_items
    started, sent = time.monotonic(), 0
    for request in batches(items, size):
        if rate:
            time.sleep(max(0.0, started + sent / rate - time.monotonic()))
        _send(request, destination, on_sent)
        sent += len(request)


def _send(request: Sequence[Item], destination: Destination[Item], on_sent: Callable[[int, int], None]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    left = request

    def attempt() -> None:
        nonlocal left
        before, left = len(left), destination(left)
        on_sent(before - len(left), len(left))
        if left:
            raise RetryableError

    try:
        Patience(lambda: deadline - time.monotonic(), time.sleep, random.random).call(attempt)
    except RetryableError:
        raise UserError(
            f"AWS has refused {len(left)} items for {_PATIENCE_SECONDS:.0f} s: choose a lower RATE"
        ) from None


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in order, at most `size` at a time, no two of a key among them."""
    batch: dict[str, Item] = {}
    for item in items:
        if len(batch) == size or item.key in batch:
            yield list(batch.values())
            batch = {}
        batch[item.key] = item
    if batch:
        yield list(batch.values())


@dataclass(slots=True)
class Summary:
    """What was sent."""

    sent: int = 0
    sent_again: int = 0
    seconds: float = 0
    rate: float = 0


class Meter:
    """A progress bar on the terminal while sending, and a summary at the end, also of what Ctrl-C cut short."""

    def __init__(self, total: int, destination: str, *, as_json: bool) -> None:
        self._destination = destination
        self._as_json = as_json
        self._summary = Summary()
        self._progress = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f}/s, {task.fields[again]} sent again"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=total, rate=0.0, again=0)

    def on_sent(self, sent: int, again: int) -> None:
        """See send_all."""
        summary = self._summary
        summary.sent += sent
        summary.sent_again += again
        summary.seconds = time.monotonic() - self._started
        summary.rate = summary.sent / summary.seconds
        self._progress.update(self._task, advance=sent, rate=summary.rate, again=summary.sent_again)

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        summary = self._summary
        if self._as_json:
            typer.echo(json.dumps(asdict(summary)))
        else:
            typer.echo(
                f"Sent {summary.sent:,} to {self._destination} in {summary.seconds:.1f} s "
                f"({summary.rate:,.0f}/s); {summary.sent_again:,} had to be sent again."
            )
