"""The cases of the parity report, each by a probe on the stage; all are under way at once, since AWS takes its time."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from scripts.develop.trial_leftovers import remove_probes
from tests.acceptance.evidence import Evidence
from tests.acceptance.probe import Probe, chosen
from tests.integration.deployment import System
from tests.simulation.cases import Case
from tests.simulation.stream import texts
from tests.waiting import eventually

# What the cases show of the semantics, too.
ALSO: Mapping[str, tuple[str, ...]] = {
    "MaximumRetryAttempts 1 gives two invocations": ("MaximumRetryAttempts: N retries are N+1 invocations",),
    "the retry count restarts after progress": ("progress restarts the retry count",),
    "a batch holds at most BatchSize records": ("BatchSize 1..10,000, default 100",),
    "only the lowest reported sequence number counts": ("ReportBatchItemFailures, every shape of response",),
    "with both, the batch is cut at the reported record and only the rest is retried": (
        "BisectBatchOnFunctionError, alone and with reported failures",
    ),
}
SHAPES = "only the lowest reported sequence number counts"
"""The case whose records and replies are looked at more closely."""


@dataclass(frozen=True, slots=True)
class Started:
    """A case that is under way."""

    probe: Probe
    reply: Mapping[str, Any]
    """What Lambda replied to the request for its mapping."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test of each case that is chosen."""
    if "case" in metafunc.fixturenames:
        cases = chosen(all_=metafunc.config.getoption("--all-cases"))
        marks = [pytest.mark.parity(case.name, *ALSO.get(case.name, ())) for case in cases]
        metafunc.parametrize(
            "case", [pytest.param(case, id=case.name, marks=mark) for case, mark in zip(cases, marks, strict=True)]
        )


@pytest.fixture(scope="module")
def started(system: System, request: pytest.FixtureRequest) -> Iterator[Mapping[str, Future[Started]]]:
    """The cases, begun all at once; what they have made is removed in the end."""

    def start(number: int, case: Case) -> Started:
        # The bucket's name must be nobody else's.
        probe = Probe(system.session.client, f"{system.prefix}probe-{number}-{uuid4().hex[:8]}", case.function)
        settings = dict(case.settings)
        if "DestinationConfig" in settings:
            settings["DestinationConfig"] = {"OnFailure": {"Destination": probe.bucket()}}
        source = probe.stream()
        for _, text in case.writes:
            probe.put(text, key=text[0])
        return Started(probe, probe.create_mapping(source, **settings))

    cases = chosen(all_=request.config.getoption("--all-cases"))
    try:
        # AWS creates five streams a second: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
        with ThreadPoolExecutor(4) as threads:
            yield {case.name: threads.submit(start, number, case) for number, case in enumerate(cases)}
    finally:
        remove_probes(system.session, f"{system.prefix}probe-")


def test_the_stage_does_what_the_case_says(
    started: Mapping[str, Future[Started]], case: Case, evidence: Evidence
) -> None:
    probe = started[case.name].result().probe
    eventually(lambda: len(probe.seen()) >= len(case.invoked), f"{len(case.invoked)} invocations", "mappings")
    discarded: list[dict[str, Any]] = []
    if "DestinationConfig" in case.settings:
        what = f"{len(case.discarded)} invocation records"
        eventually(lambda: len(probe.discarded()) >= len(case.discarded), what, "mappings")
        discarded = probe.discarded()

    invoked = probe.seen()
    if "ParallelizationFactor" in case.settings:
        invoked.sort(key=lambda batch: batch[0][0])
    evidence.keep(f"case: {case.name}", {"invoked": invoked, "discarded": discarded})
    assert invoked == case.invoked
    # Keys of one second are in no order: they end in a random UUID.
    assert sorted(
        (
            record["requestContext"]["condition"],
            record["requestContext"]["approximateInvokeCount"],
            texts(json.loads(record["payload"])),
        )
        for record in discarded
    ) == sorted(case.discarded)
    if case.name != SHAPES:  # whose mapping is looked at once more
        probe.delete_mappings()


@pytest.mark.parity("Kinesis records as a function sees them")
def test_a_function_sees_kinesis_records_in_their_documented_shape(
    started: Mapping[str, Future[Started]], evidence: Evidence
) -> None:
    probe = started[SHAPES].result().probe
    eventually(probe.invocations, "an invocation", "mappings")

    record = probe.invocations()[0]["event"]["Records"][0]

    evidence.keep("stream event, Kinesis", record)
    assert record.keys() == {
        *("kinesis", "eventSource", "eventVersion", "eventID", "eventName"),
        *("invokeIdentityArn", "awsRegion", "eventSourceARN"),
    }
    kinesis = record["kinesis"]
    assert kinesis.keys() == {
        *("kinesisSchemaVersion", "partitionKey", "sequenceNumber", "data", "approximateArrivalTimestamp")
    }
    assert record["eventID"] == f"shardId-000000000000:{kinesis['sequenceNumber']}"
    assert (record["eventSource"], record["eventVersion"], record["eventName"], kinesis["kinesisSchemaVersion"]) == (
        *("aws:kinesis", "1.0", "aws:kinesis:record", "1.0"),
    )
    assert base64.b64decode(kinesis["data"]) == b"a1"
    assert kinesis["approximateArrivalTimestamp"] == pytest.approx(time.time(), abs=3600)


@pytest.mark.parity(
    "invocation records: shape, and keys in S3", "OnFailure to S3, with the event as an escaped JSON string"
)
def test_a_discarded_batch_is_written_to_s3_in_its_documented_shape(
    started: Mapping[str, Future[Started]], evidence: Evidence
) -> None:
    case = started[SHAPES].result()
    eventually(case.probe.discarded, "an invocation record", "mappings")

    [record] = case.probe.discarded()

    evidence.keep("invocation record, as it is in S3", record)
    key, uuid = record.pop("key"), case.reply["UUID"]
    day, second = r"\d{4}/\d\d/\d\d", r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d"
    assert re.fullmatch(rf"aws/lambda/{uuid}/shardId-\d{{12}}/{day}/{second}-[0-9a-f-]{{36}}", key)
    assert record.keys() == {
        *("requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo", "payload")
    }
    assert record["requestContext"].keys() == {"requestId", "functionArn", "condition", "approximateInvokeCount"}
    assert record["responseContext"].keys() == {"statusCode", "executedVersion", "functionError"}
    assert record["KinesisBatchInfo"].keys() == {
        *("shardId", "startSequenceNumber", "endSequenceNumber", "approximateArrivalOfFirstRecord"),
        *("approximateArrivalOfLastRecord", "batchSize", "streamArn"),
    }
    assert isinstance(record["payload"], str), "an escaped string"
    assert len(json.loads(record["payload"])["Records"]) == record["KinesisBatchInfo"]["batchSize"]


@pytest.mark.parity("replies have every setting, with its default", "State and LastProcessingResult")
def test_a_mapping_is_described_as_aws_was_recorded_to_do(
    started: Mapping[str, Future[Started]], evidence: Evidence
) -> None:
    """LocalStack's test_create_kinesis_event_source_mapping has the reply's names."""
    case = started[SHAPES].result()
    described = case.probe.client("lambda").get_event_source_mapping(UUID=case.reply["UUID"])

    for kind, reply in (("created", case.reply), ("read", described)):
        evidence.keep(f"mapping reply, when it is {kind}", reply)
    assert described.keys() >= {
        *("UUID", "BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "EventSourceArn", "FunctionArn"),
        *("FunctionResponseTypes", "LastModified", "LastProcessingResult", "MaximumBatchingWindowInSeconds"),
        *("MaximumRecordAgeInSeconds", "MaximumRetryAttempts", "ParallelizationFactor", "StartingPosition"),
        *("State", "StateTransitionReason"),
    }
    assert (case.reply["State"], case.reply["StateTransitionReason"]) == ("Creating", "User action")
    assert case.reply["LastProcessingResult"] == "No records processed"


ABSENT = "00000000-0000-4000-8000-000000000000"
REFUSALS = [
    pytest.param(
        lambda source: {"EventSourceArn": f"{source}-absent"},
        (400, "InvalidParameterValueException"),
        marks=pytest.mark.parity("a stream that does not exist: 400 InvalidParameterValueException, with Type User"),
        id="a stream that does not exist",
    ),
    pytest.param(
        lambda source: {"EventSourceArn": source},
        (409, "ResourceConflictException"),
        marks=pytest.mark.parity(
            "the same stream and function again: 409 ResourceConflictException, with the mapping's UUID"
        ),
        id="the same stream and function again",
    ),
    pytest.param(
        lambda source: {"EventSourceArn": source, "MaximumRecordAgeInSeconds": 59},
        (400, "InvalidParameterValueException"),
        marks=pytest.mark.parity("MaximumRecordAgeInSeconds from 0 to 59: 400"),
        id="a maximum age of 59 s",
    ),
    pytest.param(
        lambda source: {"EventSourceArn": source, "BatchSize": 10_001},
        (400, "ValidationException"),
        marks=pytest.mark.parity("numbers out of range, in new and changed mappings: 400 ValidationException"),
        id="a batch size out of range",
    ),
]


@pytest.mark.parametrize(("settings", "expected"), REFUSALS)
def test_a_mapping_that_cannot_be_is_refused(
    started: Mapping[str, Future[Started]],
    evidence: Evidence,
    settings: Callable[[str], dict[str, Any]],
    expected: tuple[int, str],
) -> None:
    case = started[SHAPES].result()
    asked = settings(case.reply["EventSourceArn"])

    with pytest.raises(ClientError) as refusal:
        case.probe.client("lambda").create_event_source_mapping(
            FunctionName=case.probe.name, StartingPosition="TRIM_HORIZON", **asked
        )

    reply = refusal.value.response
    evidence.keep("mapping reply, when it is refused", {"asked": asked, "reply": reply})
    assert (reply["ResponseMetadata"]["HTTPStatusCode"], reply["Error"]["Code"]) == expected


@pytest.mark.parity("an unknown mapping: 404 ResourceNotFoundException")
def test_a_mapping_that_is_unknown_is_not_found(started: Mapping[str, Future[Started]], evidence: Evidence) -> None:
    with pytest.raises(ClientError) as refusal:
        started[SHAPES].result().probe.client("lambda").get_event_source_mapping(UUID=ABSENT)

    reply = refusal.value.response
    evidence.keep("mapping reply, when it is unknown", reply)
    assert (reply["ResponseMetadata"]["HTTPStatusCode"], reply["Error"]["Code"]) == (404, "ResourceNotFoundException")
