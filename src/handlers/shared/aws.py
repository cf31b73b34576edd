"""What every adapter needs of botocore: a client that leaves retrying to us, and its errors sorted."""

from typing import Any

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


def client(service: str, connections: int) -> Any:
    """A botocore client: boto3 would add a third to a cold start, and nothing that is used here."""
    session = botocore.session.Session()
    session.register_component("data_loader", _OneServiceLoader(service))
    return session.create_client(
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


def is_retryable(code: str) -> bool:
    """Whether an error code, of a call or of one item of a transaction, may go away by itself."""
    return code in _RETRYABLE_CODES


def sort(error: AwsError) -> RetryableError | RefusedError:
    """The project's error for what a client raised, told apart by what happens next."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        retryable = is_retryable(code) or status >= 500
    else:
        code = type(error).__name__
        retryable = isinstance(error, _NO_ANSWER)
    return (RetryableError if retryable else RefusedError)(f"{code}: {error}")
