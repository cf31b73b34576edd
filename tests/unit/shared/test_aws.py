"""The lean client asks what botocore's own would ask, in every partition; and what its errors mean."""

from typing import Any

import botocore.session
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError

_SESSION = botocore.session.Session()
REGIONS = [
    region
    for partition in _SESSION.get_available_partitions()
    for region in _SESSION.get_available_regions("dynamodb", partition)[::7]
]


class _StopError(Exception):
    """Raised in place of sending."""


def request(client: Any) -> tuple[str, str]:
    """Where the client would send a request, and for which region and service it signs."""
    seen = {}

    def stop(request: Any, **_: Any) -> None:
        seen["url"], seen["signed"] = request.url, request.headers["Authorization"].decode().split(",")[0]
        raise _StopError

    client.meta.events.register_first("before-send", stop)
    with pytest.raises(_StopError):
        client.list_tables()
    return seen["url"], seen["signed"]


@pytest.mark.parametrize("region", REGIONS)
def test_a_client_finds_and_signs_for_the_same_endpoint_as_botocores_own(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    lean, usual = aws.client("dynamodb", 1), botocore.session.Session().create_client("dynamodb")

    assert request(lean) == request(usual)
    assert lean.meta.partition == usual.meta.partition


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_a_client_keeps_the_connections_and_the_timeouts_that_it_was_made_for(service: str) -> None:
    client = aws.client(service, connections=7)

    assert client.meta.service_model.service_name == service
    assert client.meta.config.max_pool_connections == 7
    assert client.meta.config.connect_timeout == aws.CONNECT_SECONDS == 1
    assert client.meta.config.read_timeout == aws.READ_SECONDS == 3
    assert client.meta.config.retries["total_max_attempts"] == 1


def test_a_client_does_not_spend_time_on_checking_what_it_sends() -> None:
    client = aws.client("dynamodb", connections=1)

    def stop(**_: Any) -> None:
        raise _StopError

    client.meta.events.register_first("before-send", stop)
    with pytest.raises(_StopError):
        client.put_item(TableName="t", Item={}, ConditionExpression=7)


def test_a_client_makes_one_attempt_and_leaves_the_rest_to_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    attempts: list[str] = []

    def lose(request: Any, **_: Any) -> None:
        attempts.append(request.url)
        raise ConnectionClosedError(endpoint_url=request.url)

    client = aws.client("dynamodb", connections=1)
    client.meta.events.register_first("before-send", lose)
    with pytest.raises(ConnectionClosedError):
        client.list_tables()

    assert len(attempts) == 1


def failed(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutItem",
    )


@pytest.mark.parametrize(
    "code",
    [
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
        # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
        "InternalError",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
    ],
)
def test_a_trouble_that_may_pass_is_retryable_whatever_its_status(code: str) -> None:
    assert aws.is_retryable(code)

    error = aws.sort(failed(code, 400))

    assert isinstance(error, RetryableError)
    assert str(error) == f"{code}: An error occurred ({code}) when calling the PutItem operation: why"


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("Unheard", 500, RetryableError),
        ("Unheard", 503, RetryableError),
        ("Unheard", 499, RefusedError),
        ("AccessDeniedException", 400, RefusedError),
        ("ConditionalCheckFailed", 400, RefusedError),
    ],
)
def test_a_fault_of_the_service_is_retryable_and_an_unknown_refusal_is_not(
    code: str, status: int, expected: type[Exception]
) -> None:
    assert not aws.is_retryable(code)
    assert type(aws.sort(failed(code, status))) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (EndpointConnectionError(endpoint_url="x"), RetryableError),
        (ConnectionClosedError(endpoint_url="x"), RetryableError),
        (ReadTimeoutError(endpoint_url="x"), RetryableError),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), RetryableError),
        (ResponseParserError("no JSON"), RetryableError),
        (NoCredentialsError(), RefusedError),
        (ParamValidationError(report="wrong"), RefusedError),
    ],
)
def test_only_a_call_without_an_answer_is_worth_another(error: aws.AwsError, expected: type[Exception]) -> None:
    sorted_ = aws.sort(error)

    assert type(sorted_) is expected
    assert str(sorted_) == f"{type(error).__name__}: {error}"
