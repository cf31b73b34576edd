"""Tasks that may be cancelled at any time but never in the middle of what counts."""

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Await work to its end; a cancellation meanwhile takes effect after it.

    An invocation in flight cannot be recalled: what comes of it is noted before its batch can start again.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled:
        if not task.cancelled():
            task.exception()  # seen: asyncio complains of an exception that nobody looked at
        raise cancelled
    return task.result()


async def end(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, in their order, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await unbroken(_all(tasks))


async def _all(tasks: Collection[asyncio.Task[Any]]) -> None:
    await asyncio.wait(tasks)
