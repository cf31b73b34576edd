"""What every adapter needs of botocore: a client that leaves retrying to us, and its errors sorted.

Why the client is lean, and what that rests on: docs/decisions/0008.
"""

import json
import sys
from types import SimpleNamespace
from typing import Any

import botocore
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    HTTPClientError,
    IncompleteReadError,
)
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.log import BatchLog

CONNECT_SECONDS, READ_SECONDS = 1.0, 3.0
"""How long a call waits for a connection to one address, and for the next bytes of an answer.

Both together must fit into the margin that a function keeps. They do not bound what botocore does not: the lookup of a
name, several addresses that are silent one after the other, and an answer that drips in. An invocation that such a call
outlasts times out, and its batch is delivered again: late, but nothing is lost or counted twice."""

AwsError = ClientError | BotoCoreError | ResponseParserError
"""Everything that a client raises."""

AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)

_NO_ANSWER = (ConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError)
_RETRYABLE_CODES = frozenset(
    {
        "InternalError",
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class _LeanLoader(Loader):
    """botocore's loader for one service. It leaves out what is slow and makes no difference to this project's calls.

    Raises whatever a lookup raises where botocore's data has another structure: `client` then falls back.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """Return the one service that will be asked for, without searching every service's directory."""
        return [self._service]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Load a data file; for DynamoDB, derive endpoints.json (over a megabyte, every service) from partitions.json.

        botocore takes partition and signing region from it. The endpoint comes from DynamoDB's own rules, which are
        left alone; that they are used takes a path in botocore's own folder.
        """
        if name == "endpoints" and self._service == "dynamodb":
            partitions = self.load_data("partitions")["partitions"]
            return {"partitions": [_endpoints(each) for each in partitions]}, f"{self.BUILTIN_DATA_PATH}/{name}"
        data: tuple[Any, str] = super().load_data_with_path(name)
        return data

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """Load a service's description; in DynamoDB's, declare what is sent or answered for many items opaque values.

        They are in their wire form already. Copying a hundred items field by field, and looking for account numbers
        in their table names, takes botocore four times as long as everything else before signing, and most of the
        time after the answer.
        """
        model = super().load_service_model(service_name, type_name, api_version)
        if (service_name, type_name) == ("dynamodb", "service-2"):
            write, read = (model["operations"][name] for name in ("TransactWriteItems", "BatchGetItem"))
            shapes = model["shapes"]
            shapes[_OPAQUE] = {"type": "structure", "members": {}, "document": True}
            for shape, member in (
                (write["input"]["shape"], "TransactItems"),
                ("TransactionCanceledException", "CancellationReasons"),
                (read["input"]["shape"], "RequestItems"),
                (read["output"]["shape"], "Responses"),
            ):
                shapes[shape]["members"][member] = {"shape": _OPAQUE}
            for operation in (write, read):
                operation.pop("operationContextParams", None)
        return model


_OPAQUE = "OpaqueItems"


def _endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    """Return what endpoints.json would say of a partition in which no service has endpoints of its own."""
    return {
        "partition": partition["id"],
        "dnsSuffix": partition["outputs"]["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {"hostname": "{service}.{region}.{dnsSuffix}", "protocols": ["https"], "signatureVersions": ["v4"]},
        "services": {},
    }


def config(connections: int) -> Config:
    """Return the settings of a client whose calls are repeated by `retrying` alone."""
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=connections,
        # Ours are bounded by the invocation's remaining time, which botocore's do not know.
        retries={"total_max_attempts": 1},
        # Half the time of a transaction of 100 items; what we send is typed and tested.
        parameter_validation=False,
    )


def client(service: str, connections: int) -> Any:
    """Make a botocore client with `config`. boto3 would add a third to a cold start and nothing that is used here.

    AWS chooses the botocore of the Lambda runtime, so the lean client is tried before it is used. When botocore's data
    is not what `_LeanLoader` expects, the client is botocore's own, and a WARN line says so.
    Raises what botocore raises where it cannot make a client either, as without a region.
    """
    settings = config(connections)
    try:
        return _lean_client(service, settings)
    except Exception as error:  # noqa: BLE001 - nobody knows what an untried botocore raises; its own client decides
        plain = botocore.session.Session().create_client(service, config=settings)
        # Lambda logs stderr as it logs stdout; a command's stdout may be JSON.
        log = BatchLog(request_id=None, stream=sys.stderr)
        log.warning(
            "The lean client does not fit this botocore; using botocore's own, which is slower",
            service=service,
            botocore=botocore.__version__,
            reason=f"{type(error).__name__}: {error}",
        )
        log.write()
        return plain


def _lean_client(service: str, config: Config) -> Any:
    """Make a client with the lean loader. Raises an exception of any type where that does not work."""
    session = botocore.session.Session()
    session.register_component("data_loader", _LeanLoader(service))
    lean = session.create_client(service, config=config)
    if service == "dynamodb":
        _check_wire_form(lean)
    return lean


# DynamoDB would refuse them, should they ever be sent: a table's name has at least three characters.
_SAMPLES: dict[str, dict[str, Any]] = {
    "transact_write_items": {
        "TransactItems": [{"Put": {"TableName": "-", "Item": {"RecordID": {"N": "1"}, "Username": {"S": "jane"}}}}],
        "ClientRequestToken": "-",
    },
    "batch_get_item": {"RequestItems": {"-": {"Keys": [{"RecordID": {"N": "1"}}], "ConsistentRead": True}}},
}


def _check_wire_form(dynamodb: Any) -> None:
    """Let botocore prepare a transaction and a read, stop it before it signs, and compare what it would have sent.

    Under any protocol but JSON what was declared opaque would be sent wrongly, or not at all, and read wrongly.
    """
    prepared = []

    def answer(params: dict[str, Any], **_: Any) -> tuple[SimpleNamespace, dict[str, Any]]:
        prepared.append(params["body"])
        return SimpleNamespace(status_code=200), {}

    dynamodb.meta.events.register_first("before-call", answer)
    try:
        for operation, sample in _SAMPLES.items():
            getattr(dynamodb, operation)(**sample)
    finally:
        dynamodb.meta.events.unregister("before-call", answer)
    if [json.loads(body) for body in prepared] != list(_SAMPLES.values()):
        raise ValueError("a transaction or a read is not sent as it is")


def is_retryable(code: str) -> bool:
    """Whether an error code, of a call or of one item of a transaction, may go away by itself."""
    return code in _RETRYABLE_CODES


def code(error: AwsError) -> str:
    """Return the code that AWS answered, or the name of the error when there was no answer."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def classify(error: AwsError) -> RetryableError | RefusedError:
    """The project's error for what a client raised, told apart by what happens next."""
    name = code(error)
    if isinstance(error, ClientError):
        retryable = is_retryable(name) or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    else:
        retryable = isinstance(error, _NO_ANSWER)
    return (RetryableError if retryable else RefusedError)(f"{name}: {error}")
