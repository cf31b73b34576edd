"""What every adapter needs of botocore: a client that leaves retrying to us, and its errors sorted."""

import json
import ssl
import threading
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
)
from botocore.httpsession import get_cert_path
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from handlers.shared.errors import RefusedError, RetryableError

CONNECT_SECONDS, READ_SECONDS = 1.0, 3.0
"""How long a call may take; both together must fit into the margin that a function keeps."""

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


class _OneServiceLoader(Loader):
    """botocore's loader, but for what it reads about all the other services: a sixth of a cold start."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002
        """The one that is going to be asked for, without a search through every service's directory."""
        return [self._service]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """What is asked for; in place of every service's endpoint in every region, more than a megabyte, a rule.

        DynamoDB has no endpoint but by that rule. S3, which a parked record alone asks for, has.
        """
        if name == "endpoints" and self._service == "dynamodb":
            return {"partitions": [_endpoints(each) for each in self.load_data("partitions")["partitions"]]}, name
        data: tuple[Any, str] = super().load_data_with_path(name)
        return data

    def load_service_model(self, service_name: str, type_name: str, api_version: str | None = None) -> Any:
        """The service, but that the writes of a transaction are sent as they are.

        Ours are in their wire form already. For botocore to copy a hundred of them field by field, and to look
        for account numbers in their table names, is 40 % of a call.
        """
        model = super().load_service_model(service_name, type_name, api_version)
        if (service_name, type_name) == ("dynamodb", "service-2"):
            model["shapes"]["TransactWriteItemList"] = {"type": "string"}
            model["operations"]["TransactWriteItems"].pop("operationContextParams", None)
        return model


def _endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    """What botocore's endpoints.json would say of a partition, had it no service with endpoints of its own."""
    return {
        "partition": partition["id"],
        "dnsSuffix": partition["outputs"]["dnsSuffix"],
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {"hostname": "{service}.{region}.{dnsSuffix}", "protocols": ["https"], "signatureVersions": ["v4"]},
        "services": {},
    }


def _session(service: str) -> botocore.session.Session:
    session = botocore.session.Session()
    session.register_component("data_loader", _OneServiceLoader(service))
    return session


def client(service: str, connections: int, session: botocore.session.Session | None = None) -> Any:
    """A botocore client: boto3 would add a third to a cold start, and nothing that is used here."""
    return (session or _session(service)).create_client(
        service,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            max_pool_connections=connections,
            # Ours are bounded by the invocation's remaining time, which botocore's do not know.
            retries={"total_max_attempts": 1},
            # Half the time of a transaction of 100 items; what we send is typed and tested.
            parameter_validation=False,
        ),
    )


class DynamoDB:
    """DynamoDB for calls by the thousand: a call takes a third of the CPU time that a call of botocore's client takes.

    The signature, the endpoint, the credentials and the errors are botocore's. The connection is http.client's, one a
    thread; requests and answers are in their wire form, and not validated. Proxies are not used.
    """

    def __init__(self, session: botocore.session.Session, endpoint_url: str, region: str) -> None:
        self._url = endpoint_url + "/"
        self._region = region
        self._credentials = session.get_credentials()
        self._emit = session.get_component("event_emitter").emit_until_response
        self._tls = None
        if endpoint_url.startswith("https:"):
            bundle = session.get_config_variable("ca_bundle") or get_cert_path(True)
            self._tls = ssl.create_default_context(cafile=bundle)
        self._own = threading.local()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to an operation, such as PutItem. Raises ClientError; HTTPClientError for no answer."""
        headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
        if self._credentials is None:
            raise NoCredentialsError
        signed = AWSRequest("POST", self._url, headers, json.dumps(request).encode())
        SigV4Auth(self._credentials.get_frozen_credentials(), "dynamodb", self._region).add_auth(signed)
        prepared = signed.prepare()
        # botocore's hook for whoever answers in AWS's place: moto, and our tests.
        _, response = self._emit(f"before-send.dynamodb.{operation}", request=prepared)
        if response is not None:
            return _answer(operation, response.status_code, response.content)
        try:
            connection = self._connection()
            connection.request("POST", "/", prepared.body, dict(prepared.headers.items()))
            answer = connection.getresponse()
            status, content = answer.status, answer.read()
        except (OSError, HTTPException) as error:
            self._close()
            raise HTTPClientError(error=error) from error
        return _answer(operation, status, content)

    def _connection(self) -> HTTPConnection:
        """Return this thread's connection. When the server has closed it the call fails; the next opens another."""
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            place = urlsplit(self._url)
            if self._tls:
                connection = HTTPSConnection(place.netloc, timeout=CONNECT_SECONDS, context=self._tls)
            else:
                connection = HTTPConnection(place.netloc, timeout=CONNECT_SECONDS)
            connection.connect()
            connection.sock.settimeout(READ_SECONDS)
            self._own.connection = connection
        return connection

    def _close(self) -> None:
        connection = self._own.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()


def dynamodb() -> DynamoDB:
    """Make a DynamoDB of the environment's region, endpoint and credentials, as botocore finds them."""
    session = _session("dynamodb")
    meta = client("dynamodb", 1, session).meta
    return DynamoDB(session, meta.endpoint_url, meta.region_name)


def _answer(operation: str, status: int, content: bytes) -> dict[str, Any]:
    try:
        body: Any = json.loads(content or b"{}")
        if status == 200:
            return dict(body)
        error = {"Code": body["__type"].rpartition("#")[2], "Message": body.get("message", body.get("Message", ""))}
    except (AttributeError, KeyError, TypeError, ValueError):
        error = {"Code": str(status), "Message": "The answer is not DynamoDB's"}
        if status == 200:
            raise ResponseParserError(error["Message"]) from None
    raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # type: ignore[typeddict-item]


def is_retryable(code: str) -> bool:
    """Whether an error code, of a call or of one item of a transaction, may go away by itself."""
    return code in _RETRYABLE_CODES


def code(error: AwsError) -> str:
    """Return the code that AWS answered, or the name of the error when there was no answer."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def sort(error: AwsError) -> RetryableError | RefusedError:
    """The project's error for what a client raised, told apart by what happens next."""
    name = code(error)
    if isinstance(error, ClientError):
        retryable = is_retryable(name) or error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    else:
        retryable = isinstance(error, _NO_ANSWER)
    return (RetryableError if retryable else RefusedError)(f"{name}: {error}")
