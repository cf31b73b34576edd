"""What the page shows of the failure bucket."""

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import pytest

from scripts.console.failure_index import FailureIndex, Wanted, document
from scripts.console.views import failures as view
from scripts.deployment import Deployed
from scripts.failures.store import DISCARDED
from tests.fakes.discarded import KEY, kinesis_invocation_record
from tests.simulation.stream import kinesis_record
from tests.unit.scripts.console.conftest import ConsoleClient
from tests.waiting import eventually

Serve = Callable[..., ConsoleClient]


def put(key: str, body: Any) -> None:
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    boto3.client("s3").put_object(Bucket="failures", Key=key, Body=body)


def parked(number: int, at: str, reason: str = "because", username: str = "ann") -> str:
    """Park a record that failed first at this time; returns its key."""
    key = f"parked/F/2026-11-23/{number:03}.json"
    image = {"Username": {"S": username}, "Score": {"N": "12345678901234567890"}}
    record = {"eventName": "INSERT", "dynamodb": {"NewImage": image}}
    put(key, {"function": "F", "reason": reason, "failedAt": at, "payload": {"Records": [record]}})
    return key


def look(page: ConsoleClient, **query: Any) -> Any:
    answer = page.ask("GET", "/api/failures", query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_failures_come_newest_first_and_go_on_where_a_page_ended(serve: Serve, system: Deployed) -> None:
    keys = [parked(number, f"2026-11-23T10:{number:02}:00+00:00") for number in range(55)]
    page = serve(system)

    first = look(page)
    second = look(page, **{"from": first["next"]})

    assert [each["key"] for each in first["failures"] + second["failures"]] == keys[::-1]
    assert (first["total"], first["unread"], second["next"]) == (55, 0, None)


def test_failures_are_grouped_by_reason_and_function_with_their_first_and_last_time(
    serve: Serve, system: Deployed
) -> None:
    times = ["2026-11-23T10:00:00+00:00", "2026-11-23T12:00:00+00:00", "2026-11-23T11:00:00+00:00"]
    for number, at in enumerate(times):
        parked(number, at, "no Username")
    parked(9, "2026-11-23T09:00:00+00:00", "too wide")

    groups = look(serve(system))["groups"]

    first, last, _ = (datetime.fromisoformat(each).timestamp() for each in (times[0], times[1], times[2]))
    assert [(each["reason"], each["objects"]) for each in groups] == [("no Username", 3), ("too wide", 1)]
    assert (groups[0]["function"], groups[0]["first"], groups[0]["last"]) == ("F", first, last)


def test_a_filter_looks_at_reason_function_and_payload(serve: Serve, system: Deployed) -> None:
    one = parked(1, "2026-11-23T10:00:00+00:00", "no Username", "Ann")
    two = parked(2, "2026-11-23T11:00:00+00:00", "too wide", "bob")
    page = serve(system)

    assert [each["key"] for each in look(page, text="ANN")["failures"]] == [one]
    assert [each["key"] for each in look(page, reason="too wide")["failures"]] == [two]
    assert look(page, function="G")["failures"] == []


def test_a_redrive_that_changes_an_object_shows_as_what_it_is_now(serve: Serve, system: Deployed) -> None:
    parked(1, "2026-11-23T10:00:00+00:00", "before")
    page = serve(system)
    look(page)

    parked(1, "2026-11-23T10:00:00+00:00", "after")

    [failure] = look(page)["failures"]
    assert failure["reason"] == "after"
    assert failure["at"] == datetime.fromisoformat("2026-11-23T10:00:00+00:00").timestamp(), "when it failed first"


def test_a_large_bucket_is_read_in_steps_and_an_answer_stays_small(system: Deployed) -> None:
    for number in range(6):
        put(f"parked/F/2026-11-23/{number}.json", {"reason": "large", "payload": {"Records": ["x" * 3_000_000]}})
    index, s3 = FailureIndex(), boto3.client("s3")

    looks = [index.look(s3, "failures", Wanted(), 0, 50) for _ in range(2)]

    assert [each["unread"] for each in looks] == [3, 0]
    assert max(len(json.dumps(each)) for each in looks) < 10_000


def test_a_discarded_batch_opens_to_its_decoded_payload_with_its_times(serve: Serve, system: Deployed) -> None:
    records = [kinesis_record("arn:aws:kinesis:r:1:stream/s", "k", "text", "7", "shardId-0", 1_795_392_000.5)]
    document = kinesis_invocation_record(records)
    put(KEY, document)
    page = serve(system)

    [failure] = look(page)["failures"]
    opened = page.ask("GET", "/api/failures/document", query_string={"key": KEY}).json

    assert (failure["function"], failure["records"]) == ("AggregateScoresByUser", 1)
    assert failure["at"] == datetime.fromisoformat(document["timestamp"]).timestamp()
    assert (failure["oldest"], failure["preview"]) == (1_795_392_000.5, "text")
    assert failure["reason"] == "RetryAttemptsExhausted after 3 invocations: Unhandled"
    assert opened is not None
    assert opened["records"] == [{"kind": "payload, text", "text": "text"}]
    assert base64.b64encode(b"text").decode() in opened["payload"]


def test_a_failure_is_opened_with_one_request_to_s3(system: Deployed) -> None:
    key = parked(1, "2026-11-23T10:00:00+00:00")
    s3 = boto3.client("s3")
    asked: list[str] = []
    s3.meta.events.register("before-call.s3", lambda model, **_: asked.append(model.name))

    opened = document(s3, "failures", key)

    assert opened is not None
    assert json.loads(opened["text"])["function"] == "F"
    assert asked == ["GetObject"], "an object that goes between two requests would be an error"


def test_an_item_is_shown_with_its_numbers_as_dynamodb_has_them(serve: Serve, system: Deployed) -> None:
    key = parked(1, "2026-11-23T10:00:00+00:00")
    page = serve(system)

    opened = page.ask("GET", "/api/failures/document", query_string={"key": key}).json

    assert opened is not None
    assert opened["records"] == [{"kind": "INSERT", "text": 'Username: "ann", Score: 12345678901234567890'}]


@pytest.mark.parametrize("body", [b"?", json.dumps(kinesis_invocation_record([], payload="?")).encode()])
def test_a_failure_that_cannot_be_read_says_so(serve: Serve, system: Deployed, body: bytes) -> None:
    put(KEY, body)

    [failure] = look(serve(system))["failures"]

    assert "cannot be read" in failure["reason"]
    assert (failure["records"], failure["oldest"]) == (None, None)


def test_what_is_not_a_failure_cannot_be_redriven_or_opened_by_its_key(serve: Serve, system: Deployed) -> None:
    put("redriven/parked/F/x.json", {})
    page = serve(system)

    page.ask("POST", "/api/redrive", json={"keys": ["redriven/parked/F/x.json"]})

    def over() -> Any:
        job = page.ask("GET", "/api/redrive").json
        return job if job and job["state"] != "running" else None

    assert eventually(over, what="the end of the job")["state"] == "failed"
    assert boto3.client("s3").head_object(Bucket="failures", Key="redriven/parked/F/x.json")
    opened = page.ask("GET", "/api/failures/document?key=redriven/parked/F/x.json")
    assert opened.status_code == 409


def test_a_group_is_redriven_and_nothing_else(serve: Serve, system: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = parked(1, "2026-11-23T10:00:00+00:00", "a"), parked(2, "2026-11-23T10:00:00+00:00", "a")
    parked(3, "2026-11-23T10:00:00+00:00", "b")
    seen: list[Any] = []
    monkeypatch.setattr(view, "redrive", lambda _, keys, __: seen.append(keys))
    page = serve(system)
    look(page)

    answer = page.ask("POST", "/api/redrive", json={"group": {"function": "F", "reason": "a"}})

    assert answer.status_code == 202
    eventually(lambda: seen, what="the redrive")
    assert seen == [[one, two]]


def test_the_group_of_an_unknown_function_is_not_that_of_every_function(
    serve: Serve, system: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = parked(1, "2026-11-23T10:00:00+00:00", "a"), f"{DISCARDED}1.json"
    put(unknown, {"reason": "a", "payload": {"Records": [{"eventID": "1"}]}})
    seen: list[Any] = []
    monkeypatch.setattr(view, "redrive", lambda _, keys, __: seen.append(keys))
    page = serve(system)
    assert {(group["function"], group["reason"]) for group in look(page)["groups"]} == {("F", "a"), ("", "a")}

    page.ask("POST", "/api/redrive", json={"group": {"function": "", "reason": "a"}})

    eventually(lambda: seen, what="the redrive")
    assert seen == [[unknown]]
    assert [each["key"] for each in look(page, function="")["failures"]] == [unknown]
    assert {each["key"] for each in look(page, reason="a")["failures"]} == {known, unknown}


@pytest.mark.parametrize("body", [{"group": {}}, {"group": None}, {"group": {"reason": "none"}}, {"reason": "a"}])
def test_a_group_that_is_not_known_is_not_taken_for_everything(serve: Serve, system: Deployed, body: Any) -> None:
    parked(1, "2026-11-23T10:00:00+00:00", "a")
    page = serve(system)
    look(page)

    assert page.ask("POST", "/api/redrive", json=body).status_code in {400, 409}


def test_a_group_without_its_function_is_not_redriven(serve: Serve, system: Deployed) -> None:
    put(f"{DISCARDED}1.json", {"reason": "a", "payload": {"Records": [{"eventID": "1"}]}})
    page = serve(system)
    look(page)

    assert page.ask("POST", "/api/redrive", json={"group": {"reason": "a"}}).status_code == 400
