"""How the console reaches its stage."""

from pathlib import Path

import boto3
import pytest

from scripts.console.connection import LiveConnection


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path))


def test_the_clients_of_a_console_are_made_once_until_the_login_is_another() -> None:
    connection = LiveConnection("local")
    client = connection.stage.session.client("s3")

    connection.forget(credentials=False)
    assert connection.stage.session.client("s3") is client

    connection.forget(credentials=True)
    assert connection.stage.session.client("s3") is not client


def test_a_client_of_a_console_gives_up_while_somebody_still_looks() -> None:
    settings = vars(LiveConnection("local").stage.session.client("s3").meta.config)

    assert settings["connect_timeout"] + settings["read_timeout"] < 15
    assert settings["retries"]["total_max_attempts"] == 2


def test_consoles_of_two_stages_in_one_process_reach_each_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    default = object()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", default)
    dev, local = LiveConnection("dev"), LiveConnection("local")

    reached = [each.stage.session.client("kinesis").meta.endpoint_url for each in (local, dev, local)]

    assert reached == [
        "http://127.0.0.1:4566",
        "https://kinesis.us-east-1.amazonaws.com",
        "http://127.0.0.1:4566",
    ]
    assert boto3.DEFAULT_SESSION is default
