"""What the console answers, and how it says what is wrong."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from scripts.cli import UserError
from scripts.console.job import Job
from scripts.console.problems import Problem, RefusedError
from scripts.console.views import reconcile as reconcile_view
from scripts.deployment import Deployed, NotDeployedError, PartlyDeployedError
from scripts.reconcile.judgement import Summary
from scripts.reconcile.snapshot import Finding
from tests.unit.scripts.console.conftest import ConsoleClient
from tests.waiting import eventually

Serve = Callable[..., ConsoleClient]


def failing(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Operation",
    )


def caused(error: Exception) -> UserError:
    """As Stage.account tells it."""
    problem = UserError("No AWS account to use")
    problem.__cause__ = error
    return problem


@pytest.mark.parametrize(
    ("error", "status", "kind", "says"),
    [
        (NotDeployedError("Stage dev is not deployed. Deploy it: make deploy"), 503, "not-deployed", "make deploy"),
        (PartlyDeployedError("Stage dev is only partly deployed"), 503, "being-deployed", "only partly deployed"),
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
def test_an_error_says_what_to_do(serve: Serve, error: Exception, status: int, kind: str, says: str) -> None:
    page = serve(error)

    answer = page.ask("GET", "/api/flow")

    assert answer.json is not None
    assert (answer.status_code, answer.json["kind"]) == (status, kind)
    assert says in answer.json["message"]
    lost = kind in {"credentials", "not-deployed", "being-deployed", "unreachable"}
    assert page.connection.forgotten == ([kind == "credentials"] if lost else []), "what is lost is looked up again"


def test_about_names_the_stage_without_credentials(serve: Serve) -> None:
    answer = serve(caused(NoCredentialsError()), name="prod", writes=False).ask("GET", "/api/about")

    assert answer.json is not None
    assert (answer.json["stage"], answer.json["writes"], answer.json["account"]) == ("prod", False, None)


def test_a_mistake_of_the_console_shows_no_trace_on_the_page(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    answer = serve(ZeroDivisionError("secret detail")).ask("GET", "/api/flow")

    assert (answer.status_code, answer.json and answer.json["kind"]) == (500, "fault")
    assert "secret detail" not in answer.text
    assert "secret detail" in capsys.readouterr().err


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


def test_a_job_runs_once_at_a_time_and_keeps_what_came_of_it() -> None:
    go_on, job = threading.Event(), Job(lambda error: Problem(500, "fault", str(error)), lambda: 1_795_392_000.5)

    def work(tell: Callable[[str], None]) -> str:
        tell("begun")
        go_on.wait(10)
        return "found"

    job.start(work)
    with pytest.raises(RefusedError):
        job.start(work)
    go_on.set()
    eventually(lambda: job.look()["state"] == "done", what="the end of the job")

    assert job.look() == {"number": 1, "state": "done", "lines": ["begun"], "result": "found", "ended": 1_795_392_000.5}


def test_a_job_that_fails_says_why() -> None:
    job = Job(lambda error: Problem(400, "invalid", str(error)))

    def work(tell: Callable[[str], None]) -> None:
        raise UserError("Another reconcile is running")

    job.start(work)
    eventually(lambda: job.look()["state"] == "failed", what="the end of the job")

    assert job.look()["result"]["message"] == "Another reconcile is running"


def test_what_is_not_a_time_is_refused(serve: Serve, deployment: Deployed) -> None:
    answer = serve(deployment).ask("GET", "/api/metrics?since=yesterday")

    assert (answer.status_code, "is no time" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("found", "summary"),
    [
        (Summary(0, 0, 0, 1), "No drift: every total is the sum over its records. Test events counted"),
        (Summary(0, 0, 3, 0), "Not judged: whether every total is exact is not known."),
        (Summary(2, 1, 0, 0), "Wrong: 2 users in drift, 1 repaired."),
    ],
)
def test_reconcile_is_answered_with_its_verdict_in_words_and_as_a_value(
    found: Summary, summary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("ann", None, "the total is not the ledger's sum", "1 1", "2 1", False, False)

    def reconcile(_: Deployed, on_finding: Callable[[Finding], None], **__: Any) -> Summary:
        on_finding(finding)
        return found

    monkeypatch.setattr(reconcile_view, "reconcile", reconcile)
    system: Any = None

    answer = reconcile_view.run(system, False, 1, lambda _: None, publishes=False)

    assert answer["summary"].startswith(summary)
    assert (answer["verdict"], answer["findings"]) == (found.judgement, [finding._asdict()])
    json.dumps(answer)
