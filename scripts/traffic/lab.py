"""Walk the lab's Tasks 1 to 5 on a stage, and check all that its guide says one should see: `make lab`."""

import functools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import typer
from botocore.exceptions import ClientError

from scripts.deploy.smoke import forget
from scripts.deployment import Deployed, deployed
from scripts.observe.logs import lines
from scripts.stage import LOCAL, StageName
from scripts.traffic.invoke import Execution, invoke, read_event

_KINESIS, _AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
_SECONDS = 60.0
_METRIC_SECONDS = 300.0  # CloudWatch shows a metric some minutes after it happened
_INVOCATIONS = 4
_METRICS: dict[str, Literal["Sum", "SampleCount"]] = {"Invocations": "Sum", "Duration": "SampleCount"}
"""Which statistic of a metric tells how many invocations it is of."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the guide says one should see."""

    task: str
    what: str
    look: Callable[[], str | None]
    """What is seen; None for nothing. May raise ClientError."""
    seconds: float = 0
    """For how long to look again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of a check."""

    task: str
    what: str
    ok: bool
    seen: str


def walk(checks: Iterator[Check]) -> Iterator[Seen]:
    """Do the checks in their order, each until it sees something or its time is up."""
    for check in checks:
        deadline = time.monotonic() + check.seconds
        while True:
            try:
                seen, problem = check.look(), "not seen"
            except ClientError as error:
                seen, problem = None, str(error)
            if seen is not None or time.monotonic() >= deadline:
                break
            time.sleep(0.5)
        yield Seen(check.task, check.what, seen is not None, seen or problem)


class Lab:
    """One walk through the lab, with users and records that nobody else has."""

    def __init__(self, system: Deployed, now: datetime) -> None:
        self._system, self._session = system, system.session
        self._started = now
        # Below zero, where no game's are.
        self._tested_record, self._stored_record = (-int(now.timestamp() * 1000) * 10 - n for n in (0, 1))
        self._tested_user, self._stored_user = (f"{name} (lab {now:%Y%m%d%H%M%S})" for name in ("Jane Doe", "John Doe"))
        self._score = json.loads(read_event("score"))["Records"][0]

    def checks(self) -> Iterator[Check]:
        """All five tasks."""
        yield from self._stream()
        yield from self._stream_function()
        yield from self._test_of_the_stream_function()
        yield from self._tables()
        yield from self._table_function()

    @contextmanager
    def cleaned_up(self) -> Iterator[None]:
        """Take back, at the end, what the walk has counted; its tombstones in the ledger expire by themselves."""
        try:
            yield
        finally:
            self._records.delete_item(Key={"RecordID": self._stored_record})
            self._invoke_aggregate("REMOVE", "112")
            for user in (self._tested_user, self._stored_user):
                forget(self._totals, user)

    def _stream(self) -> Iterator[Check]:
        def active() -> str | None:
            kinesis, name = self._session.client("kinesis"), self._system.outputs["stream"]["name"]
            stream = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
            return f"open shards: {stream['OpenShardCount']}" if stream["StreamStatus"] == "ACTIVE" else None

        yield Check("Task 1: Create an Amazon Kinesis Stream", "the stream Demo-Stream is active", active)

    def _stream_function(self) -> Iterator[Check]:
        task = "Task 2: Create a Lambda Function"
        yield Check(task, f"the function {_KINESIS}", lambda: self._active(_KINESIS))
        yield Check(task, "its trigger, Demo-Stream, is enabled", lambda: self._triggered(_KINESIS, "kinesis"))
        payload = f"Hello from {self._stored_user}"
        self._session.client("kinesis").put_record(
            StreamName=self._system.outputs["stream"]["name"], PartitionKey="lab", Data=payload.encode()
        )
        yield Check(task, "it runs when data is sent to the stream", lambda: self._logged(payload), _SECONDS)

    def _test_of_the_stream_function(self) -> Iterator[Check]:
        task = "Task 3: Test your Function"
        event, function = read_event("stream"), self._system.function(_KINESIS)
        test = functools.cache(lambda: invoke(self._session, function["live_arn"], event))
        yield Check(task, "Execution result: succeeded", lambda: _succeeded(test()))
        yield Check(task, "Details: duration, resources, maximum memory used", lambda: _resources(test()))
        yield Check(
            task,
            "the decoded payload in the log output",
            lambda: _line(test(), "Decoded payload: Hello, this is a test 123."),
        )
        for _ in range(_INVOCATIONS - 1):
            invoke(self._session, function["live_arn"], event)
        for metric, statistic in _METRICS.items():
            look = functools.partial(self._measured, function["name"], metric, statistic)
            yield Check(task, f"the metric {metric} after four invocations", look, _METRIC_SECONDS)

    def _tables(self) -> Iterator[Check]:
        task = "Task 4: Create Tables in DynamoDB"
        for table, key in (("GameScoreRecords", "RecordID (N)"), ("GameScoresByUser", "Username (S)")):
            yield Check(task, f"the table {table}, by {key}", functools.partial(self._keyed, table, key))
        yield Check(task, "the stream of GameScoreRecords, with new images", self._streaming)

    def _table_function(self) -> Iterator[Check]:
        task = "Task 5: Create a Lambda Function"
        yield Check(task, f"the function {_AGGREGATE}", lambda: self._active(_AGGREGATE))
        yield Check(task, "its trigger, GameScoreRecords, is enabled", lambda: self._triggered(_AGGREGATE, "dynamodb"))
        test = functools.cache(lambda: self._invoke_aggregate("INSERT", "111"))
        yield Check(task, "Execution result: succeeded", lambda: _succeeded(test()))
        yield Check(
            task, "Successfully processed 1 records.", lambda: _line(test(), "Successfully processed 1 records.")
        )
        yield Check(task, "an entry for Jane Doe in GameScoresByUser", lambda: self._total(self._tested_user))
        self._records.put_item(Item={"RecordID": self._stored_record, "Username": self._stored_user, "Score": 42})
        yield Check(
            task,
            "an entry for the user of an item created in GameScoreRecords",
            lambda: self._total(self._stored_user),
            _SECONDS,
        )

    def _active(self, function: str) -> str | None:
        name = self._system.function(function)["name"]
        found = self._session.client("lambda").get_function_configuration(FunctionName=name)
        return found["Runtime"] if found.get("State") == "Active" else None

    def _triggered(self, function: str, service: str) -> str | None:
        uuid = self._system.function(function)["mapping_uuid"]
        mapping = self._session.client("lambda").get_event_source_mapping(UUID=uuid)
        source = mapping["EventSourceArn"]
        return source if mapping["State"] == "Enabled" and source.split(":")[2] == service else None

    def _logged(self, payload: str) -> str | None:
        groups = {_KINESIS: self._system.function(_KINESIS)["log_group"]}
        # The clocks of this machine and of AWS may differ.
        found = lines(self._session.client("logs"), groups, self._started - timedelta(minutes=1))
        return next((f"Decoded payload: {payload}" for line in found if payload in line.message), None)

    def _measured(self, function: str, metric: str, statistic: Literal["Sum", "SampleCount"]) -> str | None:
        points: Any = self._session.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=metric,
            Dimensions=[{"Name": "FunctionName", "Value": function}],
            StartTime=self._started.replace(second=0, microsecond=0),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=[statistic],
        )["Datapoints"]
        seen = sum(point[statistic] for point in points)
        return f"{seen:.0f} of them" if seen >= _INVOCATIONS else None

    def _keyed(self, name: str, key: str) -> str | None:
        table = self._session.client("dynamodb").describe_table(TableName=self._system.table(name)["name"])["Table"]
        types = {each["AttributeName"]: each["AttributeType"] for each in table["AttributeDefinitions"]}
        (hash_key,) = (each["AttributeName"] for each in table["KeySchema"])
        return table["TableStatus"] if f"{hash_key} ({types[hash_key]})" == key else None

    def _streaming(self) -> str | None:
        name = self._system.table("GameScoreRecords")["name"]
        stream = self._session.client("dynamodb").describe_table(TableName=name)["Table"].get("StreamSpecification")
        return stream["StreamViewType"] if stream and stream.get("StreamViewType") == "NEW_IMAGE" else None

    def _invoke_aggregate(self, event_name: str, sequence_number: str) -> Execution:
        """Invoke with the lab's own event, but for its user and record."""
        key = {"RecordID": {"N": str(self._tested_record)}}
        body = {**self._score["dynamodb"], "Keys": key, "SequenceNumber": sequence_number}
        if event_name == "REMOVE":
            del body["NewImage"]
        else:
            body["NewImage"] = {**body["NewImage"], **key, "Username": {"S": self._tested_user}}
        record = {**self._score, "eventName": event_name, "dynamodb": body}
        event, function = json.dumps({"Records": [record]}).encode(), self._system.function(_AGGREGATE)
        return invoke(self._session, function["live_arn"], event)

    def _total(self, username: str) -> str | None:
        item = self._totals.get_item(Key={"Username": username}, ConsistentRead=True).get("Item")
        return f"Score {item['Score']}" if item else None

    @property
    def _records(self) -> Any:
        return self._session.resource("dynamodb").Table(self._system.table("GameScoreRecords")["name"])

    @property
    def _totals(self) -> Any:
        return self._session.resource("dynamodb").Table(self._system.table("GameScoresByUser")["name"])


def _succeeded(execution: Execution) -> str | None:
    return None if execution.error else json.dumps(execution.response)


def _resources(execution: Execution) -> str | None:
    report = execution.report
    if report is None:
        return None
    return (
        f"{report.duration_ms} ms, {report.billed_ms} ms billed, {report.memory_used_mb} of {report.memory_mb} MB used"
    )


def _line(execution: Execution, text: str) -> str | None:
    return text if text in execution.log else None


def main(
    stage: StageName = LOCAL,
    as_json: bool = typer.Option(False, "--json", help="print the checklist as JSON"),
) -> None:
    """Walk the lab's five tasks; exit 1 when something is missing that its guide says one should see."""
    lab = Lab(deployed(stage), datetime.now(UTC))
    checklist: list[Seen] = []
    with lab.cleaned_up():
        for seen in walk(lab.checks()):
            if not as_json:
                _print(seen, is_first_of_task=seen.task not in (each.task for each in checklist))
            checklist.append(seen)
    missing = sum(not seen.ok for seen in checklist)
    if as_json:
        typer.echo(json.dumps([asdict(seen) for seen in checklist]))
    else:
        typer.echo(f"\nSeen: {len(checklist) - missing} of {len(checklist)}")
    if missing:
        raise typer.Exit(1)


def _print(seen: Seen, *, is_first_of_task: bool) -> None:
    if is_first_of_task:
        typer.secho(f"\n{seen.task}", bold=True)
    mark = typer.style("seen   ", fg=typer.colors.GREEN) if seen.ok else typer.style("MISSING", fg=typer.colors.RED)
    typer.echo(f"  {mark} {seen.what}\n          {typer.style(seen.seen[:200], dim=True)}")
