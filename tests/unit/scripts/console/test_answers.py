"""What the console answers, and how it says what is wrong."""

import base64
import json
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from scripts.cli import UserError
from scripts.console import app, items
from scripts.console.flow import Flow, from_summaries, verdict
from scripts.console.job import Job
from scripts.console.problems import Problem, RefusedError
from scripts.console.recent import Recent, decode
from scripts.deployment import Deployed, NotDeployedError
from scripts.observe.logs import Line
from scripts.observe.status import Alarm, EventSource, Failures, Resource, Status
from scripts.reconcile.judgement import Verdict
from scripts.reconcile.snapshot import Finding
from tests.fakes.discarded import KEY, kinesis_invocation_record
from tests.simulation.stream import kinesis_record
from tests.unit.scripts.console.conftest import Page
from tests.waiting import eventually

Serve = Callable[..., Page]


class HundredThousand:
    """A table of 100,000 items that counts what is read, and refuses to be read whole."""

    def __init__(self) -> None:
        self.read = 0

    def scan(self, **request: Any) -> dict[str, Any]:
        after = request.get("ExclusiveStartKey", {"RecordID": {"N": "-1"}})
        first = int(after["RecordID"]["N"]) + 1
        numbers = range(first, min(first + request["Limit"], 100_000))
        self.read += len(numbers)
        found: dict[str, Any] = {"Items": [{"RecordID": {"N": str(number)}} for number in numbers]}
        return found | ({"LastEvaluatedKey": found["Items"][-1]} if numbers and numbers[-1] < 99_999 else {})


def failing(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


def caused(error: Exception) -> UserError:
    """As Stage.account tells it."""
    told = UserError("No AWS account to use")
    told.__cause__ = error
    return told


@pytest.mark.parametrize(
    ("error", "status", "kind", "says"),
    [
        (NotDeployedError("Stage dev is not deployed. Deploy it: make deploy"), 503, "not-deployed", "make deploy"),
        (failing("ResourceNotFoundException"), 503, "not-deployed", "make deploy STAGE=dev"),
        (failing("ExpiredTokenException"), 401, "credentials", "aws sso login"),
        (caused(failing("ExpiredToken")), 401, "credentials", "aws sso login"),
        (caused(NoCredentialsError()), 401, "credentials", "aws sso login"),
        (caused(EndpointConnectionError(endpoint_url="x")), 503, "unreachable", "does not answer"),
        (failing("AccessDeniedException"), 403, "denied", "does not let"),
        (failing("ThrottlingException"), 429, "throttled", "patience"),
        (failing("InternalFailure", 500), 503, "unreachable", "does not answer"),
        (UserError("Say this"), 400, "invalid", "Say this"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(
    serve: Serve, error: Exception, status: int, kind: str, says: str
) -> None:
    page = serve(error)

    answer = page.ask("GET", "/api/flow")

    assert answer.json is not None
    assert (answer.status_code, answer.json["kind"]) == (status, kind)
    assert says in answer.json["message"]
    lost = kind in {"credentials", "not-deployed", "unreachable"}
    assert page.connection.forgotten == ([kind == "credentials"] if lost else []), "what is lost is looked up again"


def test_whose_console_it_is_is_told_even_while_nobody_is_logged_in(serve: Serve) -> None:
    answer = serve(caused(NoCredentialsError()), name="prod", writes=False).ask("GET", "/api/about")

    assert answer.json is not None
    assert (answer.json["stage"], answer.json["writes"], answer.json["account"]) == ("prod", False, None)


def test_a_mistake_of_the_console_shows_no_trace_on_the_page(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    answer = serve(ZeroDivisionError("secret detail")).ask("GET", "/api/flow")

    assert (answer.status_code, answer.json and answer.json["kind"]) == (500, "fault")
    assert "secret detail" not in answer.text
    assert "secret detail" in capsys.readouterr().err


def test_a_page_of_items_reads_no_more_than_it_shows_of_a_hundred_thousand() -> None:
    table: Any = HundredThousand()

    first = items.page(table, "t", 25, "")
    second = items.page(table, "t", 25, first["next"])
    last = items.page(table, "t", 25, base64.urlsafe_b64encode(b'{"RecordID": {"N": "99979"}}').decode())

    assert table.read == 25 + 25 + 20
    assert [item["RecordID"]["text"] for item in second["items"]] == [str(number) for number in range(25, 50)]
    assert last["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "after=%7B", "after=bnVsbA=="])
def test_a_page_that_cannot_be_is_refused(serve: Serve, deployment: Deployed, query: str) -> None:
    answer = serve(deployment).ask("GET", f"/api/tables/GameScoreRecords/items?{query}")

    assert (answer.status_code, answer.json and answer.json["kind"]) == (400, "invalid")


def test_a_record_is_added_found_edited_and_deleted_and_keeps_what_the_form_does_not_show(
    serve: Serve, system: Deployed
) -> None:
    page, table = serve(system), boto3.resource("dynamodb").Table("GameScoreRecords")

    def found() -> Any:
        answer = page.ask("GET", "/api/tables/GameScoreRecords/item?key=7")
        assert answer.json is not None
        return answer.json["item"] and {name: value["text"] for name, value in answer.json["item"].items()}

    exact = "0.10000000000000000000000000000000000001"
    assert found() is None
    added = page.ask("POST", "/api/records", json={"RecordID": "7", "Username": "ann", "Score": exact})
    assert (added.status_code, found()) == (201, {"RecordID": "7", "Username": "ann", "Score": exact})
    table.update_item(Key={"RecordID": 7}, UpdateExpression="SET Nickname = :n", ExpressionAttributeValues={":n": "A"})
    edited = page.ask("PUT", "/api/records/7", json={"Username": "bob", "Score": "2"})
    assert (edited.status_code, found()) == (
        200,
        {"RecordID": "7", "Username": "bob", "Score": "2", "Nickname": "A"},
    )
    deleted = page.ask("DELETE", "/api/records/7", json={})
    assert (deleted.status_code, found()) == (200, None)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/records", {"RecordID": "1", "Username": "eve", "Score": "1"}),
        ("PUT", "/api/records/2", {"Username": "eve", "Score": "1"}),
        ("DELETE", "/api/records/2", {}),
    ],
)
def test_a_change_of_what_is_not_as_the_page_thinks_is_refused(
    serve: Serve, system: Deployed, method: str, path: str, body: dict[str, str]
) -> None:
    table = boto3.resource("dynamodb").Table("GameScoreRecords")
    table.put_item(Item={"RecordID": 1, "Username": "ann", "Score": 5})

    answer = serve(system).ask(method, path, json=body)

    assert (answer.status_code, answer.json and answer.json["kind"]) == (409, "conflict")
    assert table.scan()["Items"] == [{"RecordID": 1, "Username": "ann", "Score": 5}]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"RecordID": "one", "Username": "ann", "Score": "1"}, "RecordID is not a number"),
        ({"RecordID": "1", "Username": "ann", "Score": "NaN"}, "Score is not a number"),
        ({"RecordID": "1", "Username": "ann", "Score": "1e999"}, "Score does not fit"),
        ({"RecordID": "1", "Username": "", "Score": "1"}, "Username is empty"),
        ({"RecordID": "1", "Score": "1"}, "Username is empty"),
        ([], "JSON object"),
    ],
)
def test_what_is_no_score_record_is_not_written(serve: Serve, deployment: Deployed, record: Any, says: str) -> None:
    answer = serve(deployment).ask("POST", "/api/records", json=record)

    assert answer.status_code == 400
    assert answer.json is not None
    assert says in answer.json["message"]


def test_an_event_that_is_not_json_is_pointed_at(serve: Serve, deployment: Deployed) -> None:
    answer = serve(deployment).ask(
        "POST", "/api/functions/AggregateScoresByUser/test", json={"event": '{\n  "Records": oops\n}'}
    )

    assert answer.json is not None
    assert (answer.status_code, answer.json["line"], answer.json["column"]) == (400, 2, 14)


@pytest.mark.parametrize("body", [{"key": "", "data": "x"}, {"key": "k", "data": ""}, {"key": "k" * 257, "data": "x"}])
def test_an_event_that_kinesis_would_not_take_is_not_sent(
    serve: Serve, deployment: Deployed, body: dict[str, str]
) -> None:
    assert serve(deployment).ask("POST", "/api/stream", json=body).status_code == 400


def test_an_event_that_is_put_is_seen_decoded_by_everybody_who_watches(serve: Serve, system: Deployed) -> None:
    page = serve(system)
    page.ask("POST", "/api/stream", json={"key": "k", "data": "Hällo"})

    first, second = (page.ask("GET", "/api/stream?after=0").json for _ in range(2))

    assert first is not None
    assert [(each["payload"], each["key"]) for each in first["records"]] == [("Hällo", "k")]
    assert second == first, "the second who looks gets what was read for the first"
    answer = page.ask("GET", f"/api/stream?after={first['last']}").json
    assert answer is not None
    assert answer["records"] == []


def test_a_shard_is_read_once_a_second_however_many_look(system: Deployed) -> None:
    now, reads = 0.0, 0
    kinesis = boto3.client("kinesis")

    def count(**_: Any) -> None:
        nonlocal reads
        reads += 1

    kinesis.meta.events.register("before-call.kinesis.GetRecords", count)
    recent = Recent(lambda: now)

    for _ in range(10):
        recent.look(kinesis, "Demo-Stream", 0)
    once = reads
    now = 1.0
    recent.look(kinesis, "Demo-Stream", 0)

    assert (once, reads) == (2, 4)  # of two shards


def test_after_nobody_has_looked_for_a_minute_it_begins_anew(system: Deployed) -> None:
    now = 0.0
    kinesis = boto3.client("kinesis")
    recent = Recent(lambda: now)
    kinesis.put_record(StreamName="Demo-Stream", PartitionKey="1", Data=b"one")
    assert recent.look(kinesis, "Demo-Stream", 0)["last"] == 1

    now = 61.0
    again = recent.look(kinesis, "Demo-Stream", 1)

    assert (len(again["records"]), again["last"]) == (0, 1)


def test_a_watcher_who_knows_more_than_there_is_gets_it_all() -> None:
    recent = Recent()
    kinesis: Any = None
    recent._stream, recent._number = "s", 1
    recent._records.append({"number": 1})
    recent._asked = recent._read = recent._clock()

    assert recent.look(kinesis, "s", 500)["records"] == [{"number": 1}]


def test_what_is_not_text_is_shown_in_hexadecimal() -> None:
    assert decode(b"\xff\x00") == {"payload": "ff 00", "encoding": "hex", "bytes": 2, "cut": False}
    assert decode(b"x" * 3000)["cut"]


def test_a_job_runs_once_at_a_time_and_keeps_what_came_of_it() -> None:
    go_on, job = threading.Event(), Job(lambda error: Problem(500, "fault", str(error)))

    def work(tell: Callable[[str], None]) -> str:
        tell("begun")
        go_on.wait(10)
        return "found"

    job.start(work)
    with pytest.raises(RefusedError):
        job.start(work)
    go_on.set()
    eventually(lambda: job.look()["state"] == "done", what="the end of the job")

    assert job.look() == {"number": 1, "state": "done", "lines": ["begun"], "result": "found"}


def test_a_job_that_fails_says_why() -> None:
    job = Job(lambda error: Problem(400, "invalid", str(error)))

    def work(tell: Callable[[str], None]) -> None:
        raise UserError("Another reconcile is running")

    job.start(work)
    eventually(lambda: job.look()["state"] == "failed", what="the end of the job")

    assert job.look()["result"]["message"] == "Another reconcile is running"


def found_status(**changes: Any) -> Status:
    fields: dict[str, Any] = {
        "stage": "dev",
        "account": "1",
        "region": "r",
        "endpoint": None,
        "resources": [Resource("stream", "Demo-Stream", "ACTIVE", "")],
        "mappings": [EventSource("F", "Enabled", 1000.0, "OK")],
        "failures": Failures(0, 0),
        "alarms": [Alarm("late", "OK")],
    }
    return Status(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "moving", "state", "reason"),
    [
        ({}, True, "flowing", None),
        ({}, False, "idle", None),
        ({"mappings": [EventSource("F", "Disabled", None, "OK")]}, True, "blocked", "The mapping to F is Disabled"),
        ({"resources": [Resource("table", "T", "DELETING", "")]}, True, "blocked", "T is DELETING"),
        ({"mappings": [EventSource("F", "Enabled", 75_000.0, "OK")]}, True, "flowing", "F was 75 s behind"),
        ({"mappings": [EventSource("F", "Enabled", 1.0, "PROBLEM: x")]}, True, "flowing", "PROBLEM: x"),
        ({"alarms": [Alarm("late", "ALARM")]}, True, "flowing", "Alarm late"),
        ({"failures": Failures(0, 1)}, False, "idle", "Failures wait"),
    ],
)
def test_a_glance_tells_whether_it_flows(changes: dict[str, Any], moving: bool, state: str, reason: str | None) -> None:
    told, reasons = verdict(found_status(**changes), moving)

    assert told == state
    assert [reason in each for each in reasons if reason] == ([True] if reason else [])


def test_the_arrows_count_what_the_last_line_of_each_batch_says() -> None:
    names = {"ProcessKinesisRecords": "p", "AggregateScoresByUser": "a"}

    def line(at: int, function: str, message: str) -> Line:
        return Line(at, function, "s", message)

    counts = from_summaries(
        [
            line(10_000, "p", '{"message":"Successfully processed 7 records."}'),
            line(12_000, "p", '{"message":"Successfully processed 3 records."}'),
            line(12_000, "p", r'{"message":"Decoded payload: {\"message\":\"Successfully processed 99 records"}'),
            line(25_000, "a", '{"message":"Successfully processed 5 records."}'),
        ],
        names,
    )

    assert counts["read"] == {10: 10}


def test_a_look_at_the_pipeline_is_shared_and_not_repeated_at_once(deployment: Deployed) -> None:
    looks = 0

    def look(system: Deployed) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {"look": looks}

    flow = Flow(look)

    assert [flow.of(deployment)["look"] for _ in range(5)] == [1] * 5
    other = Deployed(deployment.stage, deployment.account, {**deployment.outputs, "failure_bucket": "another"})
    assert flow.of(other)["look"] == 2, "what is deployed anew is looked at"


def test_the_failures_go_on_where_a_page_ended(serve: Serve, system: Deployed) -> None:
    s3 = boto3.client("s3")
    keys = [f"parked/F/2026-11-23/{number:03}.json" for number in range(55)]
    keys += [f"aws/lambda/u/{number}" for number in range(3)]
    for key in keys:
        s3.put_object(Bucket="failures", Key=key, Body=b'{"function": "F", "reason": "because", "payload": {}}')
    page = serve(system)

    first = page.ask("GET", "/api/failures").json
    assert first is not None
    second = page.ask("GET", "/api/failures", query_string={"after": first["next"]}).json

    assert second is not None
    assert [each["key"] for each in first["failures"] + second["failures"]] == keys
    assert second["next"] is None


def test_a_discarded_batch_is_shown_with_its_payload_unescaped_and_its_times(serve: Serve, system: Deployed) -> None:
    records = [kinesis_record("arn:aws:kinesis:r:1:stream/s", "k", "text", "7", "shardId-0", 1_795_392_000.5)]
    document = kinesis_invocation_record(records)
    boto3.client("s3").put_object(Bucket="failures", Key=KEY, Body=json.dumps(document).encode())
    page = serve(system)

    answer = page.ask("GET", "/api/failures").json

    assert answer is not None
    assert answer["failures"] == [
        {
            "key": KEY,
            "function": "AggregateScoresByUser",
            "at": datetime.fromisoformat(document["timestamp"]).timestamp(),
            "oldest": 1_795_392_000.5,
            "reason": "RetryAttemptsExhausted after 3 invocations: Unhandled",
            "records": 1,
            "document": {**document, "payload": {"Records": records}},
        }
    ]


@pytest.mark.parametrize("body", [b"?", json.dumps(kinesis_invocation_record([], payload="?")).encode()])
def test_a_failure_that_cannot_be_read_says_so(serve: Serve, system: Deployed, body: bytes) -> None:
    boto3.client("s3").put_object(Bucket="failures", Key=KEY, Body=body)
    page = serve(system)

    answer = page.ask("GET", "/api/failures").json

    assert answer is not None
    [failure] = answer["failures"]
    assert "cannot be read" in failure["reason"]
    assert (failure["records"], failure["oldest"]) == (None, None)


def test_what_is_not_a_failure_cannot_be_redriven_by_its_key(serve: Serve, system: Deployed) -> None:
    boto3.client("s3").put_object(Bucket="failures", Key="redriven/parked/F/x.json", Body=b"{}")
    page = serve(system)

    page.ask("POST", "/api/redrive", json={"key": "redriven/parked/F/x.json"})

    def over() -> Any:
        job = page.ask("GET", "/api/redrive").json
        return job if job and job["state"] != "running" else None

    assert eventually(over, what="the end of the job")["result"]["kind"] == "conflict"


def test_a_time_that_is_none_is_told(serve: Serve, deployment: Deployed) -> None:
    answer = serve(deployment).ask("GET", "/api/functions/AggregateScoresByUser/metrics?since=yesterday")

    assert (answer.status_code, "is no time" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Verdict(0, 0, 0, 1), "No drift: every total is the sum over its records. Test events counted"),
        (Verdict(0, 0, 3, 0), "Not judged: whether every total is exact is not known."),
        (Verdict(2, 1, 0, 0), "Wrong: 2 users in drift, 1 repaired."),
    ],
)
def test_reconcile_is_answered_with_its_verdict_in_words_and_as_a_value(
    found: Verdict, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("ann", None, "the total is not the ledger's sum", "1 1", "2 1", False, False)

    def reconcile(_: Deployed, on_finding: Callable[[Finding], None], **__: Any) -> Verdict:
        on_finding(finding)
        return found

    monkeypatch.setattr(app, "reconcile", reconcile)
    system: Any = None

    answer = app._reconcile(system, False, 1, lambda _: None, publishes=False)

    assert answer["told"].startswith(told)
    assert (answer["verdict"], answer["findings"]) == (found.judgement, [finding._asdict()])
    json.dumps(answer)
