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
        self.closed = threading.Event()
        self._events = threading.Semaphore(0)

    def push(self) -> None:
        self._events.release()

    def close(self) -> None:
        self.closed.set()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while True:
            assert self._events.acquire(timeout=10), "nothing was pushed"
            yield {"SubscribeToShardEvent": {"Records": [], "MillisBehindLatest": 0}}


class Kinesis:
    """Rights and client in one: each call subscribes, and `subscriptions` has what it got."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []

    @contextmanager
    def client(self, *_: Any) -> Iterator["Kinesis"]:
        yield self

    def subscribe_to_shard(self, **_: Any) -> dict[str, Any]:
        return {"EventStream": self.subscriptions[-1]}


def source_of(kinesis: Kinesis) -> ConsumerSource:
    return ConsumerSource(cast(FunctionRights, kinesis), Threads(1, "test"), MAPPING)


def test_an_event_that_was_buffered_says_that_more_may_be_waiting() -> None:
    async def story() -> list[bool]:
        source = source_of(kinesis)
        iterator = await source.iterator("shard", Position())
        for _ in range(2):
            subscription.push()
        pages = [await source.read("shard", iterator, 1) for _ in range(2)]
        reading = asyncio.ensure_future(source.read("shard", iterator, 1))
        asyncio.get_running_loop().call_later(0.2, subscription.push)
        pages.append(await reading)
        await source.close()
        return [page.behind for page in pages]

    kinesis = Kinesis()
    subscription = Subscription()
    kinesis.subscriptions.append(subscription)

    assert asyncio.run(story()) == [True, True, False]
