"""What AWS documents, or was traced to do: what is written, what the function answers, what follows.

"guide" is the AWS Lambda developer guide, "trace" a recording of AWS in LocalStack's
tests/aws/services/lambda_/event_source_mapping (aws.validated), "choice" a gap in both that is ours to fill.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.world import Fault, Luck

Texts = list[str]

REPORT = ["ReportBatchItemFailures"]
S3 = {"OnFailure": {"Destination": "arn:aws:s3:::failures"}}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A function: it raises on some texts, reports others as failures, or answers as it is told."""

    raises: Texts = field(default_factory=list)
    reports: Texts = field(default_factory=list)
    answers: Any = None


@dataclass(frozen=True, slots=True)
class Case:
    """One documented behaviour. `writes` are (seconds, text); a text's first letter is its key.

    Invocations of different keys are in no order when lanes run in parallel; `invoked` has them by key then.
    """

    name: str
    source: str
    settings: dict[str, Any]
    writes: list[tuple[float, str]]
    invoked: list[Texts]
    function: Behaviour = Behaviour()
    letters: list[tuple[str, int, Texts]] = field(default_factory=list)
    luck: Callable[[int], Luck] | None = None
    services: tuple[str, ...] = ("kinesis", "dynamodb")
    times: list[float] | None = None


def at_once(*texts: str) -> list[tuple[float, str]]:
    """Writes of one moment, before the mapping is seen."""
    return [(0.0, text) for text in texts]


def throttled(times: int) -> Callable[[int], Luck]:
    """Luck that throttles so many invocations, and then none."""
    return lambda count: Luck(Fault.THROTTLED if count < times else Fault.NONE)


def crashing(times: int) -> Callable[[int], Luck]:
    """Luck that crashes so many invocations, and then none."""
    return lambda count: Luck(Fault.CRASHED_BEFORE if count < times else Fault.NONE)


_REPORTING = "guide, Kinesis: partial batch responses"
_FAILURES = {
    "an empty identifier": {"batchItemFailures": [{"itemIdentifier": ""}]},
    "a null identifier": {"batchItemFailures": [{"itemIdentifier": None}]},
    "an identifier that is not in the batch": {"batchItemFailures": [{"itemIdentifier": "123"}]},
    "an unexpected key": {"batchItemFailures": [{"foo": 123}]},
}
_SUCCESSES = {
    "an empty list of failures": {"batchItemFailures": []},
    "a null list of failures": {"batchItemFailures": None},
    "an empty object": {},
    "null": None,
    "an empty list": [],
}

CASES = [
    Case(
        "a batch holds at most BatchSize records",
        "guide: batching behaviour",
        {"BatchSize": 2},
        at_once("a1", "a2", "a3", "a4", "a5"),
        invoked=[["a1", "a2"], ["a3", "a4"], ["a5"]],
    ),
    Case(
        "a window gathers what arrives in it",
        "guide: batching behaviour",
        {"MaximumBatchingWindowInSeconds": 10},
        [(0, "a1"), (3, "a2"), (9, "a3"), (12, "a4")],
        invoked=[["a1", "a2", "a3"], ["a4"]],
        times=[10, 20],
    ),
    Case(
        "a full batch does not wait for its window",
        "guide: batching behaviour",
        {"MaximumBatchingWindowInSeconds": 300, "BatchSize": 2},
        [(0, "a1"), (1, "a2")],
        invoked=[["a1", "a2"]],
        times=[1],
    ),
    Case(
        "MaximumRetryAttempts 1 gives two invocations",
        "trace: test_kinesis_event_source_mapping_with_on_failure_destination_config",
        {"MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"], ["a1"]],
        function=Behaviour(raises=["a1"]),
        letters=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
    Case(
        "MaximumRetryAttempts 0 gives one invocation, and the shard moves on",
        "guide, Kinesis: error handling",
        {"MaximumRetryAttempts": 0, "BatchSize": 1, "DestinationConfig": S3},
        at_once("a1", "a2"),
        invoked=[["a1"], ["a2"]],
        function=Behaviour(raises=["a1"]),
        letters=[("RetryAttemptsExhausted", 1, ["a1"])],
    ),
    Case(
        "without MaximumRetryAttempts a batch is retried until it succeeds",
        "guide, Kinesis: error handling",
        {"BatchSize": 1},
        at_once("a1", "a2"),
        invoked=[["a1"]] * 6 + [["a2"]],
        luck=crashing(5),
    ),
    Case(
        "throttles do not consume retries",
        "guide, Kinesis: error handling, before invocation",
        {"MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"]],
        luck=throttled(7),
    ),
    Case(
        "a maximum age of 60 s holds 8 invocations",
        "trace: one data point; the curve between is a choice",
        {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"]] * 8,
        function=Behaviour(raises=["a1"]),
        letters=[("RecordAgeExceeded", 8, ["a1"])],
    ),
    Case(
        "throttles end at the maximum age, with no invocation",
        "guide, Kinesis: error handling, before invocation",
        {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[],
        luck=throttled(1000),
        letters=[("RecordAgeExceeded", 0, ["a1"])],
    ),
    Case(
        "only the lowest reported sequence number counts",
        _REPORTING,
        {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1", "a2", "a3", "a4"),
        invoked=[["a1", "a2", "a3", "a4"], ["a2", "a3", "a4"]],
        function=Behaviour(reports=["a4", "a2"]),
        letters=[("RetryAttemptsExhausted", 1, ["a2", "a3", "a4"])],
    ),
    Case(
        "the retry count restarts after progress",
        "trace: test_kinesis_report_batch_item_failures",
        {
            "FunctionResponseTypes": REPORT,
            "BatchSize": 3,
            "MaximumRetryAttempts": 3,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2", "a3", "a4", "a5", "a6"),
        invoked=[["a1", "a2", "a3"], ["a4", "a5", "a6"], ["a6"], ["a6"], ["a6"], ["a6"]],
        function=Behaviour(reports=["a6"]),
        letters=[("RetryAttemptsExhausted", 4, ["a6"])],
    ),
    Case(
        "without ReportBatchItemFailures the response is ignored",
        _REPORTING,
        {},
        at_once("a1", "a2"),
        invoked=[["a1", "a2"]],
        function=Behaviour(reports=["a2"]),
    ),
    *(
        Case(
            f"{name} is a success",
            "guide and trace: test_kinesis_report_batch_item_success_scenarios",
            {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
            at_once("a1", "a2"),
            invoked=[["a1", "a2"]],
            function=Behaviour(answers=response),
        )
        for name, response in _SUCCESSES.items()
    ),
    Case(
        "an empty string is a success",
        "trace for Kinesis: test_kinesis_report_batch_item_success_scenarios; choice for DynamoDB",
        {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1", "a2"),
        invoked=[["a1", "a2"]],
        function=Behaviour(answers=""),
    ),
    *(
        Case(
            f"{name} fails the batch",
            "guide and trace: test_dynamodb_report_batch_item_failure_scenarios",
            {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 1, "DestinationConfig": S3},
            at_once("a1", "a2"),
            invoked=[["a1", "a2"], ["a1", "a2"]],
            function=Behaviour(answers=response),
            letters=[("RetryAttemptsExhausted", 2, ["a1", "a2"])],
        )
        for name, response in _FAILURES.items()
    ),
    Case(
        "an answer that is no object fails the batch",
        "choice: nothing is skipped on an answer that says nothing",
        {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[["a1"]],
        function=Behaviour(answers="Successfully processed 1 records."),
        letters=[("RetryAttemptsExhausted", 1, ["a1"])],
    ),
    Case(
        "bisecting isolates a record, and splitting consumes no retries",
        "guide: BisectBatchOnFunctionError",
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
        letters=[("RetryAttemptsExhausted", 2, ["a3"])],
    ),
    Case(
        "with both, the batch is cut at the reported record and only the rest is retried",
        "guide: partial batch responses with BisectBatchOnFunctionError",
        {
            "BisectBatchOnFunctionError": True,
            "FunctionResponseTypes": REPORT,
            "MaximumRetryAttempts": 1,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2", "a3", "a4"),
        invoked=[["a1", "a2", "a3", "a4"], ["a3", "a4"], ["a3", "a4"]],
        function=Behaviour(reports=["a3"]),
        letters=[("RetryAttemptsExhausted", 2, ["a3", "a4"])],
    ),
    Case(
        "with both, an exception still halves the batch",
        "guide: BisectBatchOnFunctionError",
        {
            "BisectBatchOnFunctionError": True,
            "FunctionResponseTypes": REPORT,
            "MaximumRetryAttempts": 0,
            "DestinationConfig": S3,
        },
        at_once("a1", "a2"),
        invoked=[["a1", "a2"], ["a1"], ["a2"]],
        function=Behaviour(raises=["a2"]),
        letters=[("RetryAttemptsExhausted", 1, ["a2"])],
    ),
    Case(
        "records of a key stay in order on parallel lanes, and a failing lane does not hold up another",
        "guide, Kinesis: ParallelizationFactor",
        {"ParallelizationFactor": 10, "BatchSize": 1, "MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1", "b1", "b2"),
        invoked=[["a1"], ["a1"], ["b1"], ["b2"]],
        function=Behaviour(raises=["a1"]),
        letters=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
]
