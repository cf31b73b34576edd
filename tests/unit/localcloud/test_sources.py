"""A consumer of enhanced fan-out as a source."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from localcloud.engine.aws import Threads
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import Position
from localcloud.engine.rights import FunctionRights
from localcloud.engine.sources import ConsumerSource

MAPPING = Mapping(
    uuid="u",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:f",
    source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1",
    starting_position="TRIM_HORIZON",
)


class Subscription:
    """The event stream of a subscription: empty events, as many as `push` was called for."""

    def __init__(self) -> None:
        self.is_read = threading.Event()
        self.closed = threading.Event()
        self._events = threading.Semaphore(0)

    def push(self) -> None:
        self._events.release()

    def close(self) -> None:
        self.closed.set()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            self.is_read.set()
            assert self._events.acquire(timeout=10), "nothing was pushed"
            yield {"SubscribeToShardEvent": {"Records": [], "MillisBehindLatest": 0}}


class Kinesis:
    """Rights and client in one, with a subscription for each shard."""

    def __init__(self, **subscriptions: Subscription) -> None:
        self._subscriptions = subscriptions

    @contextmanager
    def client(self, *_: Any) -> Iterator["Kinesis"]:
        yield self

    def subscribe_to_shard(self, *, ShardId: str, **_: Any) -> dict[str, Any]:  # noqa: N803
        return {"EventStream": self._subscriptions[ShardId]}


def source_of(**subscriptions: Subscription) -> ConsumerSource:
    return ConsumerSource(cast(FunctionRights, Kinesis(**subscriptions)), Threads(1, "test"), MAPPING)


def test_an_event_that_was_buffered_says_that_more_may_be_waiting() -> None:
    async def scenario() -> list[bool]:
        source = source_of(shard=subscription)
        iterator = await source.iterator("shard", Position())
        for _ in range(2):
            subscription.push()
        pages = [await source.read("shard", iterator, 1) for _ in range(2)]
        asyncio.get_running_loop().call_later(0.2, subscription.push)
        pages.append(await source.read("shard", iterator, 1))
        await source.close()
        return [page.behind for page in pages]

    subscription = Subscription()

    assert asyncio.run(scenario()) == [True, True, False]


def test_closing_a_source_ends_each_subscription_once_nobody_reads_it() -> None:
    class Idle(Subscription):
        def close(self) -> None:
            assert not read.closed.is_set(), "another thread reads it"
            read.push()
            assert read.closed.wait(10), "it ends with its next event"
            super().close()

    async def scenario() -> None:
        source = source_of(idle=idle, read=read)
        iterator = await source.iterator("idle", Position())
        idle.push()
        await source.read("idle", iterator, 1)
        reading = asyncio.ensure_future(source.read("read", iterator, 1))
        assert await asyncio.to_thread(read.is_read.wait, 10)
        reading.cancel()
        await source.close()

    idle, read = Idle(), Subscription()

    asyncio.run(scenario())

    assert idle.closed.is_set()
