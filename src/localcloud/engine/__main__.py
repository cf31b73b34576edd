"""Run the engine: `python -m localcloud.engine FOLDER`, told of its cloud by AWS_ENDPOINT_URL.

It may be killed at any time: FOLDER holds its checkpoints, and `engine.json` while it is at work.
"""

import asyncio
import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from uuid import uuid4

import boto3

from localcloud.engine.aws import (
    AwsDestinations,
    CloudWatchMetrics,
    LambdaInvoker,
    LambdaMappings,
    Threads,
)
from localcloud.engine.ports import Services
from localcloud.engine.rights import FunctionRights
from localcloud.engine.sources import source
from localcloud.engine.state_files import FileCheckpoints, Heartbeat, claim
from localcloud.engine.status import ITSELF, LoggedStatus
from localcloud.engine.supervisor import Engine

LOOK_SECONDS = 0.05


async def main(folder: Path) -> None:
    """Run until killed."""
    # Lambda's variable, which boto3 does not read; it falls back to AWS_DEFAULT_REGION.
    session = boto3.Session(region_name=os.environ.get("AWS_REGION"))
    quick, invocations, disk = Threads(16, "call"), Threads(256, "invoke"), Threads(2, "disk")
    rights = FunctionRights(session, quick.size)
    metrics, status = CloudWatchMetrics(session, quick), LoggedStatus()
    services = Services(
        mappings=LambdaMappings(session, quick),
        source=partial(source, rights, quick),
        invoker=LambdaInvoker(session, invocations),
        destinations=AwsDestinations(rights, quick),
        checkpoints=FileCheckpoints(folder, disk),
        metrics=metrics,
        status=status,
        now=time.time,
        new_id=uuid4,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(Engine(services).run())
        group.create_task(tell(Heartbeat(folder), status, metrics))


async def tell(heartbeat: Heartbeat, status: LoggedStatus, metrics: CloudWatchMetrics) -> None:
    """Show life and put metrics once a second, and results as they change, once the mappings could be listed."""
    while status.results().get(ITSELF) != "OK":
        await asyncio.sleep(LOOK_SECONDS)
    told: dict[str, str] | None = None
    while True:
        for _ in range(round(1 / LOOK_SECONDS)):
            if (results := status.last_results()) != told:
                heartbeat.beat(status.results(), results)
                told = results
            await asyncio.sleep(LOOK_SECONDS)
        heartbeat.beat(status.results(), status.last_results())
        await metrics.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    folder = Path(sys.argv[1])
    claim(folder)
    asyncio.run(main(folder))
