"""Cases of how AWS treats a batch: what is written, what the function answers, what follows.

Each says how we know (tests/sources.py): AWS documents it, somebody recorded it, or it is our choice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.simulation import Fault, Injection
from tests.sources import (
    FAILURES,
    KINESIS,
    MAPPINGS,
    PARTIAL_RESPONSES,
    Ours,
    Source,
    Sources,
    localstack,
)

Texts = list[str]

REPORT = ["ReportBatchItemFailures"]
S3 = {"OnFailure": {"Destination": "arn:aws:s3:::failures"}}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A function: it raises on some texts, reports others as failures, or answers as it is told.

    In an answer the text of a record stands for its sequence number; bytes are the response as it is.
    """

    raises: Texts = field(default_factory=list)
    reports: Texts = field(default_factory=list)
    answers: Any = None


@dataclass(frozen=True, slots=True)
class Case:
    """One behaviour of AWS. `writes` are (seconds, text); a text's first letter is its key.

    Seconds count from the engine's start; what is written before it has negative ones. `discarded_at` is when the last
    batch is discarded.

    Invocations of different keys are in no order when batches run in parallel; `invoked` has them by key then.
    """

    name: str
    sources: Sources
    settings: dict[str, Any]
    writes: list[tuple[float, str]]
    invoked: list[Texts]
    function: Behaviour = Behaviour()
    discarded: list[tuple[str, int, Texts]] = field(default_factory=list)
    inject: Callable[[int], Injection] | None = None
    services: tuple[str, ...] = ("kinesis", "dynamodb")
    times: list[float] | None = None
    discarded_at: float | None = None


def at_once(*texts: str) -> list[tuple[float, str]]:
    """Writes of one moment, before the mapping is seen."""
    return [(0.0, text) for text in texts]


def throttled(times: int) -> Callable[[int], Injection]:
    """Throttle so many invocations, and then none."""
    return lambda count: Injection(Fault.THROTTLED if count < times else Fault.NONE)


def crashing(times: int) -> Callable[[int], Injection]:
    """Crash so many invocations, and then none."""
    return lambda count: Injection(Fault.CRASHED_BEFORE if count < times else Fault.NONE)


_RECORDED_FAILURES: tuple[Source, ...] = tuple(
    localstack(f"test_{test}_report_batch_item_failure_scenarios", stream=stream)
    for test, stream in (("kinesis", "kinesis"), ("dynamodb", "dynamodbstreams"))
)
_RECORDED_SUCCESSES: tuple[Source, ...] = tuple(
    localstack(f"test_{test}_report_batch_item_success_scenarios", stream=stream)
    for test, stream in (("kinesis", "kinesis"), ("dynamodb", "dynamodbstreams"))
)
_FAILURE = (*PARTIAL_RESPONSES, *_RECORDED_FAILURES)
_SUCCESS = (*PARTIAL_RESPONSES, *_RECORDED_SUCCESSES)
_CHOICE = Ours("no record is skipped on a response that AWS does not define")
_WHOLE = [["a1", "a2", "a3"], ["a1"], ["a2", "a3"], ["a2"], ["a3"]]


def _response(
    name: str, sources: Sources, function: "Behaviour | Any", invoked: list[Texts], *discarded: Texts
) -> Case:
    """A function's response to every batch, of a mapping that bisects and does not retry, as a redrive does not."""
    return Case(
        name,
        sources,
        {
            "BisectBatchOnFunctionError": True,
            "FunctionResponseTypes": REPORT,
            "MaximumRetryAttempts": 0,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2", "a3"),
        invoked,
        function if isinstance(function, Behaviour) else Behaviour(answers=function),
        [("RetryAttemptsExhausted", 1, texts) for texts in discarded],
    )


def _reported(*identifiers: Any) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


RESPONSES = [
    *(
        _response(f"{name} is a success", sources, answer, [["a1", "a2", "a3"]])
        for name, sources, answer in (
            ("an empty list of failures", _SUCCESS, {"batchItemFailures": []}),
            ("a null list of failures", _SUCCESS, {"batchItemFailures": None}),
            ("an empty object", _SUCCESS, {}),
            ("null", _SUCCESS, None),
            ("an empty list", _RECORDED_SUCCESSES, []),
            ("an empty string", (_RECORDED_SUCCESSES[0], Ours("DynamoDB as Kinesis")), ""),
            ("no response", Ours("as null"), b""),
        )
    ),
    _response(
        "of several reported records the lowest counts",
        PARTIAL_RESPONSES,
        _reported("a3", "a2"),
        [["a1", "a2", "a3"], ["a2", "a3"]],
        ["a2", "a3"],
    ),
    _response(
        "the first record reported is not bisected",
        PARTIAL_RESPONSES,
        _reported("a1"),
        [["a1", "a2", "a3"]],
        ["a1", "a2", "a3"],
    ),
    *(
        _response(f"{name} fails the batch", sources, answer, _WHOLE, ["a1"], ["a2"], ["a3"])
        for name, sources, answer in (
            ("an empty identifier", _FAILURE, _reported("")),
            ("a null identifier", _FAILURE, _reported(None)),
            ("an identifier that is a number", _RECORDED_FAILURES, _reported(123)),
            ("an unexpected key", _FAILURE, {"batchItemFailures": [{"foo": 123}]}),
            ("an identifier that is not in the batch", _CHOICE, _reported("123")),
            ("one identifier of two that is not in the batch", _CHOICE, _reported("a2", "123")),
            ("an object without batchItemFailures", _CHOICE, {"foo": 1}),
            ("a list of failures without its object", _CHOICE, [{"itemIdentifier": "a2"}]),
            ("a list of failures that is an object", _CHOICE, {"batchItemFailures": {"itemIdentifier": "a2"}}),
            ("a list of failures that is an empty string", _CHOICE, {"batchItemFailures": ""}),
            ("a failure that is not an object", _CHOICE, {"batchItemFailures": ["a2"]}),
            ("a number", _CHOICE, 0),
            ("false", _CHOICE, False),
            ("text", _CHOICE, "Successfully processed 3 records."),
            ("a response that is not JSON", _CHOICE, b"Killed"),
            ("a response nested too deeply", _CHOICE, b"[" * 100_000),
        )
    ),
    _response(
        "an exception fails the batch",
        (*FAILURES, *_RECORDED_FAILURES),
        Behaviour(raises=["a2"]),
        [["a1", "a2", "a3"], ["a1"], ["a2", "a3"], ["a2"], ["a3"]],
        ["a2"],
    ),
]
"""What responses mean, for the engine and for a redrive alike: tests/unit/scripts/failures/test_redrive.py."""

CASES = [
    Case(
        "a batch holds at most BatchSize records",
        MAPPINGS,
        {"BatchSize": 2},
        at_once("a1", "a2", "a3", "a4", "a5"),
        invoked=[["a1", "a2"], ["a3", "a4"], ["a5"]],
    ),
    Case(
        "a window gathers what arrives in it",
        MAPPINGS,
        {"MaximumBatchingWindowInSeconds": 10},
        [(0, "a1"), (3, "a2"), (9, "a3"), (12, "a4")],
        invoked=[["a1", "a2", "a3"], ["a4"]],
        times=[10, 20],
    ),
    Case(
        "a full batch does not wait for its window",
        MAPPINGS,
        {"MaximumBatchingWindowInSeconds": 300, "BatchSize": 2},
        [(0, "a1"), (1, "a2")],
        invoked=[["a1", "a2"]],
        times=[1],
    ),
    Case(
        "MaximumRetryAttempts 1 gives two invocations",
        localstack("test_kinesis_event_source_mapping_with_on_failure_destination_config"),
        {"MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"], ["a1"]],
        function=Behaviour(raises=["a1"]),
        discarded=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
    Case(
        "MaximumRetryAttempts 0 gives one invocation, and the shard moves on",
        FAILURES,
        {"MaximumRetryAttempts": 0, "BatchSize": 1, "DestinationConfig": S3},
        at_once("a1", "a2"),
        invoked=[["a1"], ["a2"]],
        function=Behaviour(raises=["a1"]),
        discarded=[("RetryAttemptsExhausted", 1, ["a1"])],
    ),
    Case(
        "without MaximumRetryAttempts a batch is retried until it succeeds",
        FAILURES,
        {"BatchSize": 1},
        at_once("a1", "a2"),
        invoked=[["a1"]] * 6 + [["a2"]],
        inject=crashing(5),
    ),
    Case(
        "throttles do not consume retries",
        FAILURES,
        {"MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"]],
        inject=throttled(7),
    ),
    Case(
        "a maximum age of 60 s holds 8 invocations",
        (localstack("test_kinesis_maximum_record_age_exceeded"), Ours("the waits between these 8 invocations")),
        {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"]] * 8,
        function=Behaviour(raises=["a1"]),
        discarded=[("RecordAgeExceeded", 8, ["a1"])],
        discarded_at=60,
    ),
    Case(
        "a batch that is too old when it is read is discarded, and counts one invocation",
        localstack("test_kinesis_maximum_record_age_exceeded[expire-before-ingestion]"),
        {"MaximumRecordAgeInSeconds": 60, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        [(-61.0, "a1"), (1.0, "a2")],
        invoked=[["a2"]],
        discarded=[("RecordAgeExceeded", 1, ["a1"])],
    ),
    Case(
        "throttles end at the maximum age, with no invocation",
        FAILURES,
        {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[],
        inject=throttled(1000),
        discarded=[("RecordAgeExceeded", 1, ["a1"])],
        discarded_at=60,
    ),
    Case(
        "only the lowest reported sequence number counts",
        PARTIAL_RESPONSES,
        {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1", "a2", "a3", "a4"),
        invoked=[["a1", "a2", "a3", "a4"], ["a2", "a3", "a4"]],
        function=Behaviour(reports=["a4", "a2"]),
        discarded=[("RetryAttemptsExhausted", 1, ["a2", "a3", "a4"])],
    ),
    Case(
        "the retry count restarts after progress",
        (
            localstack("test_kinesis_report_batch_item_failures"),
            localstack("test_dynamodb_report_batch_item_failures", stream="dynamodbstreams"),
        ),
        {
            "FunctionResponseTypes": REPORT,
            "BatchSize": 3,
            "MaximumRetryAttempts": 3,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2", "a3", "a4", "a5", "a6"),
        invoked=[["a1", "a2", "a3"], ["a4", "a5", "a6"], ["a6"], ["a6"], ["a6"], ["a6"]],
        function=Behaviour(reports=["a6"]),
        discarded=[("RetryAttemptsExhausted", 4, ["a6"])],
    ),
    Case(
        "without ReportBatchItemFailures the response is ignored",
        PARTIAL_RESPONSES,
        {},
        at_once("a1", "a2"),
        invoked=[["a1", "a2"]],
        function=Behaviour(reports=["a2"]),
    ),
    *RESPONSES,
    Case(
        "bisecting isolates a record, and splitting consumes no retries",
        FAILURES,
        {"BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1", "a2", "a3", "a4"),
        invoked=[
            ["a1", "a2", "a3", "a4"],
            ["a1", "a2"],
            ["a3", "a4"],
            ["a3"],
            ["a3"],
            ["a4"],
        ],
        function=Behaviour(raises=["a3"]),
        discarded=[("RetryAttemptsExhausted", 2, ["a3"])],
    ),
    Case(
        "with both, the batch is cut at the reported record and only the rest is retried",
        PARTIAL_RESPONSES,
        {
            "BisectBatchOnFunctionError": True,
            "FunctionResponseTypes": REPORT,
            "MaximumRetryAttempts": 1,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2", "a3", "a4"),
        invoked=[["a1", "a2", "a3", "a4"], ["a3", "a4"], ["a3", "a4"]],
        function=Behaviour(reports=["a3"]),
        discarded=[("RetryAttemptsExhausted", 2, ["a3", "a4"])],
    ),
    Case(
        "with both, an exception still halves the batch",
        PARTIAL_RESPONSES,
        {
            "BisectBatchOnFunctionError": True,
            "FunctionResponseTypes": REPORT,
            "MaximumRetryAttempts": 0,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2"),
        invoked=[["a1", "a2"], ["a1"], ["a2"]],
        function=Behaviour(raises=["a2"]),
        discarded=[("RetryAttemptsExhausted", 1, ["a2"])],
    ),
    Case(
        "records of a key stay in order in parallel batches, and a failing batch does not hold up another",
        (KINESIS, Ours("which keys share a concurrent batch")),
        {"ParallelizationFactor": 10, "BatchSize": 1, "MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1", "b1", "b2"),
        invoked=[["a1"], ["a1"], ["b1"], ["b2"]],
        function=Behaviour(raises=["a1"]),
        discarded=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
]
