"""Mappings are answered as Lambda answers, whatever was asked before."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.emulator import mapping_settings
from localcloud.emulator.lambda_mappings import answer_as_lambda

UUID = "01234567-89ab-cdef-0123-456789abcdef"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"


@pytest.fixture
def lambda_svc() -> SimpleNamespace:
    """What the repair needs of ministack, with one mapping, and replies that are a status and JSON."""

    def reply(body: dict[str, Any], status: int) -> tuple[int, dict[str, Any]]:
        return status, body

    def error(code: str, message: str, status: int, _extra: Any, *, message_key: str) -> tuple[int, dict[str, Any]]:
        return status, {"__type": code, message_key: message}

    service = SimpleNamespace(**dict.fromkeys(name.partition(".")[2] for name in answer_as_lambda.builds_on))
    service._esms = {UUID: {"UUID": UUID, "EventSourceArn": STREAM, "State": "Enabled"}}
    service._esm_response = dict
    service._release_esm_poll_state = lambda _: None
    service.json_response, service.error_response_json = reply, error
    answer_as_lambda.apply(service, None, None, None)
    return service


@pytest.mark.parametrize(
    "call",
    [
        lambda lambda_svc: lambda_svc._delete_esm(UUID),
        lambda lambda_svc: lambda_svc._update_esm(UUID, {"BatchSize": 1}),
        lambda lambda_svc: lambda_svc._get_esm(UUID),
    ],
    ids=["delete", "update", "get"],
)
def test_a_mapping_that_was_deleted_is_not_found(
    lambda_svc: Any, monkeypatch: pytest.MonkeyPatch, call: Callable[[Any], tuple[int, dict[str, Any]]]
) -> None:
    monkeypatch.setattr(mapping_settings, "TRANSITION_SECONDS", 0)

    deleting, (status, answer) = lambda_svc._delete_esm(UUID), call(lambda_svc)

    assert (deleting[0], status) == (202, 404)
    assert answer["__type"] == "ResourceNotFoundException"
