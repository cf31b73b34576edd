"""Clients that may do what a function may: a mapping reads and delivers as its role, as in AWS.

There is one client of each service, whatever the number of functions: a client takes about 10 MB. What differs is how a
call is signed, which `_Caller` decides by the thread that makes it.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import boto3
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.session import get_session

from localcloud.engine.clients import config

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

Service = Literal["dynamodbstreams", "kinesis", "s3", "sns", "sqs"]

_UNKNOWN_SESSION = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}


class FunctionRights:
    """Makes calls with the rights of functions."""

    _ROLE_SECONDS = 30
    _SESSION_SECONDS = 3600
    _RENEW_SECONDS = 300

    def __init__(self, session: boto3.Session, pool: int) -> None:
        self._config = config(pool)
        self._lambda: LambdaClient = session.client("lambda", config=self._config)
        self._sts = session.client("sts", config=self._config)
        self._caller = _Caller()
        botocore_session = get_session()
        botocore_session.register_component("credential_provider", CredentialResolver([_Provider(self._caller)]))
        self._session = boto3.Session(botocore_session=botocore_session, region_name=session.region_name)
        self._lock = threading.RLock()  # whoever has it may look up a role
        self._roles: dict[str, tuple[str, float]] = {}
        self._assumed: dict[tuple[str, str], tuple[ReadOnlyCredentials, float]] = {}
        self._clients: dict[Service, Any] = {}

    @contextmanager
    def client(self, service: Service, function_arn: str) -> Iterator[Any]:
        """A client of the service, as the function's execution role. Raises what boto3 raises.

        Calls are to be made within the context and in its thread. A refusal may be due to a role that has changed, or
        to an emulator that has started anew and no longer knows the session: the next call asks again.
        """
        try:
            with self._lock:
                credentials = self._assume(self.role(function_arn), _name(function_arn))
                if service not in self._clients:
                    self._clients[service] = self._session.client(service, config=self._config)
                client = self._clients[service]
            with self._caller.being(credentials):
                yield client
        except ClientError as error:
            with self._lock:
                role, _ = self._roles.pop(function_arn, ("", 0))
                if error.response["Error"]["Code"] in _UNKNOWN_SESSION:
                    self._assumed.pop((role, _name(function_arn)), None)
            raise

    def role(self, function_arn: str) -> str:
        """The ARN of the function's execution role."""
        with self._lock:
            role, until = self._roles.get(function_arn, ("", 0))
            if until < time.monotonic():
                role = self._lambda.get_function_configuration(FunctionName=function_arn)["Role"]
                _forget_expired(self._roles)
                self._roles[function_arn] = role, time.monotonic() + self._ROLE_SECONDS
            return role

    def _assume(self, role: str, name: str) -> ReadOnlyCredentials:
        known, until = self._assumed.get((role, name), (None, 0))
        if known is not None and until >= time.monotonic():
            return known
        answer = self._sts.assume_role(RoleArn=role, RoleSessionName=name, DurationSeconds=self._SESSION_SECONDS)
        given = answer["Credentials"]
        credentials = ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        _forget_expired(self._assumed)
        self._assumed[role, name] = credentials, time.monotonic() + self._SESSION_SECONDS - self._RENEW_SECONDS
        return credentials


class _Caller(Credentials):
    """The credentials of whoever the present thread calls for."""

    def __init__(self) -> None:
        super().__init__("none", "none")
        self._current = threading.local()

    @contextmanager
    def being(self, credentials: ReadOnlyCredentials) -> Iterator[None]:
        """Sign what this thread sends with these credentials."""
        self._current.credentials = credentials
        try:
            yield
        finally:
            del self._current.credentials

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return what botocore signs a request with."""
        found: ReadOnlyCredentials = self._current.credentials
        return found


class _Provider(CredentialProvider):
    METHOD = "localcloud"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        return self._credentials


def _forget_expired(cache: dict[Any, tuple[Any, float]]) -> None:
    now = time.monotonic()
    for key in [key for key, (_, until) in cache.items() if until < now]:
        del cache[key]


def _name(function_arn: str) -> str:
    return function_arn.split(":")[6]
