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
    """A function: it raises on some texts, reports others as failures, or answers as it is told.

    In an answer the text of a record stands for its sequence number; bytes are the response as it is.
    """

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
    discarded: list[tuple[str, int, Texts]] = field(default_factory=list)
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
_TRACED = f"{_REPORTING}, and trace: test_dynamodb_report_batch_item_failure_scenarios"
_CHOICE = "choice: nothing is skipped on a response that says nothing"
_WHOLE = [["a1", "a2", "a3"], ["a1"], ["a2", "a3"], ["a2"], ["a3"]]


def _response(name: str, source: str, function: "Behaviour | Any", invoked: list[Texts], *discarded: Texts) -> Case:
    """A function's response to every batch, of a mapping that bisects and does not retry, as a redrive does not."""
    return Case(
        name,
        source,
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
        _response(
            f"{name} is a success",
            "guide and trace: test_kinesis_report_batch_item_success_scenarios",
            answer,
            [["a1", "a2", "a3"]],
        )
        for name, answer in {
            "an empty list of failures": {"batchItemFailures": []},
            "a null list of failures": {"batchItemFailures": None},
            "an empty object": {},
            "null": None,
            "an empty list": [],
        }.items()
    ),
    _response(
        "an empty string is a success",
        "trace for Kinesis: test_kinesis_report_batch_item_success_scenarios; choice for DynamoDB",
        "",
        [["a1", "a2", "a3"]],
    ),
    _response("no response is a success", "choice: as null", b"", [["a1", "a2", "a3"]]),
    _response(
        "of several reported records the lowest counts",
        _REPORTING,
        _reported("a3", "a2"),
        [["a1", "a2", "a3"], ["a2", "a3"]],
        ["a2", "a3"],
    ),
    _response(
        "the first record reported is not bisected",
        "guide: partial batch responses with BisectBatchOnFunctionError",
        _reported("a1"),
        [["a1", "a2", "a3"]],
        ["a1", "a2", "a3"],
    ),
    *(
        _response(f"{name} fails the batch", source, answer, _WHOLE, ["a1"], ["a2"], ["a3"])
        for name, source, answer in (
            ("an empty identifier", _TRACED, _reported("")),
            ("a null identifier", _TRACED, _reported(None)),
            ("an identifier that is a number", _TRACED, _reported(123)),
            ("an unexpected key", _TRACED, {"batchItemFailures": [{"foo": 123}]}),
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
        "guide: BisectBatchOnFunctionError",
        Behaviour(raises=["a2"]),
        [["a1", "a2", "a3"], ["a1"], ["a2", "a3"], ["a2"], ["a3"]],
        ["a2"],
    ),
]
"""What responses mean, for the engine and for a redrive alike: tests/unit/scripts/failures/test_redrive.py."""

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
        discarded=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
    Case(
        "MaximumRetryAttempts 0 gives one invocation, and the shard moves on",
        "guide, Kinesis: error handling",
        {"MaximumRetryAttempts": 0, "BatchSize": 1, "DestinationConfig": S3},
        at_once("a1", "a2"),
        invoked=[["a1"], ["a2"]],
        function=Behaviour(raises=["a1"]),
        discarded=[("RetryAttemptsExhausted", 1, ["a1"])],
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
        discarded=[("RecordAgeExceeded", 8, ["a1"])],
    ),
    Case(
        "throttles end at the maximum age, with no invocation",
        "guide, Kinesis: error handling, before invocation",
        {"MaximumRecordAgeInSeconds": 60, "DestinationConfig": S3},
        at_once("a1"),
        invoked=[],
        luck=throttled(1000),
        discarded=[("RecordAgeExceeded", 0, ["a1"])],
    ),
    Case(
        "only the lowest reported sequence number counts",
        _REPORTING,
        {"FunctionResponseTypes": REPORT, "MaximumRetryAttempts": 0, "DestinationConfig": S3},
        at_once("a1", "a2", "a3", "a4"),
        invoked=[["a1", "a2", "a3", "a4"], ["a2", "a3", "a4"]],
        function=Behaviour(reports=["a4", "a2"]),
        discarded=[("RetryAttemptsExhausted", 1, ["a2", "a3", "a4"])],
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
        discarded=[("RetryAttemptsExhausted", 4, ["a6"])],
    ),
    Case(
        "without ReportBatchItemFailures the response is ignored",
        _REPORTING,
        {},
        at_once("a1", "a2"),
        invoked=[["a1", "a2"]],
        function=Behaviour(reports=["a2"]),
    ),
    *RESPONSES,
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
        discarded=[("RetryAttemptsExhausted", 2, ["a3"])],
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
        discarded=[("RetryAttemptsExhausted", 2, ["a3", "a4"])],
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
        discarded=[("RetryAttemptsExhausted", 1, ["a2"])],
    ),
    Case(
        "records of a key stay in order on parallel lanes, and a failing lane does not hold up another",
        "guide, Kinesis: ParallelizationFactor",
        {"ParallelizationFactor": 10, "BatchSize": 1, "MaximumRetryAttempts": 1, "DestinationConfig": S3},
        at_once("a1", "b1", "b2"),
        invoked=[["a1"], ["a1"], ["b1"], ["b2"]],
        function=Behaviour(raises=["a1"]),
        discarded=[("RetryAttemptsExhausted", 2, ["a1"])],
    ),
]
