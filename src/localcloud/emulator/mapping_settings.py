"""What Lambda says of an event source mapping: which settings it refuses, in which words, and its defaults and states.

Sources, named beside each rule:
    api      https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html, as botocore's model has it
    guide    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    trace    recorded on AWS by LocalStack: tests/aws/services/lambda_/test_lambda_api.snapshot.json, and
             tests/aws/services/lambda_/event_source_mapping/*.snapshot.json
"""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.session import get_session

from localcloud.engine import filters

Settings = Mapping[str, Any]

TRANSITION_SECONDS = 0.5
"""How long a mapping is Creating, Updating and so on. AWS takes up to a minute or two; here a person waits."""

STREAM_DEFAULTS: dict[str, Any] = {  # trace: test_create_kinesis_event_source_mapping
    "BatchSize": 100,
    "BisectBatchOnFunctionError": False,
    "DestinationConfig": {"OnFailure": {}},
    "FunctionResponseTypes": [],
    "MaximumBatchingWindowInSeconds": 0,
    "MaximumRecordAgeInSeconds": -1,
    "MaximumRetryAttempts": -1,
    "ParallelizationFactor": 1,
    "TumblingWindowInSeconds": 0,
}
MOST_FILTERS = 5
"""https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html; AWS raises it to 10 on request."""

_DESTINATIONS = ("sqs", "sns", "s3")
_STARTING_POSITIONS = "[LATEST, AT_TIMESTAMP, TRIM_HORIZON]"


class RefusedError(Exception):
    """A request that Lambda refuses, with its error code and HTTP status."""

    def __init__(self, message: str, code: str = "InvalidParameterValueException", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def not_found() -> RefusedError:
    """Return the refusal of an unknown UUID (trace: test_event_source_mapping_exceptions)."""
    return RefusedError("The resource you requested does not exist.", "ResourceNotFoundException", 404)


def in_use(what: str) -> RefusedError:
    """Return the refusal to `update` or `delete` a mapping that is in transition.

    The error is documented: https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html. Its words
    are those that programs of others match ("Cannot update the event source mapping because it is in use.").
    """
    return RefusedError(f"Cannot {what} the event source mapping because it is in use.", "ResourceInUseException")


def already_mapped(source: str, function: str, uuid: str) -> RefusedError:
    """Return the refusal to map a source to a function again (trace: test_duplicate_event_source_mappings)."""
    words = (
        f'An event source mapping with SQS arn (" {source} ") and function (" {function} ") already exists.'
        if service_of(source) == "sqs"
        else f'The event source arn (" {source} ") and function (" {function} ") provided mapping already exists.'
    )
    words += f" Please update or delete the existing mapping with UUID {uuid}"
    return RefusedError(words, "ResourceConflictException", 409)


def service_of(arn: str) -> str:
    """Return the service in an ARN; "" when there is none."""
    return (arn.split(":") + [""] * 3)[2]


def check(operation: str, settings: Settings, source: str) -> None:
    """Raise RefusedError for settings that Lambda refuses, whatever else there is.

    `operation` is CreateEventSourceMapping or UpdateEventSourceMapping; `source` is the ARN of the event source.
    """
    _check_model(operation, settings)
    service = service_of(source)
    if service not in ("kinesis", "dynamodb"):
        if service == "sqs" and settings.get("DestinationConfig"):
            raise RefusedError("Unsupported DestinationConfig parameter for given event source mapping type.")  # trace
        if not service:
            raise RefusedError("Unrecognized event source.")  # trace
        _check_filters(settings)
        return
    if operation.startswith("Create"):
        _check_position(settings, source)
    age = settings.get("MaximumRecordAgeInSeconds", -1)
    if -1 < age < 60:
        # Recorded by a maintainer: https://github.com/hashicorp/terraform-provider-aws/pull/16113
        raise RefusedError("MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)")
    destination = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
    if destination and service_of(destination) not in _DESTINATIONS:
        # Which destinations there are is documented (guide); the words are ours.
        raise RefusedError(f"The destination {destination} is not an SQS queue, an SNS topic or an S3 bucket.")
    _check_filters(settings)


def _check_model(operation: str, settings: Settings) -> None:
    """Refuse numbers out of range and unknown words, as the model of the API has them.

    The form of the message is recorded (trace: test_create_event_source_validation).
    """
    faults = []
    for name, shape in _members(operation).items():
        value = settings.get(name)
        if value is None:
            continue
        if isinstance(value, int) and shape.type_name == "integer":
            if value < shape.metadata.get("min", value):
                faults.append(_fault(name, value, f"have value greater than or equal to {shape.metadata['min']}"))
            if value > shape.metadata.get("max", value):
                faults.append(_fault(name, value, f"have value less than or equal to {shape.metadata['max']}"))
        if name == "StartingPosition" and value not in shape.enum:
            faults.append(_fault(name, value, f"satisfy enum value set: {_STARTING_POSITIONS}"))
        if isinstance(value, list) and name == "FunctionResponseTypes" and set(value) - set(shape.member.enum):
            faults.append(_fault(name, value, "satisfy enum value set: [ReportBatchItemFailures]"))
    if faults:
        count = "1 validation error" if len(faults) == 1 else f"{len(faults)} validation errors"
        raise RefusedError(f"{count} detected: {'; '.join(faults)}", "ValidationException")


def _fault(name: str, value: Any, must: str) -> str:
    return f"Value '{value}' at '{name[0].lower()}{name[1:]}' failed to satisfy constraint: Member must {must}"


def _check_position(settings: Settings, source: str) -> None:
    position = settings.get("StartingPosition")
    if position is None:
        raise RefusedError(  # trace: test_create_event_source_validation_kinesis
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if position == "AT_TIMESTAMP" and service_of(source) == "dynamodb":
        raise RefusedError(f"Unsupported starting position for arn type: {source}")  # trace
    if position == "AT_TIMESTAMP" and settings.get("StartingPositionTimestamp") is None:
        # That the timestamp is required is documented (api); the words are ours.
        raise RefusedError("StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP.")


def _check_filters(settings: Settings) -> None:
    rules = (settings.get("FilterCriteria") or {}).get("Filters") or []
    if len(rules) > MOST_FILTERS:
        # The limit is documented; the words are ours.
        raise RefusedError(f"A mapping can have at most {MOST_FILTERS} filters, not {len(rules)}.")
    for rule in rules:
        try:
            filters.parse(rule.get("Pattern", ""))
        except filters.FilterError:
            # trace: test_dynamodb_invalid_event_filter
            raise RefusedError("Invalid filter pattern definition.") from None


@cache
def _members(operation: str) -> Mapping[str, Any]:
    shape: Any = get_session().get_service_model("lambda").operation_model(operation).input_shape
    return dict(shape.members)


@cache
def _answered() -> frozenset[str]:
    shape: Any = get_session().get_service_model("lambda").operation_model("GetEventSourceMapping").output_shape
    return frozenset(shape.members)


def begin(mapping: dict[str, Any], state: str, then: str) -> None:
    """Put a mapping in transition: in `state` for a while, and in `then` after it."""
    mapping |= {"State": state, "Transition": (time.monotonic() + TRANSITION_SECONDS, then)}


def settle(mapping: dict[str, Any]) -> str:
    """Return the state that a mapping has now; "Deleted" once it is gone."""
    until, then = mapping.get("Transition", (None, ""))
    if until is not None and time.monotonic() >= until:
        mapping["State"] = then
        del mapping["Transition"]
    return str(mapping["State"])


def answer(mapping: Settings, result: str | None) -> dict[str, Any]:
    """Return a mapping as Lambda shows it, given the last result of a stream's mapping."""
    shown = {name: value for name, value in mapping.items() if name in _answered() and value is not None}
    if not (shown.get("FilterCriteria") or {}).get("Filters"):
        shown.pop("FilterCriteria", None)  # trace: test_create_event_filter_criteria_validation
    if service_of(shown["EventSourceArn"]) == "sqs":
        shown.pop("LastProcessingResult", None)  # trace: test_function_name_variations
        return shown | {"StateTransitionReason": "USER_INITIATED"}
    destination = {"OnFailure": {}, **(shown.get("DestinationConfig") or {})}
    shown = STREAM_DEFAULTS | shown | {"DestinationConfig": destination, "StateTransitionReason": "User action"}
    return shown | {"LastProcessingResult": result or "No records processed"}
