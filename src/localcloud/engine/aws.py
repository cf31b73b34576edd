"""The engine's ports over boto3."""

import asyncio
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

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

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient

T = TypeVar("T")
# A response that the emulator's end cuts short is no BotoCoreError.
FAULTS = (ClientError, BotoCoreError, ResponseParserError)
Service = Literal["dynamodbstreams", "kinesis", "s3", "sns", "sqs"]

_LONGEST_INVOCATION = 15 * 60 + 30
_UNKNOWN_SESSION = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}


def config(pool: int, read_timeout: float = 30) -> Config:
    """Client settings: one attempt, since botocore's own retries would invoke a function unseen.

    Parameters are not validated: polls are all that an idle engine does, and that takes a tenth of each.
    """
    return Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=read_timeout,
        max_pool_connections=pool,
    )


class Threads:
    """Runs blocking calls, so many at a time. Slow calls have threads apart, so quick ones need not wait."""

    def __init__(self, size: int, name: str) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)

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


class FunctionRights:
    """Clients that may do what a function may: a mapping reads and delivers as its role, as in AWS."""

    _ROLE_SECONDS = 30
    _SESSION_SECONDS = 3600
    _RENEW_SECONDS = 300

    def __init__(self, session: boto3.Session, pool: int) -> None:
        self._session = session
        self._config = config(pool)
        self._lambda: LambdaClient = session.client("lambda", config=self._config)
        self._sts = session.client("sts", config=self._config)
        self._lock = threading.Lock()
        self._roles: dict[str, tuple[str, float]] = {}
        self._sessions: dict[tuple[str, str], tuple[boto3.Session, float]] = {}
        self._clients: dict[tuple[str, str, str], tuple[boto3.Session, Any]] = {}

    @contextmanager
    def client(self, service: Service, function_arn: str) -> Iterator[Any]:
        """A client of the service, as the function's execution role. Raises what boto3 raises.

        A refusal may be due to a role that has changed, or to an emulator that has started anew and no longer
        knows the session: the next call asks again.
        """
        try:
            yield self._client(service, function_arn)
        except ClientError as error:
            with self._lock:
                role, _ = self._roles.pop(function_arn, ("", 0))
                if error.response["Error"]["Code"] in _UNKNOWN_SESSION:
                    self._sessions.pop((role, _name(function_arn)), None)
            raise

    def _client(self, service: Service, function_arn: str) -> Any:
        with self._lock:
            role, name = self.role(function_arn), _name(function_arn)
            session = self._assumed(role, name)
            known, client = self._clients.get((service, role, name), (None, None))
            if known is not session:
                client = session.client(service, config=self._config)
                self._clients[service, role, name] = session, client
            return client

    def role(self, function_arn: str) -> str:
        """The ARN of the function's execution role."""
        role, until = self._roles.get(function_arn, ("", 0))
        if until < time.monotonic():
            role = self._lambda.get_function_configuration(FunctionName=function_arn)["Role"]
            self._roles[function_arn] = role, time.monotonic() + self._ROLE_SECONDS
        return role

    def _assumed(self, role: str, name: str) -> boto3.Session:
        session, until = self._sessions.get((role, name), (self._session, 0))
        if until < time.monotonic():
            credentials = self._sts.assume_role(
                RoleArn=role, RoleSessionName=name, DurationSeconds=self._SESSION_SECONDS
            )["Credentials"]
            session = boto3.Session(
                credentials["AccessKeyId"],
                credentials["SecretAccessKey"],
                credentials["SessionToken"],
                region_name=self._session.region_name,
            )
            until = time.monotonic() + self._SESSION_SECONDS - self._RENEW_SECONDS
            self._sessions[role, name] = session, until
        return session


def _name(function_arn: str) -> str:
    return function_arn.split(":")[6]


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
