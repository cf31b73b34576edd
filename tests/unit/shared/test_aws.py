"""The lean client sends what botocore's own would send, with any botocore: `make botocore-range` tries several."""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import botocore
import botocore.serialize
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.loaders import Loader, create_loader
from botocore.parsers import ResponseParserError

from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError

HANDLERS = Path(aws.__file__).parents[1]
_SESSION = botocore.session.Session()
REGIONS = [
    region
    for partition in _SESSION.get_available_partitions()
    for region in _SESSION.get_available_regions("dynamodb", partition)[::7]
]

# Each operation that a function calls, as it calls it.
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "batch_get_item": (
        "dynamodb",
        {"RequestItems": {"GameScoreLedger": {"Keys": [{"RecordID": {"N": "1"}}], "ConsistentRead": True}}},
    ),
    "batch_write_item": (
        "dynamodb",
        {"RequestItems": {"GameScoreRecords": [{"PutRequest": {"Item": {"RecordID": {"N": "1"}}}}]}},
    ),
    "put_item": (
        "dynamodb",
        {
            "TableName": "GameScoreRecords",
            "Item": {"RecordID": {"N": "1"}, "Username": {"S": "Zoë"}, "Score": {"N": "-1.5"}},
            "ConditionExpression": "attribute_not_exists(RecordID) OR Version < :version",
            "ExpressionAttributeValues": {":version": {"S": "1"}},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
    ),
    "transact_write_items": (
        "dynamodb",
        {
            "TransactItems": [
                {
                    "Put": {
                        "TableName": "GameScoreLedger",
                        "Item": {"RecordID": {"N": "1"}, "Version": {"S": "1"}, "Username": {"S": "Zoë"}},
                        "ConditionExpression": "Version = :replaced",
                        "ExpressionAttributeValues": {":replaced": {"S": "0"}},
                        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                    }
                },
                {
                    "Update": {
                        "TableName": "GameScoresByUser",
                        "Key": {"Username": {"S": "Zoë"}},
                        "UpdateExpression": "ADD Score :score",
                        "ExpressionAttributeValues": {":score": {"N": "-1.5"}},
                    }
                },
            ]
        },
    ),
    "put_object": (
        "s3",
        {"Bucket": "failures", "Key": "parked/Zoë/1.json", "Body": b"{}", "ContentType": "application/json"},
    ),
}

_CANCELLED = {
    "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
    "Message": "Transaction cancelled",
    "CancellationReasons": [
        {"Code": "ConditionalCheckFailed", "Item": {"RecordID": {"N": "1"}, "Version": {"S": "2"}}},
        {"Code": "None"},
    ],
}
ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "batch_get_item": (200, {"Responses": {"GameScoreLedger": [{"RecordID": {"N": "1"}}]}, "UnprocessedKeys": {}}),
    "transact_write_items": (400, _CANCELLED),
}


class _Aws(BaseHTTPRequestHandler):
    """Answer every request with what the test has set, and keep the request."""

    protocol_version = "HTTP/1.1"
    answer: ClassVar[tuple[int, dict[str, Any]]]
    requests: ClassVar[list[dict[str, Any]]]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.requests.append(
            {"line": self.requestline, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        )
        status, document = self.answer
        content = json.dumps(document).encode() if document else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An HTTP endpoint in place of AWS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Aws)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_ACCOUNT_ID", "AWS_DATA_PATH"):
        monkeypatch.delenv(name, raising=False)


def plain(service: str) -> Any:
    """The client that botocore makes when it is left alone."""
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return botocore.session.Session().create_client(service, config=config)


def redirected(client: Any, url: str) -> Any:
    """The client, sending to this URL what it would send to AWS, its signature included."""

    def redirect(request: Any, **_: Any) -> None:
        request.url = re.sub(r"^https?://[^/]+", url, request.url)

    client.meta.events.register_last("before-send", redirect)
    return client


def sent(client: Any, operation: str, url: str) -> tuple[dict[str, Any], Any]:
    """Return the HTTP request that a call makes, without what differs between two of the same, and what it returns."""
    _, parameters = CALLS[operation]
    _Aws.answer, _Aws.requests = ANSWERS.get(operation, (200, {})), []
    try:
        returned = getattr(redirected(client, url), operation)(**parameters)
    except ClientError as error:
        returned = {**error.response, "raised": type(error).__name__}
    returned.pop("ResponseMetadata")
    (request,) = _Aws.requests
    headers = request["headers"]
    for name in ("amz-sdk-invocation-id", "amz-sdk-request", "x-amz-date", "user-agent", "host"):
        headers.pop(name, None)
    headers["authorization"] = re.sub(r"Signature=\w+|/\d{8}/", "", headers["authorization"])
    request["body"] = re.sub(rb'("ClientRequestToken": ?)"[0-9a-f-]{36}"', rb"\1", request["body"])
    return request, returned


class _StopError(Exception):
    """Raised in place of sending."""


def addressed(client: Any, operation: str = "list_tables", **parameters: Any) -> tuple[str, str, bytes]:
    """Return where the client would send a request, for which region and service it signs, and the body."""
    seen: list[tuple[str, str, bytes]] = []

    def stop(request: Any, **_: Any) -> None:
        scope = request.headers["Authorization"].decode().split(",")[0]
        seen.append((request.url, scope, request.body))
        raise _StopError

    client.meta.events.register_first("before-send", stop)
    with pytest.raises(_StopError):
        getattr(client, operation)(**parameters)
    return seen[0]


def transaction(client: Any) -> tuple[str, str, bytes]:
    """Return the same of a transaction."""
    _, parameters = CALLS["transact_write_items"]
    return addressed(client, "transact_write_items", **parameters, ClientRequestToken="token")


def warnings(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return the lines logged to stderr; stdout, where a command's JSON goes, must be empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_every_operation_that_a_function_calls_is_compared() -> None:
    sources = "\n".join(path.read_text() for path in HANDLERS.rglob("*.py"))
    called = set(re.findall(r"_client(?:\(\))?\.(\w+)\(", sources)) - {"exceptions"}

    assert {"transact_write_items", "put_object"} <= called <= CALLS.keys()


@pytest.mark.parametrize("operation", CALLS)
def test_a_call_is_the_same_request_with_the_same_answer_as_by_botocores_own_client(
    operation: str, endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    service, _ = CALLS[operation]

    lean, usual = sent(aws.client(service, 1), operation, endpoint), sent(plain(service), operation, endpoint)

    assert lean == usual
    assert warnings(capsys) == []


@pytest.mark.parametrize("region", [*REGIONS, "us-mars-1", "cn-mars-1", "local"])
def test_a_client_finds_and_signs_for_the_same_endpoint_as_botocores_own(
    region: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)

    lean, usual = aws.client("dynamodb", 1), plain("dynamodb")

    assert transaction(lean) == transaction(usual)
    assert lean.meta.partition == usual.meta.partition
    assert warnings(capsys) == []


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

    error = aws.classify(failed(code, 400))

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
    assert type(aws.classify(failed(code, status))) is expected


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
    sorted_ = aws.classify(error)

    assert type(sorted_) is expected
    assert str(sorted_) == f"{type(error).__name__}: {error}"


def test_an_account_in_the_credentials_leads_to_the_endpoint_that_botocore_would_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")

    assert transaction(aws.client("dynamodb", 1)) == transaction(plain("dynamodb"))


@pytest.mark.parametrize("setting", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_endpoints_that_the_lean_client_does_not_know_are_left_to_botocore(
    setting: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(setting, "true")

    assert transaction(aws.client("dynamodb", 1)) == transaction(plain("dynamodb"))
    (warning,) = warnings(capsys)
    assert warning["reason"].startswith("EndpointVariantError: ")
    assert warning["message"] == "The lean client does not fit this botocore; using botocore's own, which is slower"


Change = Callable[[Any], object]
"""Of data that botocore has loaded, in place."""


@pytest.fixture
def doctored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, Change]], None]:
    """Make every loader find botocore's data changed, by type or name."""

    def doctor(changes: Mapping[str, Change]) -> None:
        load_model, load_data = Loader.load_service_model, Loader.load_data_with_path

        def model(self: Loader, service_name: str, type_name: str, api_version: str | None = None) -> Any:
            found = load_model(self, service_name, type_name, api_version)
            # A model is read as data too, and is loaded once for a loader: so it is changed here alone, and once.
            if type_name in changes and not getattr(self, "doctored", False):
                changes[type_name](found)
                self.doctored = True  # type: ignore[attr-defined]
            return found

        def data(self: Loader, name: str) -> Any:
            found, path = load_data(self, name)
            if name in changes:
                changes[name](found)
            return found, path

        monkeypatch.setattr("botocore.session.create_loader", create_loader)  # or other tests would find it changed
        monkeypatch.setattr(Loader, "load_service_model", model)
        monkeypatch.setattr(Loader, "load_data_with_path", data)

    return doctor


def _protocols(*names: str) -> Change:
    return lambda model: model["metadata"].update(protocol=names[0], protocols=list(names))


def _renamed(model: Any) -> None:
    """The list of writes has another name: what is looked for is the operation's member, whatever its shape."""
    model["shapes"]["Writes"] = model["shapes"].pop("TransactWriteItemList")
    model["shapes"]["TransactWriteItemsInput"]["members"]["TransactItems"]["shape"] = "Writes"


MODELS: dict[str, Change] = {
    "no such operation": lambda model: model["operations"].pop("TransactWriteItems"),
    "an operation without input": lambda model: model["operations"]["TransactWriteItems"].pop("input"),
    "no such shape": lambda model: model["shapes"].pop("TransactWriteItemsInput"),
    "no such read": lambda model: model["operations"].pop("BatchGetItem"),
    "a read without output": lambda model: model["operations"]["BatchGetItem"].pop("output"),
    "no such error": lambda model: model["shapes"].pop("TransactionCanceledException"),
    "a shape without members": lambda model: model["shapes"]["TransactWriteItemsInput"].pop("members"),
}


@pytest.mark.parametrize("change", MODELS)
def test_a_service_model_of_another_structure_leads_to_botocores_own_client(
    change: str, doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    doctored({"service-2": MODELS[change]})

    client = aws.client("dynamodb", 1)

    assert addressed(client) == addressed(plain("dynamodb"))
    (warning,) = warnings(capsys)
    assert warning["level"] == "WARN"
    assert (warning["service"], warning["botocore"]) == ("dynamodb", botocore.__version__)
    assert warning["reason"].startswith("KeyError: ")


PARTITIONS: dict[str, Change] = {
    "no partitions": lambda data: data.pop("partitions"),
    "no list": lambda data: data.update(partitions={each["id"]: each for each in data["partitions"]}),
    "a partition without a pattern": lambda data: [each.pop("regionRegex") for each in data["partitions"]],
    "a partition without regions": lambda data: [each.pop("regions") for each in data["partitions"]],
}


@pytest.mark.parametrize("change", PARTITIONS)
def test_partitions_of_another_structure_lead_to_botocores_own_client(
    change: str, doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    doctored({"partitions": PARTITIONS[change]})

    aws.client("dynamodb", 1)  # this botocore's own could not use such data: making it is all that can be seen

    (warning,) = warnings(capsys)
    assert warning["reason"].startswith(("KeyError: ", "TypeError: "))


def test_json_among_other_protocols_is_sent_as_botocores_own_client_sends_it(
    doctored: Callable[[Mapping[str, Change]], None],
) -> None:
    doctored({"service-2": _protocols("smithy-rpc-v2-cbor", "json")})
    if "smithy-rpc-v2-cbor" not in botocore.serialize.SERIALIZERS:
        pytest.skip(f"botocore {botocore.__version__} knows one protocol a service")

    assert transaction(aws.client("dynamodb", 1)) == transaction(plain("dynamodb"))


@pytest.mark.parametrize("protocol", ["query", "smithy-rpc-v2-cbor"])
def test_another_protocol_leads_to_botocores_own_client(
    protocol: str, doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    if protocol not in botocore.serialize.SERIALIZERS:
        pytest.skip(f"botocore {botocore.__version__} does not know {protocol}")
    doctored({"service-2": _protocols(protocol)})

    client = aws.client("dynamodb", 1)

    assert transaction(client) == transaction(plain("dynamodb"))
    (warning,) = warnings(capsys)
    assert not warning["reason"].endswith(": None")


def test_a_member_that_is_sent_under_another_name_leads_to_botocores_own_client(
    doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def rename(model: Any) -> None:
        shape = model["operations"]["TransactWriteItems"]["input"]["shape"]
        model["shapes"][shape]["members"]["ClientRequestToken"] |= {"locationName": "Token"}

    doctored({"service-2": rename})

    client = aws.client("dynamodb", 1)

    assert transaction(client) == transaction(plain("dynamodb"))
    (warning,) = warnings(capsys)
    assert warning["reason"] == "ValueError: a transaction or a read is not sent as it is"


def test_a_shape_of_another_name_is_found(
    doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    doctored({"service-2": _renamed})

    assert transaction(aws.client("dynamodb", 1)) == transaction(plain("dynamodb"))
    assert warnings(capsys) == []


def test_a_model_that_looks_for_no_account_numbers_is_taken_as_well(
    doctored: Callable[[Mapping[str, Change]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    doctored({"service-2": lambda model: model["operations"]["TransactWriteItems"].pop("operationContextParams", None)})

    aws.client("dynamodb", 1)

    assert warnings(capsys) == []


def test_both_clients_have_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    lean = aws.client("dynamodb", 7)
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    fallback = aws.client("dynamodb", 7)

    for client in (lean, fallback):
        settings = client.meta.config
        assert (settings.connect_timeout, settings.read_timeout) == (aws.CONNECT_SECONDS, aws.READ_SECONDS)
        assert settings.max_pool_connections == 7
        assert settings.retries["total_max_attempts"] == 1


def test_where_botocore_cannot_make_a_client_its_error_is_raised_and_nothing_is_said_of_a_fallback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)

    with pytest.raises(NoRegionError):
        transaction(aws.client("dynamodb", 1))

    assert warnings(capsys) == []
