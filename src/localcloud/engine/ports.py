"""What the engine asks of what surrounds it. boto3 answers in `aws`, and the simulation in tests/simulation."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from localcloud.engine.invocation_record import InvocationRecord
from localcloud.engine.mapping import Mapping
from localcloud.engine.record import Record


class SourceError(Exception):
    """The stream could not be read now; it may be later."""


class ExpiredIteratorError(SourceError):
    """The iterator is too old; a new one reads on."""


class TrimmedError(SourceError):
    """The position asked for is no longer in the stream."""


class NotInvokedError(Exception):
    """A throttle, a service fault or a lost response: nothing is known to have come of the invocation."""


class NotDeliveredError(Exception):
    """The destination did not take the invocation record; it may later."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read a shard from: after a sequence number, else from a time, else from its oldest record."""

    after: str | None = None
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard of a stream, and the shards that it came from."""

    id: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A stream's shards, and for how many seconds it keeps a record."""

    shards: Sequence[Shard]
    retention: float


@dataclass(frozen=True, slots=True)
class ReadResult:
    """Records in order. `next` is None at the end of a closed shard; `behind` says that more is waiting."""

    records: Sequence[Record]
    next: str | None
    behind: bool = False


class Source(Protocol):
    """A stream, read with the rights of the function that it feeds. All of it raises SourceError."""

    async def shards(self) -> Listing:
        """All shards that can still be read, closed ones too."""

    async def iterator(self, shard_id: str, position: Position) -> str:
        """An iterator at the position. Raises TrimmedError when the stream no longer has it."""

    async def read(self, shard_id: str, iterator: str, limit: int) -> ReadResult:
        """At most `limit` records of the shard from the iterator on. Raises ExpiredIteratorError.

        A consumer of enhanced fan-out gets as many as are pushed.
        """

    async def close(self) -> None:
        """Release what is held open."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function's answer: its JSON, and the kind of error if it failed (`Unhandled`)."""

    request_id: str
    version: str
    error: str | None
    payload: bytes


class Invoker(Protocol):
    """Runs functions."""

    async def invoke(self, function_arn: str, event: bytes) -> Invocation:
        """Run the function to its end. Raises NotInvokedError."""


class Destinations(Protocol):
    """On-failure destinations."""

    async def deliver(self, mapping: Mapping, record: InvocationRecord) -> None:
        """Send the invocation record to the mapping's destination, as its function. Raises NotDeliveredError."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A batch under retry: its last sequence number, how many records it has, and how often it was invoked."""

    last: str
    count: int
    invokes: int


@dataclass(frozen=True, slots=True)
class WindowState:
    """An open tumbling window: when it began, in seconds since the epoch, and what the function keeps of it."""

    start: int
    state: Any


@dataclass(slots=True)
class ShardCheckpoint:
    """The last sequence number before which all is done, and whether the shard is closed and done with.

    `retries` are by the first sequence number of the batch.
    """

    after: str | None = None
    drained: bool = False
    retries: dict[str, Retry] = field(default_factory=dict)
    window: WindowState | None = None


@dataclass(slots=True)
class Checkpoint:
    """How far a mapping has come. `since` is where it began, in seconds; None is the oldest record.

    `grouping` is that of the mapping under which the batches under retry were formed.
    """

    since: float | None
    shards: dict[str, ShardCheckpoint] = field(default_factory=dict)
    grouping: str = ""


class Checkpoints(Protocol):
    """Checkpoints that outlive the engine, by mapping UUID."""

    async def load(self, uuid: str) -> Checkpoint | None:
        """The last checkpoint saved, or None."""

    async def save(self, uuid: str, checkpoint: Checkpoint) -> None:
        """Keep the checkpoint, as it is now: all of it or nothing."""

    async def retain(self, uuids: Set[str]) -> None:
        """Forget the mappings that are not named."""


class Metrics(Protocol):
    """CloudWatch metrics of the namespace AWS/Lambda."""

    def add(self, mapping: Mapping, name: str, value: float) -> None:
        """Note a value: IteratorAge in milliseconds, anything else a count."""


class Status(Protocol):
    """Reports mapping health to people."""

    def problem(self, mapping: str, where: str, what: str) -> None:
        """Something is wrong and goes on being tried. Said again, it is not news."""

    def well(self, mapping: str, where: str) -> None:
        """What was wrong there no longer is."""

    def invoked(self, mapping: str, *, failed: bool) -> None:
        """The function was called, or could not be; `failed` when that, or the function, ended in an error."""

    def lost(self, mapping: str, what: str) -> None:
        """Records were discarded, and no destination has them."""

    def fault(self, mapping: str, error: BaseException) -> None:
        """The engine itself failed; the mapping starts again from its checkpoint."""

    def retain(self, mappings: Sequence[str]) -> None:
        """Forget the mappings that are not named."""


class Mappings(Protocol):
    """The event source mappings that exist."""

    async def list(self) -> Sequence[dict[str, Any]]:
        """All of them, as ListEventSourceMappings tells them. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between looks at what may have changed.

    AWS takes minutes to follow a mapping; here a person waits. What closes a shard has the stream listed at once,
    whatever `relist` is. A shard that had records in the last `attention` seconds is read every `idle_shard`; after
    that as often as in AWS, since each read takes processor time.
    """

    idle_shard: float = 0.17
    busy_shard: float = 0.02
    failing_stream: float = 1.0
    relist: float = 10.0
    mappings: float = 1.0
    attention: float = 10.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything outside the engine. `now` is in seconds since the epoch."""

    mappings: Mappings
    source: Callable[[Mapping], Source]
    invoker: Invoker
    destinations: Destinations
    checkpoints: Checkpoints
    metrics: Metrics
    status: Status
    now: Callable[[], float]
    new_id: Callable[[], UUID]
    pace: Pace = Pace()
