"""Which stage a command works on, and how it gets there."""

import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

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
        "AWS_DEFAULT_PROFILE": None,
    }


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({"LOCAL_PORT": "4600"}, "http://127.0.0.1:4600"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:4700"}, "http://127.0.0.1:4700"),
        ({"LOCAL_PORT": "4600", "AWS_ENDPOINT_URL": "http://127.0.0.1:4700"}, "http://127.0.0.1:4600"),
        ({"LOCAL_PORT": ""}, "http://127.0.0.1:4566"),
    ],
)
def test_the_local_port_can_be_chosen(environ: Mapping[str, str], endpoint: str, tmp_path: Path) -> None:
    assert resolve("local", {"LOCAL_DIR": str(tmp_path), **environ}).endpoint == endpoint


def test_an_aws_stage_takes_region_and_credentials_from_the_environment(tmp_path: Path) -> None:
    stage = resolve("dev", {"LOCAL_DIR": str(tmp_path), "AWS_REGION": "eu-central-1", "AWS_PROFILE": "mine"})

    assert stage.endpoint is None
    assert stage.environment == {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}


def test_a_process_started_for_a_stage_is_pointed_there_and_this_one_is_not(tmp_path: Path) -> None:
    before = dict(os.environ)
    environ = {"PATH": "/bin", "AWS_PROFILE": "mine", "AWS_DEFAULT_PROFILE": "mine", "AWS_REGION": "eu-west-1"}

    local = resolve("local", {"LOCAL_DIR": str(tmp_path), "LOCAL_PORT": "4700"})
    of_local = local.process_environment(environ)
    of_dev = resolve("dev", {"AWS_REGION": "eu-central-1"}).process_environment({"AWS_PROFILE": "mine"})

    assert of_local == {
        "PATH": "/bin",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4700",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    assert of_dev == {"AWS_PROFILE": "mine", "AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    assert dict(os.environ) == before


def test_each_of_two_stages_in_one_process_is_reached_by_its_own_session(tmp_path: Path) -> None:
    local = resolve("local", {"LOCAL_DIR": str(tmp_path), "LOCAL_PORT": "4600"}).session
    dev = resolve("dev", {"AWS_REGION": "eu-central-1"}).session

    def reached(session: Any) -> list[str]:
        clients = session.client("kinesis"), session.resource("dynamodb").meta.client
        return [client.meta.endpoint_url for client in clients]

    assert reached(local) == ["http://127.0.0.1:4600"] * 2
    assert reached(dev) == [f"https://{each}.eu-central-1.amazonaws.com" for each in ("kinesis", "dynamodb")]
    assert reached(local) == ["http://127.0.0.1:4600"] * 2, "the session of dev has changed that of local"


def test_a_session_of_the_local_stage_takes_nothing_from_the_users_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-west-1\nendpoint_url = https://elsewhere.example\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "none-of-this-name",
        "AWS_DEFAULT_PROFILE": "none-of-this-name",
        "AWS_SESSION_TOKEN": "of-the-user",
        "AWS_ENDPOINT_URL_S3": "https://elsewhere.example",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)

    session = resolve("local", {"LOCAL_DIR": str(tmp_path), "LOCAL_PORT": "4600"}).session

    s3, credentials = session.client("s3"), session.get_credentials()
    assert (s3.meta.endpoint_url, s3.meta.region_name) == ("http://127.0.0.1:4600", "us-east-1")
    assert credentials is not None
    assert (credentials.access_key, credentials.secret_key, credentials.token) == ("test", "test", None)


def test_threads_that_ask_a_session_for_the_same_client_share_one(tmp_path: Path) -> None:
    session = resolve("local", {"LOCAL_DIR": str(tmp_path)}).session
    patient = Config(read_timeout=900)

    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: session.client("lambda"), range(32)))

    assert len(set(map(id, clients))) == 1
    assert session.client("lambda", config=patient) is session.client("lambda", config=Config(read_timeout=900))
    assert session.client("lambda", config=patient) is not clients[0]
    assert vars(session.client("lambda", config=patient).meta.config)["read_timeout"] == 900


def test_a_session_has_the_defaults_that_its_stage_was_given_for_clients(tmp_path: Path) -> None:
    hasty = replace(resolve("local", {"LOCAL_DIR": str(tmp_path)}), client_config=Config(read_timeout=8))

    settings = vars(hasty.session.client("s3", config=Config(connect_timeout=2)).meta.config)

    assert (settings["read_timeout"], settings["connect_timeout"]) == (8, 2)


@pytest.mark.parametrize(
    ("name", "environ", "message"),
    [
        ("No-Stage", {}, f"There is no stage 'No-Stage'. Choose one of {', '.join(stages())}"),
        ("dev", {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}, "Unset it: unset AWS_ENDPOINT_URL"),
        ("local", {"AWS_ENDPOINT_URL": "https://example.com"}, "Unset it: unset AWS_ENDPOINT_URL"),
        ("local", {"LOCAL_PORT": "none"}, "LOCAL_PORT=none is not a port"),
        ("local", {"LOCAL_PORT": "65536"}, "LOCAL_PORT=65536 is not a port"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_way_to_mend_it(
    name: str, environ: Mapping[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        resolve(name, {"LOCAL_DIR": str(tmp_path), **environ})


@pytest.mark.parametrize("file", sorted(STAGES.glob("*.tfvars")), ids=lambda file: file.stem)
def test_a_stage_sets_no_variable_that_there_is_not(file: Path) -> None:
    declared = set(re.findall(r'^variable "(\w+)"', (TERRAFORM / "variables.tf").read_text(), re.MULTILINE))

    assert set(re.findall(r"^(\w+) *=", file.read_text(), re.MULTILINE)) <= declared, "Terraform would only warn"
