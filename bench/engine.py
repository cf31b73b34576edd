"""The engine's throughput, beside that of ministack's own poller, which the local cloud switches off."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.exceptions import EndpointConnectionError

from bench.measuring import Findings, Row, medians
from localcloud.cloud import CREDENTIAL, HOST, REGION
from tests.acceptance.probe import package
from tests.localcloud.processes import Cloud
from tests.waiting import free_port

# All but a no-op: it tells how many records it was given.
_FUNCTION = """
import os, time

def handler(event, context):
    time.sleep(float(os.environ["SECONDS"]))
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(f"{len(event['Records'])}\\n")
"""
_BATCH, _PUT = 1000, 500
_DEADLINE = 180.0
Clients = Callable[[Any], Any]


def measure(repetitions: int = 2) -> Findings:
    """Records a second from a stream that is full when its mapping begins."""
    with tempfile.TemporaryDirectory() as folder, clouds(Path(folder)) as (engine, ministack):
        rows = []
        for metric, shards, records, seconds, bar in (
            ("Engine throughput, no-op function, batch 1,000", 1, 20_000, 0.0, 1.0),
            ("The same with 4 shards and a function of 1 s", 4, 32_000, 1.0, 3.0),
        ):
            workload = partial(_seconds, Path(folder), shards=shards, records=records, function_seconds=seconds)
            taken = medians(
                {"engine": partial(workload, engine), "ministack": partial(workload, ministack)},
                1 if seconds else repetitions,
            )
            mine, other = records / taken["engine"], records / taken["ministack"]
            rows.append(
                Row(
                    metric,
                    f"{mine:,.0f}/s",
                    f"ministack's own poller: {other:,.0f}/s",
                    mine / other,
                    bar,
                    at_least=True,
                )
            )
    return Findings(rows)


@contextlib.contextmanager
def clouds(folder: Path) -> Iterator[tuple[Clients, Clients]]:
    """What makes clients of a local cloud, and of a ministack as it comes, both running."""
    cloud = Cloud(folder / "cloud")
    with contextlib.ExitStack() as stack:
        stack.callback(cloud.down)
        cloud.begin()
        yield cloud.client, stack.enter_context(_ministack(folder))


@contextlib.contextmanager
def _ministack(folder: Path) -> Iterator[Clients]:
    port = free_port()
    environment = {name: os.environ[name] for name in ("HOME", "LANG", "PATH") if name in os.environ} | {
        "AUTH": "true",
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "TMPDIR": str(folder),
    }
    with (folder / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ministack"))], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        client = partial(
            boto3.client,
            endpoint_url=f"http://{HOST}:{port}",
            region_name=REGION,
            aws_access_key_id=CREDENTIAL,
            aws_secret_access_key=CREDENTIAL,
        )
        _until(lambda: _answers(client), "ministack answers")
        yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def _answers(client: Clients) -> bool:
    try:
        client("kinesis").list_streams()
    except EndpointConnectionError:
        return False
    return True


def _seconds(folder: Path, client: Clients, *, shards: int, records: int, function_seconds: float) -> float:
    """From the mapping's creation until the function has seen every record."""
    name = f"bench-{uuid4().hex[:8]}"
    seen = folder / name
    role = _role(client, name)
    client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="function.handler",
        Code={"ZipFile": package({"function.py": _FUNCTION})},
        Timeout=60,
        Environment={"Variables": {"SEEN": str(seen), "SECONDS": str(function_seconds)}},
    )
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    _until(
        lambda: kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamStatus"] == "ACTIVE", "the stream"
    )
    for at in range(0, records, _PUT):
        batch = [{"Data": b"x" * 100, "PartitionKey": str(at + each)} for each in range(_PUT)]
        kinesis.put_records(StreamName=name, Records=batch)
    client("lambda").invoke(FunctionName=name, Payload=b'{"Records": []}')  # warm
    arn = kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]
    begun = time.perf_counter()
    mapping = client("lambda").create_event_source_mapping(
        FunctionName=name, EventSourceArn=arn, StartingPosition="TRIM_HORIZON", BatchSize=_BATCH
    )
    _until(lambda: _count(seen) >= records, f"{records} records")
    taken = time.perf_counter() - begun
    client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])
    client("lambda").delete_function(FunctionName=name)
    kinesis.delete_stream(StreamName=name)
    return taken


def _role(client: Clients, name: str) -> str:
    anyone = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    rights = {"Effect": "Allow", "Action": ["kinesis:*", "logs:*"], "Resource": "*"}
    iam = client("iam")
    role = str(iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(anyone))["Role"]["Arn"])
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=_policy(rights))
    return role


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _count(seen: Path) -> int:
    return sum(int(line) for line in seen.read_text().split()) if seen.exists() else 0


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.005)
