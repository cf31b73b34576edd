"""What is deployed is all there, or said to be missing, before any command uses it."""

import copy
import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import boto3
import hcl2
import pytest
import typer
from moto import mock_aws
from typer.testing import CliRunner

from scripts.__main__ import commands as command_modules
from scripts.deploy import state_bucket
from scripts.deployment import Deployed, NotDeployedError, PartlyDeployedError, deployed, incomplete
from scripts.stage import TERRAFORM, Stage, resolve

REGION: Literal["eu-central-1"] = "eu-central-1"
Path = tuple[str, ...]


def function(name: str) -> dict[str, str]:
    parts = ("name", "arn", "live_arn", "log_group", "mapping_uuid", "event_source_arn")
    return {part: f"{part} of {name}" for part in parts}


def table(name: str, stream_arn: str | None = None) -> dict[str, Any]:
    key = {"name": "Key", "type": "S"}
    return {"name": f"dev-{name}", "arn": f"arn of {name}", "stream_arn": stream_arn, "hash_key": key}


OUTPUTS: Mapping[str, Any] = {
    "region": REGION,
    "stream": {"name": "dev-Demo-Stream", "arn": "arn of Demo-Stream"},
    "tables": {
        "GameScoreRecords": table("GameScoreRecords", "arn of the stream"),
        "GameScoreLedger": table("GameScoreLedger"),
        "GameScoresByUser": table("GameScoresByUser"),
    },
    "functions": {name: function(name) for name in ("ProcessKinesisRecords", "AggregateScoresByUser")},
    "failure_bucket": "dev-game-score-failures",
    "alarms": {"drift-GameScoresByUser": "dev-game-scores-drift-GameScoresByUser"},
    "alarm_topic_arn": "arn of the topic",
    "dashboard": "dev-game-scores",
}
RESOURCE: Mapping[str, Any] = {"module": "module.stream", "type": "aws_kinesis_stream", "instances": [{}]}


def paths(outputs: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    """Where each value of the outputs is, the objects among them included.

    A table may be without a stream, and a stage without alarms.
    """
    for name, value in outputs.items():
        if name != "stream_arn":
            yield (*above, name)
            if isinstance(value, dict) and name != "alarms":
                yield from paths(value, (*above, name))


def without(path: Path, *, left: Any = None) -> dict[str, Any]:
    """The outputs without one of their values, or with something left in its place."""
    outputs = copy.deepcopy(dict(OUTPUTS))
    parent: Any = outputs
    for name in path[:-1]:
        parent = parent[name]
    if left is None:
        del parent[path[-1]]
    else:
        parent[path[-1]] = left
    return outputs


@pytest.fixture
def stage() -> Iterator[Stage]:
    with mock_aws():
        yield resolve("dev", {"AWS_REGION": REGION})


def save(stage: Stage, outputs: Mapping[str, Any], resources: Sequence[Mapping[str, Any]] = (RESOURCE,)) -> None:
    """Make this the stage's state."""
    s3, bucket = boto3.client("s3", region_name=REGION), state_bucket.name(stage, stage.account())
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    state = {"outputs": {name: {"value": value} for name, value in outputs.items()}, "resources": resources}
    s3.put_object(Bucket=bucket, Key=stage.state_key, Body=json.dumps(state).encode())


def look() -> Deployed:
    return deployed("dev", {"AWS_REGION": REGION})


def commands() -> list[str]:
    """The commands that look at what is deployed, and could trip over what is missing."""
    looking = [module for module in command_modules().values() if "deployed" in vars(importlib.import_module(module))]
    return [module for module in looking if module.rsplit(".")[-1] not in ("deploy", "demo", "env")]


def test_a_stage_that_is_all_there_is_found(stage: Stage) -> None:
    save(stage, OUTPUTS)

    assert look().outputs == OUTPUTS


def test_looking_at_a_stage_leaves_the_environment_and_the_default_session_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(stage, OUTPUTS)
    default = object()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", default)
    before = dict(os.environ)

    look()

    assert dict(os.environ) == before
    assert boto3.DEFAULT_SESSION is default


def test_what_is_deployed_is_reached_by_the_session_of_its_stage(stage: Stage) -> None:
    save(stage, OUTPUTS)

    kinesis = look().session.client("kinesis")

    assert kinesis.meta.endpoint_url == f"https://kinesis.{REGION}.amazonaws.com"


def test_the_outputs_that_are_looked_for_are_all_that_terraform_has() -> None:
    with (TERRAFORM / "outputs.tf").open() as file:
        declared = {name.strip('"') for output in hcl2.load(file)["output"] for name in output}

    assert declared == set(OUTPUTS)


def test_without_any_output_or_any_part_of_one_the_outputs_are_incomplete() -> None:
    nothing: tuple[Any, ...] = ("", [], 0)

    assert incomplete(OUTPUTS) == set()
    for path in paths(OUTPUTS):
        assert incomplete(without(path)) == {path[0]}, path
        for left in nothing:
            assert incomplete(without(path, left=left)) == {path[0]}, (path, left)


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_stage_that_lacks_an_output_is_partly_deployed(name: str, stage: Stage) -> None:
    save(stage, without((name,)))

    with pytest.raises(PartlyDeployedError, match=rf"partly deployed: .*{name}.*make deploy STAGE=dev"):
        look()


def test_a_stage_with_a_tainted_resource_is_partly_deployed(stage: Stage) -> None:
    save(stage, OUTPUTS, [{**RESOURCE, "instances": [{"status": "tainted"}]}])

    with pytest.raises(PartlyDeployedError, match=r"module\.stream"):
        look()


def test_a_stage_with_resources_and_no_outputs_is_partly_deployed(stage: Stage) -> None:
    save(stage, {})

    with pytest.raises(PartlyDeployedError):
        look()


def test_a_stage_without_resources_is_not_deployed(stage: Stage) -> None:
    save(stage, {}, [])

    with pytest.raises(NotDeployedError, match="Stage dev is not deployed"):
        look()


@pytest.mark.parametrize("module", commands())
def test_every_command_says_that_a_stage_is_partly_deployed_and_leaves_the_environment_alone(
    module: str, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(stage, without(("functions",)))
    monkeypatch.setenv("AWS_REGION", REGION)
    app = typer.Typer()
    app.command()(importlib.import_module(module).main)
    needs = ["--event", "score"] if module.endswith(".invoke") else []
    needs += ["--function", "AggregateScoresByUser"] if module.endswith((".invoke", ".rollback")) else []
    before = dict(os.environ)

    result = CliRunner().invoke(app, ["--stage", "dev", *needs])

    assert isinstance(result.exception, PartlyDeployedError), result.exception
    assert dict(os.environ) == before
