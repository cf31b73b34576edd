"""Errors as the page shows them: the kind decides what the page does, the message says what the user can do."""

from dataclasses import asdict, dataclass
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import (
    ConnectionError as AWSConnectionError,
)

from scripts.cli import UserError
from scripts.deployment import NotDeployedError, PartlyDeployedError
from scripts.stage import Stage
from scripts.traffic.invoke import NotJsonError

_EXPIRED = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
}
_GONE = {"ResourceNotFoundException", "NoSuchBucket", "ResourceNotFound"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_THROTTLED = {
    "ProvisionedThroughputExceededException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "LimitExceededException",
    "SlowDown",
}
_LOGIN = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    CredentialRetrievalError,
    TokenRetrievalError,
    SSOError,
)


@dataclass(frozen=True)
class Problem:
    """What the page shows instead of an answer. `kind` decides what the page does, `status` is the HTTP status."""

    status: int
    kind: str
    message: str
    line: int | None = None
    column: int | None = None
    item: Any = None
    """What is there instead, of a conflict."""

    def body(self) -> dict[str, Any]:
        """Return the problem as JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class RefusedError(Exception):
    """A request that the console refuses, with the reason."""

    def __init__(self, status: int, kind: str, message: str, item: Any = None) -> None:
        super().__init__(message)
        self.problem = Problem(status, kind, message, item=item)


class InvalidError(RefusedError):
    """A request that cannot be used; the message says what would be accepted."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "invalid", message)


def unreachable(stage: Stage) -> RefusedError:
    """Return the error of a stage that does not answer."""
    return RefusedError(503, "unreachable", _unreachable(stage))


def problem(error: Exception, stage: Stage) -> Problem | None:
    """Return what to show for an error; None for a fault of the console itself."""
    if isinstance(error, RefusedError):
        return error.problem
    if isinstance(error, NotJsonError):
        return Problem(400, "invalid", str(error), error.line, error.column)
    if isinstance(error, PartlyDeployedError):
        return Problem(503, "being-deployed", str(error))
    if isinstance(error, NotDeployedError):
        return Problem(503, "not-deployed", str(error))
    cause = error.__cause__ if isinstance(error, UserError) else error
    if isinstance(cause, ClientError):
        return _of_aws(cause, stage)
    if isinstance(cause, _LOGIN):
        return _expired(str(cause), stage)
    if isinstance(cause, AWSConnectionError | HTTPClientError):
        return Problem(503, "unreachable", _unreachable(stage))
    if isinstance(error, UserError | BotoCoreError):
        return Problem(400, "invalid", str(error))
    return None


def _of_aws(error: ClientError, stage: Stage) -> Problem:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in _EXPIRED:
        return _expired(code, stage)
    if code in _GONE:
        return Problem(
            503,
            "not-deployed",
            f"Something of stage {stage.name} is gone ({message}). Deploy it: make deploy STAGE={stage.name}",
        )
    if code in _DENIED:
        return Problem(403, "denied", f"AWS does not let these credentials do that: {message}")
    if code in _THROTTLED:
        return Problem(429, "throttled", f"AWS asks for patience ({code}). Try again in a moment")
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return Problem(503, "unreachable", _unreachable(stage))
    return Problem(400, "invalid", f"AWS refuses: {message or code}")


def _expired(why: str, stage: Stage) -> Problem:
    return Problem(
        401,
        "credentials",
        f"AWS does not accept the credentials for stage {stage.name} ({why}). Log in again in a terminal, as with "
        "aws sso login; this page goes on by itself. Credentials that are environment variables of the console "
        "have to be set anew: stop it, set them, start it.",
    )


def _unreachable(stage: Stage) -> str:
    if stage.is_local:
        return (
            "The local cloud does not answer. See whether it runs: make cloud-up (and make deploy, if it was stopped)"
        )
    return f"AWS does not answer in {stage.region}. See whether this machine is online"
