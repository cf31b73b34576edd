"""Redriving: every record ends up done and set aside, or failing and kept, whatever happens meanwhile."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import typer

from handlers.shared.parking import parked_document
from scripts.failures.failures import as_document, as_line
from scripts.failures.redrive import Outcome, Result, Target, redrive_all
from scripts.failures.redrive import main as redrive_command
from scripts.failures.redrive import targets as find_targets
from scripts.failures.replay import Answer, event, groups, interpret
from scripts.failures.store import Failure, Record
from tests.fakes.discarded import KEY, dynamodb_invocation_record
from tests.unit.scripts.failures.conftest import FUNCTION, NAME, Command, Store, System, fail, record, succeed

TOO_OLD = "older than 35 days, and the ledger holds no earlier change of its item"


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


def test_only_the_failures_of_a_function_are_redriven_when_it_is_named(store: Store, command: Command) -> None:
    key = store.park(1)
    store.put("parked/Other/2026-11-23/event-9.json", parked_document("Other", record(9), "why"))

    code, text = command(redrive_command, succeed, "--function", FUNCTION)

    assert (code, text) == (0, f"redriven    {key}  records: 1\nObjects: redriven 1.\n")


def test_what_failed_in_a_function_that_the_stage_does_not_have_is_left_and_said_to_be(
    store: Store, command: Command
) -> None:
    store.put("parked/Other/2026-11-23/event-9.json", parked_document("Other", record(9), "why"))

    code, text = command(redrive_command, never)

    assert (code, text.splitlines()[-1]) == (2, "Objects: skipped 1.")
    assert "This stage has no such function" in text


def test_a_redrive_that_another_one_overtakes_leaves_nothing(store: Store, command: Command) -> None:
    key = store.park(1)

    def redriven_elsewhere(records: Sequence[Record]) -> Answer:
        store.client.delete_object(Bucket=NAME, Key=key)
        return Answer(len(records), "")

    code, text = command(redrive_command, redriven_elsewhere)

    assert (code, text.splitlines()[-1]) == (0, "Objects: overtaken 1.")


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


def test_an_object_without_records_is_skipped(store: Store) -> None:
    store.discard()

    assert outcomes(store.redrive(succeed)) == [(Outcome.SKIPPED, "The object holds no records")]
    assert json.loads(as_document(store.failure()))["records"] == 0


def test_an_object_without_records_keeps_no_other_from_being_replayed(store: Store) -> None:
    empty = "parked/" + FUNCTION + "/2026-11-23/event-0.json"
    store.put(empty, json.dumps({"function": FUNCTION, "payload": {"Records": []}}))
    store.park(1)

    assert [verdict for verdict, _ in outcomes(store.redrive(succeed))] == [Outcome.SKIPPED, Outcome.REDRIVEN]


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


@pytest.mark.parametrize("reason", ["Score is missing", "Username is missing"])
def test_a_record_that_is_parked_again_by_an_invocation_that_fails_keeps_its_time_and_its_reason(
    store: Store, reason: str
) -> None:
    store.park(1)
    failed_at = store.failure().failed_at - timedelta(days=1)
    assert store.bucket.keep(replace(store.failure(), failed_at=failed_at), [record(1)], "Score is missing")

    def park_again_and_time_out(records: Sequence[Record]) -> Answer:
        store.park(1, reason)
        return fail(records)

    assert outcomes(store.redrive(park_again_and_time_out)) == [(Outcome.FAILING, reason)]
    assert (store.failure().reason, store.failure().failed_at) == (reason, failed_at)


def test_an_object_that_has_changed_is_not_overwritten(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    key = store.park(1)
    latest = store.bucket.latest

    def look_and_be_overtaken(failure: Failure) -> Failure | None:
        seen = latest(failure)
        store.put(key, parked_document(FUNCTION, record(1), "newer"))
        return seen

    monkeypatch.setattr(store.bucket, "latest", look_and_be_overtaken)

    assert [result.outcome for result in store.redrive(fail)] == [Outcome.OVERTAKEN]
    assert [failure.reason for failure in store.failures()] == ["newer"]


def test_an_interrupt_between_the_copy_and_the_delete_loses_nothing(store: Store) -> None:
    key = store.park(1)
    (failure,) = store.failures()
    store.client.copy_object(Bucket=NAME, Key=f"redriven/{key}", CopySource={"Bucket": NAME, "Key": key})

    assert store.bucket.set_aside(failure)
    assert store.names() == [f"redriven/{key}"]
