"""How we know what AWS does: a label for every line of the parity report and every case.

A line carries one source or several, each of one of three kinds. Where a part of a line is our choice, its sources say
which part:

    sources=(Documented(PARALLEL), Ours("which keys share a lane"))

`problems` names what is wrong with a line's sources; the docs check and `make docs` fail on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Documented:
    """AWS documents it, on this page."""

    page: str
    """A URL under https://docs.aws.amazon.com/."""

    def __str__(self) -> str:
        return f"documented: [{self.page.rstrip('/').rpartition('/')[2].replace('.html', '')}]({self.page})"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Somebody recorded AWS doing it."""

    by: str
    """Who, and what the recording is called."""
    where: str
    """A URL at which the recording can be read."""

    def __str__(self) -> str:
        return f"recorded: [{self.by}]({self.where})"


@dataclass(frozen=True, slots=True)
class Ours:
    """AWS neither documents it, nor is a recording known: the choice, or the reason for it, is ours."""

    choice: str

    def __str__(self) -> str:
        return f"ours: {self.choice}"


Source = Documented | Recorded | Ours
Sources = Source | tuple[Source, ...]


def each(sources: Sources) -> tuple[Source, ...]:
    """Return the sources of a line, of which there may be one."""
    return sources if isinstance(sources, tuple) else (sources,)


def problems(line: str, sources: Sources) -> Sequence[str]:
    """Return what is wrong with the labels of a line; empty when the line can be published."""
    if not each(sources):
        return [f"{line}: says neither where AWS documents it, nor who recorded it, nor that it is our choice"]
    found = []
    for source in each(sources):
        match source:
            case Documented(page) if not page.startswith("https://docs.aws.amazon.com/"):
                found.append(f"{line}: {page!r} is no page of AWS's documentation")
            case Recorded(by, where) if not by or not where.startswith("https://"):
                found.append(f"{line}: a recording needs a name and a URL")
            case Ours(choice) if not choice.strip():
                found.append(f"{line}: says that it is our choice, but not what was chosen")
    return found


LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/"
MAPPINGS = Documented(f"{LAMBDA}invocation-eventsourcemapping.html")
KINESIS = Documented(f"{LAMBDA}with-kinesis.html")
DYNAMODB = Documented(f"{LAMBDA}with-ddb.html")
KINESIS_FAILURES = Documented(f"{LAMBDA}kinesis-on-failure-destination.html")
DYNAMODB_FAILURES = Documented(f"{LAMBDA}services-dynamodb-errors.html")
KINESIS_RESPONSES = Documented(f"{LAMBDA}services-kinesis-batchfailurereporting.html")
DYNAMODB_RESPONSES = Documented(f"{LAMBDA}services-ddb-batchfailurereporting.html")
METRICS = Documented(f"{LAMBDA}monitoring-metrics-types.html")
FILTERING = Documented(f"{LAMBDA}invocation-eventfiltering.html")
WINDOWS = Documented(f"{LAMBDA}services-kinesis-windows.html")
EXECUTION_ROLE = Documented(f"{LAMBDA}lambda-intro-execution-role.html")
LOGS = Documented(f"{LAMBDA}monitoring-cloudwatchlogs.html")
CREATE_MAPPING = Documented("https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html")
MAPPING_REPLY = Documented("https://docs.aws.amazon.com/lambda/latest/api/API_EventSourceMappingConfiguration.html")
RESHARDING = Documented("https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html")
UPDATE_SHARD_COUNT = Documented("https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html")

FAILURES = (KINESIS_FAILURES, DYNAMODB_FAILURES)
PARTIAL_RESPONSES = (KINESIS_RESPONSES, DYNAMODB_RESPONSES)


def localstack_api(test: str) -> Recorded:
    """Name a recording of AWS's Lambda API that LocalStack's tests compare with ("aws.validated")."""
    commit = "8b9a79f05846835cf4dff63ab7eefdde9df83783"
    file = "tests/aws/services/lambda_/test_lambda_api.snapshot.json"
    return Recorded(f"LocalStack's {test}", f"https://github.com/localstack/localstack/blob/{commit}/{file}")


def localstack(test: str, *, stream: str = "kinesis") -> Recorded:
    """Name a recording of AWS, of November 2025, that LocalStack's tests compare with ("aws.validated").

    `stream` is kinesis or dynamodbstreams, whichever the test is of.
    """
    commit = "8b9a79f05846835cf4dff63ab7eefdde9df83783"
    folder = "tests/aws/services/lambda_/event_source_mapping"
    file = f"test_lambda_integration_{stream}.snapshot.json"
    return Recorded(f"LocalStack's {test}", f"https://github.com/localstack/localstack/blob/{commit}/{folder}/{file}")
