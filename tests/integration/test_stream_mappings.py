"""The deployed stream mappings: what becomes of a change, of a poison record, and of one that may not be parked."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from scripts.stage import ROOT
from tests.integration.deployment import System, release
from tests.integration.test_exactness import Players
from tests.integration.test_least_privilege import without
from tests.localcloud.processes import package
from tests.waiting import eventually

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"

# Notes each batch in a file: under load the emulator loses lines that a failing function logs.
RAISES_ON_POISON = """
import base64, json

def handler(event, context):
    texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    with open({file!r}, "a") as file:
        print(json.dumps(texts), file=file)
    if "poison" in texts:
        raise ValueError("poison")
"""


def put(system: System, *texts: str) -> None:
    """Put records into Demo-Stream, all at once."""
    records: Any = [{"Data": text.encode(), "PartitionKey": "one"} for text in texts]
    boto3.client("kinesis").put_records(StreamName=system.outputs["stream"]["name"], Records=records)


def bring_live(function: str, code: bytes) -> None:
    """Give a function other code."""
    boto3.client("lambda").update_function_code(FunctionName=function, ZipFile=code)
    release(function)


@contextmanager
def batches(system: System, folder: Path) -> Iterator[Callable[[], list[list[str]]]]:
    """ProcessKinesisRecords runs code that raises on poison; gives the payloads of each invocation so far."""
    name, file = system.function(PROCESS), folder / "batches"
    deployed = (ROOT / f"build/{PROCESS}.zip").read_bytes()
    code = RAISES_ON_POISON.format(file=str(file))
    try:
        file.touch()
        bring_live(name, package({"handlers/process_kinesis_records/handler.py": code}))
        yield lambda: [json.loads(line) for line in file.read_text().splitlines()]
    finally:
        bring_live(name, deployed)


def largest_batch(system: System, folder: Path) -> int:
    """How many of eight new records are delivered at once."""
    texts = [str(uuid4()) for _ in range(8)]
    with batches(system, folder) as delivered:
        put(system, *texts)
        eventually(lambda: set().union(*delivered()) >= set(texts), what="the delivery of eight records")
        return max(len(batch) for batch in delivered() if not set(texts).isdisjoint(batch))


@pytest.fixture(scope="module")
def small_mapping(system: System) -> Iterator[None]:
    """Terraform gives ProcessKinesisRecords batches of at most four records, and failing ones one retry."""
    try:
        mapping = {"batch_size": 4, "maximum_retry_attempts": 1}
        system.deployment.apply(functions={PROCESS: {"mapping": mapping}})
        yield
    finally:
        system.deployment.apply(functions={})


def errors(system: System) -> str:
    """What AggregateScoresByUser has logged as errors."""
    return "\n".join(line for line in system.logged(AGGREGATE) if '"ERROR"' in line)


def parked(system: System) -> set[str]:
    """The keys of what AggregateScoresByUser has parked."""
    bucket, prefix = system.outputs["failure_bucket"], f"parked/{system.function(AGGREGATE)}/"
    return {
        each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    }


def test_a_mapping_changed_in_terraform_behaves_anew_without_a_restart(
    system: System, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    cloud = system.stage.local_cloud
    processes = cloud.emulator.process(), cloud.engine.process()
    assert largest_batch(system, tmp_path) > 4

    request.getfixturevalue("small_mapping")

    eventually(lambda: largest_batch(system, tmp_path) <= 4, what="batches of at most four records")
    assert (cloud.emulator.process(), cloud.engine.process()) == processes


@pytest.mark.usefixtures("small_mapping")
def test_a_poison_record_is_isolated_retried_and_kept_with_its_payload_and_the_shard_moves_on(
    system: System, tmp_path: Path
) -> None:
    with batches(system, tmp_path) as delivered:
        put(system, "1", "2", "poison", "4")
        put(system, "5")
        eventually(lambda: ["5"] in delivered(), what="the record behind the poison")

        assert delivered() == [
            ["1", "2", "poison", "4"],
            ["1", "2"],
            ["poison", "4"],
            ["poison"],
            ["poison"],
            ["4"],
            ["5"],
        ]

    s3, bucket = boto3.client("s3"), system.outputs["failure_bucket"]
    uuid = system.outputs["functions"][PROCESS]["mapping_uuid"]
    [kept] = s3.list_objects_v2(Bucket=bucket, Prefix=f"aws/lambda/{uuid}/")["Contents"]
    day, second = r"\d{4}/\d\d/\d\d", r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d"
    assert re.fullmatch(rf"aws/lambda/{uuid}/shardId-\d{{12}}/{day}/{second}-[0-9a-f-]{{36}}", kept["Key"])
    record = json.loads(s3.get_object(Bucket=bucket, Key=kept["Key"])["Body"].read())
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["KinesisBatchInfo"]["batchSize"] == 1
    [discarded] = json.loads(record["payload"])["Records"]
    assert base64.b64decode(discarded["kinesis"]["data"]) == b"poison"


def test_without_the_right_to_park_a_poison_record_is_retried_and_the_rest_is_counted_once(system: System) -> None:
    players = Players(system, "report-failures", 9000)
    before, reported = parked(system), errors(system)

    with without(system, AGGREGATE, "s3:PutObject"):
        players.put(1, "ann", Score="none")
        players.put(2, "ann", Score=2)
        eventually(lambda: "s3:PutObject" in errors(system).removeprefix(reported), what="the denial in the log")
        assert parked(system) == before

    eventually(lambda: len(parked(system) - before) == 1, what="the parked record")
    eventually(lambda: players.totals() == {"report-failures ann": (2, 1)}, what="exact totals")
