"""The engine's ports over boto3."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from localcloud.engine.clients import config
from localcloud.engine.invocation_record import InvocationRecord
from localcloud.engine.mapping import Mapping
from localcloud.engine.ports import (
    ExpiredIteratorError,
    Invocation,
    NotDeliveredError,
    NotInvokedError,
    SourceError,
    TrimmedError,
)
from localcloud.engine.rights import FunctionRights, Service

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient

T = TypeVar("T")
# A response, or a subscription, that the emulator's end cuts short is no BotoCoreError.
FAULTS = (ClientError, BotoCoreError, ResponseParserError, HTTPError)

_LONGEST_INVOCATION = 15 * 60 + 30


class Threads:
    """Runs blocking calls, so many at a time. Slow calls have threads apart, so quick ones need not wait."""

    def __init__(self, size: int, name: str) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)

    def end(self) -> None:
        """Take no further calls. Those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def run(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """The result of the call, made in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))


@contextmanager
def source_errors() -> Iterator[None]:
    """Raise what boto3 raises as a SourceError."""
    kinds = {"ExpiredIteratorException": ExpiredIteratorError, "TrimmedDataAccessException": TrimmedError}
    try:
        yield
    except ClientError as error:
        raise kinds.get(error.response["Error"]["Code"], SourceError)(str(error)) from error
    except FAULTS as error:
        raise SourceError(str(error)) from error


class LambdaMappings:
    """ListEventSourceMappings."""

    def __init__(self, session: boto3.Session, threads: Threads) -> None:
        self._client: LambdaClient = session.client("lambda", config=config(threads.size))
        self._threads = threads

    async def list(self) -> Sequence[dict[str, Any]]:
        """All mappings, of queues too."""
        return await self._threads.run(self._list)

    def _list(self) -> Sequence[dict[str, Any]]:
        with source_errors():
            pages = self._client.get_paginator("list_event_source_mappings").paginate()
            return [dict(entry) for page in pages for entry in page["EventSourceMappings"]]


class LambdaInvoker:
    """Invoke, as the service itself: a mapping needs no permission to run its function."""

    def __init__(self, session: boto3.Session, threads: Threads) -> None:
        self._client: LambdaClient = session.client(
            "lambda", config=config(threads.size, read_timeout=_LONGEST_INVOCATION)
        )
        self._threads = threads

    async def invoke(self, function_arn: str, event: bytes) -> Invocation:
        """Run the function and wait for its answer."""
        return await self._threads.run(self._invoke, function_arn, event)

    def _invoke(self, function_arn: str, event: bytes) -> Invocation:
        try:
            answer = self._client.invoke(FunctionName=function_arn, Payload=event)
            return Invocation(
                request_id=answer["ResponseMetadata"]["RequestId"],
                version=answer.get("ExecutedVersion", "$LATEST"),
                error=answer.get("FunctionError"),
                payload=answer["Payload"].read(),
            )
        except FAULTS as error:
            raise NotInvokedError(str(error)) from error


class AwsDestinations:
    """On-failure destinations: queues, topics and buckets."""

    def __init__(self, rights: FunctionRights, threads: Threads) -> None:
        self._rights = rights
        self._threads = threads

    async def deliver(self, mapping: Mapping, record: InvocationRecord) -> None:
        """Send the metadata to a queue or a topic, or put it with the event into a bucket."""
        await self._threads.run(self._deliver, mapping, record)

    def _deliver(self, mapping: Mapping, record: InvocationRecord) -> None:
        assert mapping.on_failure is not None, "only a mapping with a destination delivers"  # noqa: S101
        name, _, account, resource = mapping.on_failure.split(":", 5)[2:]
        service = cast(Service, name)
        try:
            with self._rights.client(service, mapping.function_arn) as client:
                if service == "s3":
                    client.put_object(Bucket=resource, Key=record.key, Body=record.with_payload().encode())
                elif service == "sns":
                    client.publish(TopicArn=mapping.on_failure, Message=json.dumps(record.metadata))
                else:
                    # Built, not asked for: the role needs sqs:SendMessage and nothing more, as in AWS.
                    url = f"{client.meta.endpoint_url}/{account}/{resource}"
                    client.send_message(QueueUrl=url, MessageBody=json.dumps(record.metadata))
        except FAULTS as error:
            raise NotDeliveredError(str(error)) from error


class CloudWatchMetrics:
    """PutMetricData, many values in one call. What cannot be put is dropped."""

    def __init__(self, session: boto3.Session, threads: Threads) -> None:
        self._client: CloudWatchClient = session.client("cloudwatch", config=config(threads.size))
        self._threads = threads
        self._values: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)

    def add(self, mapping: Mapping, name: str, value: float) -> None:
        """Note a value until the next flush. EventCounts are the mapping's, the others its function's."""
        if name.endswith("EventCount"):
            self._values[name, "EventSourceMappingUUID", mapping.uuid].append(value)
        else:
            self._values[name, "FunctionName", mapping.function_name].append(value)

    async def flush(self) -> None:
        """Put what was noted since the last flush."""
        values, self._values = self._values, defaultdict(list)
        if values:
            await self._threads.run(self._put, values)

    def _put(self, values: dict[tuple[str, str, str], list[float]]) -> None:
        data: list[Any] = [
            {
                "MetricName": name,
                "Dimensions": [{"Name": dimension, "Value": value}],
                "Unit": "Milliseconds" if name == "IteratorAge" else "Count",
                "StatisticValues": {
                    "SampleCount": len(seen),
                    "Sum": sum(seen),
                    "Minimum": min(seen),
                    "Maximum": max(seen),
                },
            }
            for (name, dimension, value), seen in values.items()
        ]
        try:
            self._client.put_metric_data(Namespace="AWS/Lambda", MetricData=data)
        except FAULTS:
            return
