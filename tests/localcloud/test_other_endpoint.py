"""The engine runs the stream mappings of another implementation of AWS, through its public APIs: moto's server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.acceptance.probe import package
from tests.waiting import eventually

SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture
def endpoint() -> Iterator[str]:
    """moto's server, which answers invocations without running functions."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = json.dumps({"lambda": {"use_docker": False}}).encode()
        urlopen(Request(f"http://{host}:{port}/moto-api/config", settings, method="POST")).read()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def test_the_engine_reads_and_delivers_beside_moto(endpoint: str, tmp_path: Path) -> None:
    def client(service: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    role = client("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    client("lambda").create_function(
        FunctionName="f",
        Runtime="python3.11",
        Role=role,
        Handler="f.handler",
        Code={"ZipFile": package({"f.py": "def handler(event, context): pass"})},
    )
    kinesis = client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    source = kinesis.describe_stream(StreamName="s")["StreamDescription"]["StreamARN"]
    put = kinesis.put_records(StreamName="s", Records=[{"Data": b"a", "PartitionKey": "k"}] * 3)
    uuid = client("lambda").create_event_source_mapping(
        FunctionName="f", EventSourceArn=source, StartingPosition="TRIM_HORIZON", BatchSize=2
    )["UUID"]
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "PYTHONPATH": str(SOURCES),
    }
    engine = subprocess.Popen([sys.executable, "-m", "localcloud.engine", str(tmp_path)], env=environment)
    try:
        checkpoint, status = tmp_path / f"{uuid}.checkpoint.json", tmp_path / "engine.json"

        def after() -> str | None:
            shards = json.loads(checkpoint.read_text())["shards"] if checkpoint.exists() else {}
            return next((shard["after"] for shard in shards.values()), None)

        last = put["Records"][-1]["SequenceNumber"]
        eventually(lambda: after() == last, "the checkpoint is behind the last record")
        eventually(lambda: json.loads(status.read_text())["results"] == {uuid: "OK"}, "the engine says OK")
    finally:
        engine.kill()
        engine.wait()
