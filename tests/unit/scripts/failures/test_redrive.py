"""Redriving: every record ends up done and set aside, or failing and kept, whatever happens meanwhile."""

import io
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws
from typer.testing import CliRunner

from handlers.shared.parking import parked_document
from localcloud.engine.delivery import PAYLOAD_BYTES
from scripts.cli import UserError
from scripts.failures.failures import as_document, as_line
from scripts.failures.failures import main as failures_command
from scripts.failures.redrive import Outcome, Result, Target, invoke, redrive, redrive_all
from scripts.failures.redrive import main as redrive_command
from scripts.failures.redrive import targets as find_targets
from scripts.failures.replay import Answer, event, groups, interpret, replay
from scripts.failures.store import Failure, FailureBucket, Record
from scripts.timespan import since
from tests.fakes.discarded import KEY, dynamodb_invocation_record, kinesis_invocation_record
from tests.fakes.stream import insert
from tests.simulation.behaviour import behave
from tests.simulation.cases import RESPONSES, Case
from tests.simulation.stream import dynamodb_record, kinesis_record, sequences, texts

NAME = "failures"
FUNCTION = "AggregateScoresByUser"
REPORTED = "The function reported it as failed; its log says why"
TOO_OLD = "older than 35 days, and the ledger holds no earlier change of its item"
DISCARDED_AT = datetime(2025, 11, 23, 10, 0, 0, 21_000, UTC)


def record(number: int) -> Record:
    return dict(insert(number, number, "ann", "1"))


class Store:
    """The bucket, as the function and AWS write to it."""

    def __init__(self) -> None:
        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=NAME)
        self.client.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
        self.bucket = FailureBucket(self.client, NAME)

    def put(self, key: str, text: str) -> None:
        self.client.put_object(Bucket=NAME, Key=key, Body=text.encode())

    def park(self, number: int, reason: str = "Score is missing") -> str:
        key = f"parked/{FUNCTION}/2026-11-23/event-{number}.json"
        self.put(key, parked_document(FUNCTION, record(number), reason))
        return key

    def discard(self, *numbers: int, **fields: Any) -> None:
        """Put an invocation record as AWS writes it."""
        self.put(KEY, json.dumps(dynamodb_invocation_record([record(number) for number in numbers], **fields)))

    def document(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.client.get_object(Bucket=NAME, Key=key)["Body"].read()))

    def failure(self) -> Failure:
        (failure,) = self.failures()
        return failure

    def failures(self) -> list[Failure]:
        return list(self.bucket.failures())

    def names(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=NAME).get("Contents", [])]

    def redrive(self, invoke: Callable[[Sequence[Record]], Answer], batch_size: int = 100) -> list[Result]:
        target = Target(invoke, batch_size)
        return [
            result for group in groups(self.failures(), batch_size) for result in redrive(group, self.bucket, target)
        ]


@pytest.fixture
def store() -> Iterator[Store]:
    with mock_aws():
        yield Store()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """S3's clock, which each call moves on by an hour."""
    hours = itertools.count(1)

    def move() -> None:
        now = datetime.now(UTC) + timedelta(hours=next(hours))
        monkeypatch.setattr("moto.s3.models.utcnow", lambda: now.replace(tzinfo=None))

    return move


def succeed(records: Sequence[Record]) -> Answer:
    return Answer(len(records))


def fail(records: Sequence[Record]) -> Answer:
    return Answer(0, "throttled")


def never(records: Sequence[Record]) -> Answer:
    raise AssertionError(f"{len(records)} records were replayed")


def crash_on(*numbers: int) -> Callable[[Sequence[Record]], Answer]:
    """A function that crashes whenever it meets one of these records."""
    bad = {str(number) for number in numbers}

    def invoke(records: Sequence[Record]) -> Answer:
        if any(each["dynamodb"]["SequenceNumber"] in bad for each in records):
            return Answer(None, "Error: bad")
        return Answer(len(records))

    return invoke


def outcomes(results: Sequence[Result]) -> list[tuple[Outcome, str]]:
    return [(result.outcome, result.reason) for result in results]


def test_parked_records_and_discarded_batches_are_listed_with_their_functions_and_reasons(store: Store) -> None:
    store.park(1)
    store.discard(2, 3)
    store.put("redriven/parked/F/2026-11-23/old.json", "{}")

    assert [(each.function, each.reason, each.records) for each in store.failures()] == [
        (FUNCTION, "Score is missing", [record(1)]),
        (FUNCTION, "RetryAttemptsExhausted after 3 invocations: Unhandled", [record(2), record(3)]),
    ]


def test_a_discarded_batch_of_kinesis_is_read_too(store: Store) -> None:
    sent = kinesis_record("arn:aws:kinesis:us-east-1:1:stream/s", "k", "text", "7", "shardId-1", 1_795_392_000.25)
    store.put(KEY, json.dumps(kinesis_invocation_record([sent])))

    assert (store.failure().records, store.failure().oldest) == (
        [sent],
        datetime.fromtimestamp(1_795_392_000.25, UTC),
    )


def test_an_object_in_the_place_of_the_escaped_string_is_read_too(store: Store) -> None:
    store.discard(payload={"Records": [record(1)]})

    assert store.failure().records == [record(1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"responseContext": {"functionError": None}},
            "RetryAttemptsExhausted after 3 invocations: reported by the function",
        ),
        ({"requestContext": None}, "The object is neither a parked record nor an invocation record"),
    ],
)
def test_a_reason_is_found_in_every_invocation_record(store: Store, fields: dict[str, Any], reason: str) -> None:
    store.discard(1, **fields)

    assert store.failure().reason == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("?", "cannot be read: the object is not JSON ("),
        ("[]", "cannot be read: the object is not a JSON object"),
        (
            json.dumps(dynamodb_invocation_record([], payload='{"Records": [tr')),
            "RetryAttemptsExhausted after 3 invocations: Unhandled; cannot be read: the payload is not JSON (",
        ),
        (
            json.dumps(dynamodb_invocation_record([], payload=None)),
            "RetryAttemptsExhausted after 3 invocations: Unhandled; cannot be read: the payload is not an event with",
        ),
    ],
)
def test_what_cannot_be_read_is_listed_with_that_reason_and_left_alone(store: Store, text: str, reason: str) -> None:
    store.put(KEY, text)

    assert store.failure().reason.startswith(reason)
    assert "records: not known" in as_line(store.failure())
    assert json.loads(as_document(store.failure()))["records"] is None
    for dry_run in (True, False):
        results = [*redrive_all(store.failures(), store.bucket, {FUNCTION: Target(fail, 10)}, dry_run=dry_run)]
        assert outcomes(results) == [(Outcome.UNREADABLE, store.failure().reason)]
    assert store.names() == [KEY]


class System:
    """A deployed stage, as far as the commands ask it."""

    outputs: Mapping[str, Any] = {"failure_bucket": NAME}

    def __init__(self, client: Callable[..., Any]) -> None:
        self.session = SimpleNamespace(client=client)

    def function(self, name: str) -> Mapping[str, str]:
        return {"name": name}


@pytest.fixture
def command(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command on the bucket, with this function; its exit code, and what it printed."""

    def run(main: Callable[..., None], invoke: Callable[[Sequence[Record]], Answer], *options: str) -> tuple[int, str]:
        system = System(lambda _: store.client)
        monkeypatch.setattr(f"{main.__module__}.deployed", {"a stage": system}.__getitem__)
        monkeypatch.setattr("scripts.failures.redrive.targets", {system: {FUNCTION: Target(invoke, 10)}}.__getitem__)
        app = typer.Typer()
        app.command()(main)
        done = CliRunner().invoke(app, ["--stage", "a stage", *options])
        return done.exit_code, done.stdout

    return run


Command = Callable[..., tuple[int, str]]


def test_the_exit_code_of_a_redrive_says_whether_anything_is_left(store: Store, command: Command) -> None:
    assert command(redrive_command, succeed) == (0, "Nothing has failed.\n")

    first = store.park(1)
    code, text = command(redrive_command, fail)
    assert (code, "failing 1." in text) == (2, True)
    code, text = command(redrive_command, never, "--dry-run")
    assert (code, "skipped 1." in text, "This is a dry run" in text) == (0, True, True)
    code, text = command(redrive_command, never, "--dry-run", "--json")
    assert [json.loads(line) for line in text.splitlines()] == [
        {
            "key": first,
            "function": FUNCTION,
            "records": 1,
            "outcome": "skipped",
            "reason": "This is a dry run",
        }
    ]
    code, text = command(redrive_command, never, "--dry-run")
    assert command(redrive_command, never, "--since", "1h", "--function", FUNCTION, "--dry-run")[1] == text
    assert command(redrive_command, never, "--since", "2100-01-01T00:00:00Z") == (0, "Nothing has failed.\n")
    key = store.park(2)
    code, text = command(redrive_command, lambda records: Answer(len(records) - 1, "throttled"))
    assert (code, text.splitlines()[-1]) == (2, "Objects: redriven 1, failing 1.")
    code, text = command(redrive_command, succeed)
    assert (code, text) == (0, f"redriven    {key}  records: 1\nObjects: redriven 1.\n")


def test_what_failed_at_the_very_moment_is_among_what_failed_since(store: Store) -> None:
    key = store.park(1)

    assert [each.key for each in store.bucket.failures(since=store.failure().modified)] == [key]


def test_what_failed_before_hides_nothing_that_failed_since(store: Store, clock: Callable[[], None]) -> None:
    clock()
    store.park(1)
    since = store.failure().modified
    clock()
    clock()
    later = store.park(2)

    assert [each.key for each in store.bucket.failures(since=since + timedelta(hours=1))] == [later]


def test_every_page_of_the_bucket_is_looked_at(store: Store) -> None:
    one_a_page: Any = lambda params, **_: {**params, "MaxKeys": 1}  # noqa: E731
    store.client.meta.events.register("provide-client-params.s3.ListObjectsV2", one_a_page)
    keys = [store.park(number) for number in range(1, 4)]

    assert [each.key for each in store.bucket.failures()] == keys


def test_only_the_failures_of_a_function_are_redriven_when_it_is_named(store: Store, command: Command) -> None:
    key = store.park(1)
    store.put("parked/Other/2026-11-23/event-9.json", parked_document("Other", record(9), "why"))

    code, text = command(redrive_command, succeed, "--function", FUNCTION)

    assert (code, text) == (0, f"redriven    {key}  records: 1\nObjects: redriven 1.\n")


def test_what_becomes_of_an_object_is_told_in_a_word() -> None:
    assert sorted(Outcome) == ["failing", "overtaken", "redriven", "skipped", "unreadable"]


def test_the_help_says_what_each_option_is_for() -> None:
    app = typer.Typer(add_completion=False)
    app.command()(redrive_command)

    helps = {option.name: getattr(option, "help", None) for option in typer.main.get_command(app).params}

    assert helps | {"stage": ""} == {
        "stage": "",
        "since": "only what first failed since: 15m, 2h, 7d, or a time",
        "function": "only this function, by its name in the lab",
        "dry_run": "say what would be replayed, and replay nothing",
        "as_json": "one JSON document a line",
    }


def test_a_redrive_of_what_cannot_be_read_exits_as_one_that_fails(store: Store, command: Command) -> None:
    store.discard(payload="?")

    code, text = command(redrive_command, succeed)
    assert (code, "records: not known" in text, "unreadable 1." in text) == (2, True, True)
    code, text = command(redrive_command, succeed, "--json")
    assert (code, json.loads(text)["records"], json.loads(text)["outcome"]) == (2, None, "unreadable")
    assert command(redrive_command, succeed, "--dry-run")[0] == 0


def test_a_listing_counts_what_can_be_read_and_names_what_cannot(store: Store, command: Command) -> None:
    assert command(failures_command, succeed) == (0, "Nothing has failed.\n")

    store.discard(1, 2)
    assert command(failures_command, succeed)[1].endswith("\nFailed records: 2, in 1 objects.\n")

    store.put(f"{KEY}-2", "?")
    code, text = command(failures_command, succeed)
    assert code == 0
    assert text.endswith("Failed records: 2, in 2 objects.\nObjects that cannot be read, and are not counted: 1.\n")


def test_an_object_without_records_is_skipped(store: Store) -> None:
    store.discard()

    assert outcomes(store.redrive(succeed)) == [(Outcome.SKIPPED, "The object holds no records")]
    assert json.loads(as_document(store.failure()))["records"] == 0


def test_an_object_without_records_keeps_no_other_from_being_replayed(store: Store) -> None:
    empty = "parked/" + FUNCTION + "/2026-11-23/event-0.json"
    store.put(empty, json.dumps({"function": FUNCTION, "payload": {"Records": []}}))
    store.park(1)

    assert [verdict for verdict, _ in outcomes(store.redrive(succeed))] == [Outcome.SKIPPED, Outcome.REDRIVEN]


def test_failures_can_be_narrowed_to_a_time_and_a_function(store: Store) -> None:
    store.park(1)
    now = datetime.now(UTC)

    assert len(list(store.bucket.failures(now - timedelta(hours=1), FUNCTION))) == 1
    assert list(store.bucket.failures(now + timedelta(hours=1))) == []
    assert list(store.bucket.failures(function="Other")) == []
    store.discard(2)
    assert [each.key for each in store.bucket.failures(function=FUNCTION)][1:] == [KEY]
    assert list(store.bucket.failures(function="Other")) == []


def test_a_parked_object_that_cannot_be_read_belongs_to_the_function_of_its_key(store: Store) -> None:
    store.put(f"parked/{FUNCTION}/2026-11-23/event.json", "?")

    assert [each.function for each in store.bucket.failures(function=FUNCTION)] == [FUNCTION]
    store.put(KEY, "?")
    assert [each.function for each in store.bucket.failures()] == [FUNCTION, ""], "the key of a batch says nothing"


def test_a_batch_failed_when_lambda_discarded_it_not_when_the_object_was_written(store: Store) -> None:
    store.discard(1)

    assert store.failure().failed_at == DISCARDED_AT
    assert store.failure().modified > DISCARDED_AT
    assert list(store.bucket.failures(DISCARDED_AT)) == store.failures()
    assert list(store.bucket.failures(DISCARDED_AT + timedelta(seconds=1))) == []


def test_a_redrive_that_fails_changes_no_failures_time(store: Store) -> None:
    key = store.park(1)
    store.discard(2)
    parked, batch = store.failures()

    store.redrive(fail)

    assert [each.reason for each in store.failures()] == ["throttled", "throttled"]
    assert [each.failed_at for each in store.failures()] == [parked.failed_at, batch.failed_at]
    assert store.document(key)["failedAt"] == parked.failed_at.isoformat()


def test_a_record_that_is_parked_again_failed_when_it_first_did(store: Store, clock: Callable[[], None]) -> None:
    store.park(1)
    first = store.failure().failed_at

    def park_again(records: Sequence[Record]) -> Answer:
        clock()
        store.park(1, TOO_OLD)
        return Answer(1)

    for _ in range(2):
        assert outcomes(store.redrive(park_again)) == [(Outcome.FAILING, TOO_OLD)]
        clock()

    failure = store.failure()
    assert failure.modified > first + timedelta(hours=1)
    assert (failure.failed_at, failure.reason, failure.records) == (first, TOO_OLD, [record(1)])
    assert list(store.bucket.failures(since=first + timedelta(seconds=1))) == []


def test_an_object_that_somebody_spoils_meanwhile_is_left_as_it_is(store: Store, clock: Callable[[], None]) -> None:
    key = store.park(1)

    def spoil(records: Sequence[Record]) -> Answer:
        clock()
        store.put(key, "?")
        return Answer(1)

    ((verdict, reason),) = outcomes(store.redrive(spoil))

    assert (verdict, "cannot be read" in reason) == (Outcome.FAILING, True)


def test_a_record_parked_after_it_was_redriven_failed_anew(store: Store, clock: Callable[[], None]) -> None:
    store.park(1)
    first = store.failure().failed_at
    store.redrive(succeed)
    clock()

    store.park(1)

    assert store.failure().failed_at > first


def test_a_listing_says_when_the_oldest_record_was_written(store: Store) -> None:
    later, earlier = record(1), record(2)
    later["dynamodb"]["ApproximateCreationDateTime"] += 60
    store.put(KEY, json.dumps(dynamodb_invocation_record([later, earlier])))

    assert as_line(store.failure()) == (
        f"2025-11-23 10:00:00  {FUNCTION}  records: 2 (oldest: 2026-11-23 00:00:00)"
        f"  RetryAttemptsExhausted after 3 invocations: Unhandled\n    {KEY}"
    )
    assert json.loads(as_document(store.failure())) == {
        "key": KEY,
        "function": FUNCTION,
        "failed_at": DISCARDED_AT.isoformat(),
        "oldest_record_at": "2026-11-23T00:00:00+00:00",
        "records": 2,
        "reason": "RetryAttemptsExhausted after 3 invocations: Unhandled",
    }


@pytest.mark.parametrize(
    "odd", [5, None, "text", {}, {"dynamodb": 1}, {"kinesis": {"approximateArrivalTimestamp": "now"}}]
)
def test_a_record_of_any_form_is_replayed_and_has_no_time(store: Store, odd: Any) -> None:
    store.put(KEY, json.dumps(dynamodb_invocation_record([odd])))

    assert store.failure().oldest is None
    assert interpret(b"{}", None, [odd]) == Answer(1)
    assert outcomes(store.redrive(succeed)) == [(Outcome.REDRIVEN, "")]


def test_what_succeeds_is_set_aside(store: Store) -> None:
    key = store.park(1)
    store.discard(2, 3)

    results = store.redrive(succeed)

    assert outcomes(results) == [(Outcome.REDRIVEN, "")] * 2
    assert store.names() == [f"redriven/{KEY}", f"redriven/{key}"]
    assert store.redrive(succeed) == []


@pytest.mark.parametrize("payload", ["escaped", "object"])
def test_what_fails_stays_with_its_new_reason_and_only_the_records_that_still_fail(store: Store, payload: str) -> None:
    records = [record(number) for number in range(1, 6)]
    fields: dict[str, Any] = {} if payload == "escaped" else {"payload": {"Records": records}}
    store.put(KEY, json.dumps(dynamodb_invocation_record(records, **fields)))

    results = store.redrive(crash_on(2, 5))

    assert outcomes(results) == [(Outcome.FAILING, "Error: bad")]
    failure = store.failure()
    assert (failure.records, failure.reason, failure.function) == ([record(2), record(5)], "Error: bad", FUNCTION)
    assert isinstance(store.document(KEY)["payload"], str if payload == "escaped" else dict)


@pytest.mark.parametrize("how", ["parked", "discarded"])
def test_an_invocation_gets_as_many_records_as_a_batch_has(how: str, store: Store) -> None:
    if how == "parked":
        for number in range(1, 6):
            store.park(number)
    else:
        store.discard(*range(1, 6))
    sizes: list[int] = []

    def invoke(records: Sequence[Record]) -> Answer:
        sizes.append(len(records))
        return Answer(len(records))

    store.redrive(invoke, batch_size=3)

    assert sizes == [3, 2]


def test_each_record_is_replayed_through_its_own_function_in_its_batches(store: Store) -> None:
    for number in range(1, 5):
        store.park(number)
    store.put("parked/Other/2026-11-23/event-9.json", parked_document("Other", record(9), "why"))
    store.put("parked/Gone/2026-11-23/event-8.json", parked_document("Gone", record(8), "why"))
    invoked: list[tuple[str, list[str]]] = []

    def target(name: str, batch_size: int) -> Target:
        def invoke(records: Sequence[Record]) -> Answer:
            invoked.append((name, [each["dynamodb"]["SequenceNumber"] for each in records]))
            return Answer(len(records))

        return Target(invoke, batch_size)

    targets = {FUNCTION: target(FUNCTION, 3), "Other": target("Other", 1)}
    results = list(redrive_all(store.failures(), store.bucket, targets))

    assert invoked == [(FUNCTION, ["1", "2", "3"]), (FUNCTION, ["4"]), ("Other", ["9"])]
    assert [result.reason for result in results if result.outcome is Outcome.SKIPPED] == [
        "This stage has no such function"
    ]


def test_every_reason_is_kept(store: Store) -> None:
    store.discard(1, 2, 3)

    def crash(records: Sequence[Record]) -> Answer:
        numbers = [each["dynamodb"]["SequenceNumber"] for each in records]
        return Answer(None, f"Error: {numbers[0]}") if numbers != ["2"] else Answer(1)

    assert outcomes(store.redrive(crash)) == [(Outcome.FAILING, "Error: 1; Error: 3")]


def test_no_more_objects_than_fill_a_batch_are_held_at_once(store: Store) -> None:
    for number in range(1, 6):
        store.park(number)

    failures = store.failures()

    assert [len(group) for group in groups(failures, 2)] == [2, 2, 1]
    assert [len(group) for group in groups([replace(each, records=()) for each in failures], 2)] == [5]


def test_a_function_is_invoked_by_its_alias_and_waited_for_as_long_as_it_may_take() -> None:
    class Client:
        def get_event_source_mapping(self, **parameters: str) -> dict[str, int]:
            return {"BatchSize": {"uuid-1": 7}[parameters["UUID"]]}

        def invoke(self, **parameters: Any) -> dict[str, Any]:
            assert parameters == {"FunctionName": "arn:live", "Payload": event([record(1)])}
            return {"Payload": io.BytesIO(b"null"), "FunctionError": "Unhandled"}

    configs: list[Any] = []

    def client(service: str, config: Any) -> Client:
        assert service == "lambda"
        configs.append(config)
        return Client()

    system: Any = System(client)
    system.outputs = {"functions": {"A": {"name": "physical", "live_arn": "arn:live", "mapping_uuid": "uuid-1"}}}

    ((name, target),) = find_targets(system).items()

    assert (name, target.batch_size) == ("physical", 7)
    assert target.invoke([record(1)]) == Answer(None, "Unhandled: "), "a function that fails has done nothing"
    assert configs[0].read_timeout == 910, "or botocore would invoke it once more beside the first"
    assert configs[0].retries == {"mode": "standard", "total_max_attempts": 5}


@pytest.mark.parametrize("reason", ["Score is missing", "Username is missing"])
def test_a_record_that_the_function_parks_again_is_failing_still(store: Store, reason: str) -> None:
    key = store.park(1)

    def park_again(records: Sequence[Record]) -> Answer:
        store.park(1, reason)
        return Answer(1)

    (result,) = store.redrive(park_again)
    assert (result.failure.key, result.outcome, result.reason) == (key, Outcome.FAILING, reason)
    assert store.names() == [key]


def test_of_two_redrives_at_once_the_later_one_changes_nothing(store: Store) -> None:
    store.park(1)
    store.park(2)

    def be_overtaken(records: Sequence[Record]) -> Answer:
        store.redrive(succeed)
        return Answer(1) if len(records) == 2 else Answer(0, "throttled")

    assert [result.outcome for result in store.redrive(be_overtaken)] == [Outcome.OVERTAKEN] * 2
    assert all(key.startswith("redriven/") for key in store.names())


def test_what_another_redrive_has_kept_meanwhile_is_not_written_again(store: Store) -> None:
    store.park(1)
    (failure,) = store.failures()
    kept: list[Failure] = []

    def meanwhile(records: Sequence[Record]) -> Answer:
        assert store.bucket.keep(failure, records, "theirs")
        kept.append(store.failure())
        return Answer(len(records))

    assert outcomes(store.redrive(meanwhile)) == [(Outcome.FAILING, "theirs")]

    assert (store.failure().version, store.failure().failed_at) == (kept[0].version, failure.failed_at)


def test_an_object_that_has_changed_is_not_overwritten(store: Store) -> None:
    key = store.park(1)

    def be_overtaken(records: Sequence[Record]) -> Answer:
        store.put(key, parked_document(FUNCTION, record(1), "newer"))
        return fail(records)

    assert [result.outcome for result in store.redrive(be_overtaken)] == [Outcome.OVERTAKEN]
    assert [failure.reason for failure in store.failures()] == ["newer"]


def test_an_interrupt_between_the_copy_and_the_delete_loses_nothing(store: Store) -> None:
    key = store.park(1)
    (failure,) = store.failures()
    store.client.copy_object(Bucket=NAME, Key=f"redriven/{key}", CopySource={"Bucket": NAME, "Key": key})

    assert store.bucket.set_aside(failure)
    assert store.names() == [f"redriven/{key}"]


def test_progress_is_kept_and_the_rest_is_tried_again() -> None:
    records = [record(number) for number in range(4)]
    calls: list[int] = []

    def one_at_a_time(records: Sequence[Record]) -> Answer:
        calls.append(len(records))
        return Answer(1, "slow") if len(records) > 1 else Answer(1)

    assert replay(records, one_at_a_time, batch_size=3) == [None] * 4
    assert calls == [3, 2, 1, 1]


def test_no_progress_ends_a_batch_but_not_the_next() -> None:
    records = [record(number) for number in range(4)]

    assert replay(records, fail, batch_size=2) == ["throttled"] * 4
    assert replay([], fail, batch_size=2) == []


def test_a_batch_is_cut_to_what_an_invocation_takes() -> None:
    large = [{"data": "x" * 2_500_000} for _ in range(3)]
    sizes: list[int] = []

    def invoke(records: Sequence[Record]) -> Answer:
        assert len(event(records)) <= PAYLOAD_BYTES
        sizes.append(len(records))
        return Answer(len(records))

    replay(large, invoke, batch_size=100)

    assert sizes == [2, 1]


class Lambda:
    """Invoke, of a function that behaves as it is told."""

    def __init__(self, case: Case) -> None:
        self._behaviour = asdict(case.function)
        self.invoked: list[list[str]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803, ARG002  boto3's names
        """Behave, and answer as Lambda does."""
        event = json.loads(Payload)
        self.invoked.append(texts(event))
        try:
            answer = behave(texts(event), sequences(event), self._behaviour)
        except ValueError as error:
            error_payload = json.dumps({"errorType": "ValueError", "errorMessage": str(error)})
            return {"Payload": io.BytesIO(error_payload.encode()), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(answer if isinstance(answer, bytes) else json.dumps(answer).encode())}


@pytest.mark.parametrize("service", ["kinesis", "dynamodb"])
@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_a_response_means_to_a_redrive_what_it_means_to_a_mapping(case: Case, service: str) -> None:
    client: Any = Lambda(case)
    written = [text for _, text in case.writes]
    records = [
        kinesis_record("arn:aws:kinesis:us-east-1:1:stream/s", "a", text, str(number), "shardId-0", 0)
        if service == "kinesis"
        else dynamodb_record("arn:aws:dynamodb:r:1:t", "INSERT", {}, {"Text": {"S": text}}, str(number), 0)
        for number, text in enumerate(written, start=1001)
    ]

    reasons = replay(records, partial(invoke, client, "function"), batch_size=100)

    discarded = [text for _, _, batch in case.discarded for text in batch]
    assert client.invoked == case.invoked
    assert [text for text, reason in zip(written, reasons, strict=True) if reason is not None] == discarded
    assert all(reason != "" for reason in reasons)


@pytest.mark.parametrize(
    ("payload", "error", "answer"),
    [
        (b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}', None, Answer(1, REPORTED)),
        (b'{"foo": 1}', None, Answer(None, 'The function\'s response fails the whole batch: {"foo": 1}')),
        (b"\xff" * 500, None, Answer(None, "The function's response fails the whole batch: " + "\ufffd" * 200)),
        (b'{"errorType": "KeyError", "errorMessage": "x"}', "Unhandled", Answer(None, "KeyError: x")),
        (b"Killed", "Unhandled", Answer(None, "Unhandled: ")),
        (b"null", "Unhandled", Answer(None, "Unhandled: ")),
        (b"[" * 100_000, "Unhandled", Answer(None, "Unhandled: ")),
    ],
)
def test_a_reason_says_what_the_function_answered(payload: bytes, error: str | None, answer: Answer) -> None:
    assert interpret(payload, error, [record(1), record(2), record(3)]) == answer


def test_a_record_that_is_there_twice_is_failed_where_it_is_first() -> None:
    answer = interpret(b'{"batchItemFailures": [{"itemIdentifier": "2"}]}', None, [record(1), record(2), record(2)])

    assert answer.accepted == 1


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 11, 23, 11, 58, 30, tzinfo=UTC)),
        ("2h", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 16, 12, tzinfo=UTC)),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-22T10:00+01:00", datetime(2026, 11, 22, 9, tzinfo=UTC)),
    ],
)
def test_since_is_an_age_or_a_time(text: str, moment: datetime) -> None:
    assert since(text, datetime(2026, 11, 23, 12, tzinfo=UTC)) == moment


@pytest.mark.parametrize("text", ["yesterday", "2", "2w", "99999999999d"])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(UserError, match="is no time"):
        since(text, datetime(2026, 11, 23, 12, tzinfo=UTC))
