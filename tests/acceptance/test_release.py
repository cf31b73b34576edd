"""A bad release of the deployed system: a batch is discarded and kept, the release rolled back, the batch redriven.

Meanwhile somebody changed a mapping by hand, which is found as drift and taken back by the next apply.
"""

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from scripts.stage import ROOT
from tests.acceptance.evidence import Evidence
from tests.acceptance.probe import package
from tests.integration.deployment import System
from tests.waiting import eventually

FUNCTION = "ProcessKinesisRecords"
RAISES_ON_POISON = """
import base64

def handler(event, context):
    texts = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    print("delivered", texts)
    if any(text.startswith("poison") for text in texts):
        raise ValueError("poison")
"""


def put(system: System, text: str) -> None:
    """Put a record into Demo-Stream, behind those before it."""
    stream = system.outputs["stream"]["name"]
    boto3.client("kinesis").put_record(StreamName=stream, PartitionKey="one", Data=text.encode())


def live(function: str) -> str:
    """The version that the mapping invokes."""
    return str(boto3.client("lambda").get_alias(FunctionName=function, Name="live")["FunctionVersion"])


@pytest.fixture
def bad_release(system: System, tmp_path: Path) -> Iterator[None]:
    """A release that fails on poison, deployed as any other; what the source says is deployed in the end."""
    shutil.copytree(ROOT / "build", tmp_path / "build")
    bad = package({"handlers/process_kinesis_records/handler.py": RAISES_ON_POISON})
    (tmp_path / "build" / f"{FUNCTION}.zip").write_bytes(bad)
    try:
        system.deployment.apply(packages_dir=str(tmp_path / "build"))
        yield
    finally:
        system.deployment.apply(packages_dir="../build")


@pytest.fixture
def mapping(system: System, bad_release: None) -> str:
    """The UUID of the mapping of Demo-Stream, which by hand retries once, until the next apply."""
    uuid = str(system.outputs["functions"][FUNCTION]["mapping_uuid"])
    functions = boto3.client("lambda")
    functions.update_event_source_mapping(UUID=uuid, MaximumRetryAttempts=1)
    eventually(lambda: functions.get_event_source_mapping(UUID=uuid)["State"] == "Enabled", "the mapping", "mappings")
    return uuid


@pytest.mark.parity(
    "OnFailure to S3, with the event as an escaped JSON string",
    "destinations are written to with the function's role",
    "streams are read with the function's role",
)
def test_a_bad_release_is_rolled_back_and_the_batch_that_it_failed_is_kept_and_redriven(
    system: System, mapping: str, evidence: Evidence
) -> None:
    drift = system.command("drift")
    assert drift.returncode == 2, drift.stderr
    assert "maximum_retry_attempts" in drift.stdout

    name = system.function(FUNCTION)
    bad = live(name)
    poison, behind = f"poison {uuid4()}", f"behind {uuid4()}"
    put(system, poison)
    put(system, behind)

    def discarded() -> list[tuple[str, dict[str, Any]]]:
        s3, bucket = boto3.client("s3"), system.outputs["failure_bucket"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"aws/lambda/{mapping}/").get("Contents", [])
        objects = [
            (each["Key"], json.loads(s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read())) for each in listed
        ]
        return [(key, record) for key, record in objects if poison in payloads(record)]

    [(key, record)] = eventually(discarded, "the discarded batch in the failure bucket", "mappings")
    evidence.keep("invocation record of the system's own mapping", {"key": key, **record})
    assert payloads(record) == [poison], "bisecting isolates what is bad from what is behind it"
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2

    done = system.command("rollback", "--function", FUNCTION)
    assert done.returncode == 0, done.stderr
    assert int(live(name)) < int(bad)

    results = [json.loads(line) for line in system.command("redrive", "--json").stdout.splitlines()]
    assert {each["key"]: each["outcome"] for each in results}.get(key) == "redriven"
    for payload in (poison, behind):
        eventually(
            lambda payload=payload: any(payload in line for line in system.logged(FUNCTION)),  # type: ignore[misc]
            f"{payload} in the log",
            "logs",
        )


def test_after_an_apply_nothing_that_was_done_by_hand_is_left(system: System) -> None:
    assert system.deployment.plan() == ""
    drift = system.command("drift")
    assert drift.returncode == 0, drift.stderr
    assert drift.stdout.strip().endswith("No drift: nothing that is deployed was changed by hand.")


def payloads(record: dict[str, Any]) -> list[str]:
    """The payloads of a discarded batch."""
    batch = json.loads(record["payload"])["Records"]
    return [base64.b64decode(each["kinesis"]["data"]).decode() for each in batch]


def test_the_release_that_is_live_is_the_one_that_was_built(system: System) -> None:
    configuration = boto3.client("lambda").get_function_configuration(
        FunctionName=system.function(FUNCTION), Qualifier="live"
    )

    package_file = ROOT / f"build/{FUNCTION}.zip"
    assert configuration["CodeSize"] == package_file.stat().st_size
