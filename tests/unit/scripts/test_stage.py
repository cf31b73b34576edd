"""Which stage a command works on, and how it gets there."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts.cli import UserError
from scripts.stage import STAGES, TERRAFORM, resolve, stages


def test_the_local_stage_needs_nothing_from_the_environment(tmp_path: Path) -> None:
    stage = resolve("local", {"LOCAL_DIR": str(tmp_path)})

    assert stage.endpoint == "http://127.0.0.1:4566"
    assert stage.environment == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": None,
        "AWS_PROFILE": None,
    }


@pytest.mark.parametrize(
    ("ambient", "endpoint"),
    [
        ({"LOCAL_PORT": "4600"}, "http://127.0.0.1:4600"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4700"}, "http://127.0.0.1:4700"),
        ({"LOCAL_PORT": "4600", "AWS_ENDPOINT_URL": "http://127.0.0.1:4700"}, "http://127.0.0.1:4600"),
        ({"LOCAL_PORT": ""}, "http://127.0.0.1:4566"),
    ],
)
def test_the_local_port_can_be_chosen(ambient: Mapping[str, str], endpoint: str, tmp_path: Path) -> None:
    assert resolve("local", {"LOCAL_DIR": str(tmp_path), **ambient}).endpoint == endpoint


def test_an_aws_stage_takes_region_and_credentials_from_the_environment(tmp_path: Path) -> None:
    stage = resolve("dev", {"LOCAL_DIR": str(tmp_path), "AWS_REGION": "eu-central-1", "AWS_PROFILE": "mine"})

    assert stage.endpoint is None
    assert stage.environment == {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}


def test_an_activated_stage_replaces_what_points_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere.example")

    resolve("local", {"LOCAL_DIR": str(tmp_path)}).activate()

    assert "AWS_PROFILE" not in os.environ
    assert os.environ["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"


@pytest.mark.parametrize(
    ("name", "ambient", "message"),
    [
        ("No-Stage", {}, f"There is no stage 'No-Stage'. Choose one of {', '.join(stages())}"),
        ("dev", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "Unset it: unset AWS_ENDPOINT_URL"),
        ("local", {"AWS_ENDPOINT_URL": "https://example.com"}, "Unset it: unset AWS_ENDPOINT_URL"),
        ("local", {"LOCAL_PORT": "none"}, "LOCAL_PORT=none is not a port"),
        ("local", {"LOCAL_PORT": "65536"}, "LOCAL_PORT=65536 is not a port"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_way_to_mend_it(
    name: str, ambient: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        resolve(name, {"LOCAL_DIR": str(tmp_path), **ambient})


@pytest.mark.parametrize("file", sorted(STAGES.glob("*.tfvars")), ids=lambda file: file.stem)
def test_a_stage_sets_no_variable_that_there_is_not(file: Path) -> None:
    declared = set(re.findall(r'^variable "(\w+)"', (TERRAFORM / "variables.tf").read_text(), re.MULTILINE))

    assert set(re.findall(r"^(\w+) *=", file.read_text(), re.MULTILINE)) <= declared, "Terraform would only warn"
