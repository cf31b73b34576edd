"""The verdict on a pipeline, and the facts that it comes from."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.shared.metrics import embedded_metrics
from scripts.console import flow as module
from scripts.console.counts import Counts, from_summaries
from scripts.console.flow import Flow, gather
from scripts.console.problems import RefusedError
from scripts.console.verdict import Facts, Function, State, verdict
from scripts.deployment import Deployed
from scripts.observe.logs import Line
from scripts.observe.status import Alarm, EventSource, Failures, Resource, Status

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
NOW = datetime(2026, 11, 24, 12, 0, 5, tzinfo=UTC)
AT = int(NOW.timestamp()) // 10 * 10


def function(lab: str = AGGREGATE, **changes: Any) -> Function:
    fields: dict[str, Any] = {
        "lab": lab,
        "name": lab,
        "arrived": 0,
        "delivered": 0,
        "done": 0,
        "failed": 0,
        "errors": 0,
        "failed_last": False,
        "waiting": 0,
        "backlog": 0,
        "lag_ms": None,
        "mapping": "Enabled",
        "last_result": "OK",
    }
    return Function(**(fields | changes))


def facts(*functions: Function, **changes: Any) -> Facts:
    fields: dict[str, Any] = {
        "resources": {"stream": ("Demo-Stream", "ACTIVE")},
        "functions": functions or [function()],
        "parked": 0,
        "discarded": 0,
        "alarms": [],
    }
    return Facts(**(fields | changes))


@pytest.mark.parametrize(
    ("found", "state", "node", "says", "panel"),
    [
        (facts(function(delivered=48, failed=48, failed_last=True)), "failing", AGGREGATE, "none of 48", "functions"),
        (facts(function(delivered=48)), "failing", AGGREGATE, "none of 48 delivered records", "functions"),
        (
            facts(function(last_result="PROBLEM: Function call failed")),
            "failing",
            AGGREGATE,
            "Function call failed",
            "functions",
        ),
        (facts(function(delivered=9, done=9, lag_ms=61_000)), "behind", AGGREGATE, "61 s behind", "functions"),
        (facts(function(arrived=9)), "behind", AGGREGATE, "9 records arrived", "functions"),
        (facts(function(mapping="Disabled")), "blocked", AGGREGATE, "mapping is Disabled", "functions"),
        (facts(resources={"stream": ("S", "DELETING")}), "blocked", "stream", "S is DELETING", "stream"),
        (facts(resources={"T": ("T", "DELETING")}), "blocked", "T", "T is DELETING", "tables"),
        (
            facts(alarms=[(f"function-errors-{AGGREGATE}", "x")]),
            "failing",
            AGGREGATE,
            "Alarm x",
            "functions",
        ),
        (facts(alarms=[(f"iterator-age-{PROCESS}", "x")]), "behind", PROCESS, "Alarm x", "functions"),
        (facts(alarms=[("drift-GameScoresByUser", "x")]), "failing", "GameScoresByUser", "Alarm x", "reconcile"),
        (facts(alarms=[("stream-write-throttled-Demo-Stream", "x")]), "behind", "stream", "Alarm x", "stream"),
        (
            facts(alarms=[("table-system-errors-GameScoreLedger-BatchGetItem", "x")]),
            "behind",
            "GameScoreLedger",
            "Alarm x",
            "tables",
        ),
        (facts(alarms=[("new-kind-F", "x")]), "failing", "new", "Alarm x", "functions"),
    ],
)
def test_what_stops_or_delays_records_decides_and_names_its_node_and_panel(
    found: Facts, state: str, node: str, says: str, panel: str
) -> None:
    judged = verdict(found)

    assert judged.state == state
    assert (judged.reasons[0].node, judged.reasons[0].panel, judged.reasons[0].state) == (node, panel, state)
    assert says in judged.reasons[0].text


@pytest.mark.parametrize(
    ("found", "state", "reasons"),
    [
        (facts(function(delivered=9, done=9, lag_ms=200.0)), "flowing", []),
        (facts(), "idle", []),
        (facts(function(arrived=None)), "idle", []),
        (facts(function(arrived=9, delivered=9, done=9)), "flowing", []),
        (facts(function(lag_ms=52_000, delivered=9, done=9)), "flowing", []),
        (facts(function(delivered=20, done=9, failed=11)), "flowing", ["11 records failed and are delivered again"]),
        (facts(function(errors=3)), "idle", ["which may be test events"]),
        (facts(parked=2, discarded=1), "idle", ["2 parked records and 1 discarded batches wait"]),
        (facts(alarms=[(f"records-parked-{AGGREGATE}", "x")]), "idle", ["Alarm x"]),
    ],
)
def test_what_needs_attention_but_stops_nothing_is_a_reason_and_no_verdict(
    found: Facts, state: str, reasons: list[str]
) -> None:
    judged = verdict(found)

    assert judged.state == state
    assert [says in reason.text for says, reason in zip(reasons, judged.reasons, strict=True)] == [True] * len(reasons)


def test_the_worst_reason_comes_first() -> None:
    found = facts(
        function(AGGREGATE, mapping="Disabled"),
        function(PROCESS, delivered=9, done=9, lag_ms=70_000),
        parked=1,
        alarms=[(f"function-errors-{PROCESS}", "x")],
    )

    judged = verdict(found)

    assert judged.state is State.BLOCKED
    assert [reason.state for reason in judged.reasons] == ["blocked", "failing", "behind", None]


def test_every_section_of_the_runbook_that_a_reason_names_exists() -> None:
    from scripts.console import verdict as module
    from scripts.stage import ROOT

    sections = {line.lstrip("# ").strip().lower() for line in (ROOT / "docs/runbook.md").read_text().splitlines()}

    assert set(module._ALARMS) | {"alarms"} <= sections


def line(at: int, name: str, message: str, **metrics: Any) -> Line:
    counts = {each: (value, "Count") for each, value in metrics.items()}
    embedded = embedded_metrics("GameScores", name, at, counts) if metrics else {}
    return Line(at * 1000, name, "s", json.dumps({"message": message, **embedded}))


def test_the_counts_are_what_the_last_line_of_each_batch_says() -> None:
    found = from_summaries(
        [
            line(10, PROCESS, "Successfully processed 7 records."),
            line(12, PROCESS, "Successfully processed 3 records.", Stored=2, Failed=0),
            line(12, PROCESS, 'Decoded payload: {"message":"Successfully processed 99 records"}'),
            line(25, AGGREGATE, "Successfully processed 0 records.", Records=48, Applied=0, Failed=48),
        ]
    )

    assert found.of(PROCESS, "Done") == {10: 10}
    assert found.of(PROCESS, "Stored") == {10: 2}
    assert (found.total(AGGREGATE, ["Records"]), found.waiting(AGGREGATE)) == (48, 48)
    assert (found.failed_last(AGGREGATE), found.failed_last(PROCESS)) == (True, False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, "7", None, True, 10**400])
def test_a_metric_that_is_no_count_is_not_counted(value: Any) -> None:
    found = from_summaries([line(10, AGGREGATE, "Successfully processed 1 records.", Records=value)])

    assert found.of(AGGREGATE, "Records") == {}


def counted(*lines: Line, lags: dict[str, dict[int, float]]) -> Counts:
    """What the lines say, with lags that Lambda measured."""
    found = from_summaries(lines)
    series = {**found.series, **{(name, "IteratorAge"): values for name, values in lags.items()}}
    return Counts(found.window, found.period, is_delayed=False, series=series, last=found.last)


def found_status(deployment: Deployed, **changes: Any) -> Status:
    functions = deployment.outputs["functions"]
    fields: dict[str, Any] = {
        "stage": "dev",
        "account": "1",
        "region": "r",
        "endpoint": None,
        "resources": [Resource("stream", "Demo-Stream", "ACTIVE", "")],
        "mappings": [EventSource(each["name"], "Enabled", None, "OK") for each in functions.values()],
        "failures": Failures(0, 0),
        "alarms": [],
    }
    return Status(**(fields | changes))


def test_a_function_that_fails_on_every_record_is_failing_for_as_long_as_it_lasts(deployment: Deployed) -> None:
    failed = line(AT, AGGREGATE, "Successfully processed 0 records.", Records=48, Applied=0, Failed=1)
    flows = line(AT, PROCESS, "Successfully processed 48 records.", Stored=48)
    lags: dict[str, dict[int, float]] = {AGGREGATE: {AT: 52_000.0}, PROCESS: {AT: 100.0}}

    judged = verdict(gather(deployment, found_status(deployment), counted(flows, failed, lags=lags), NOW))

    assert judged.state is State.FAILING
    assert [reason.node for reason in judged.reasons] == [AGGREGATE]


def test_a_test_event_is_no_flow(deployment: Deployed) -> None:
    tested = line(AT, AGGREGATE, "Successfully processed 1 records.", Records=1, Applied=1)

    judged = verdict(gather(deployment, found_status(deployment), counted(tested, lags={}), NOW))

    assert judged.state is State.IDLE


def of_cloudwatch(series: dict[tuple[str, str], dict[int, float]]) -> Counts:
    """What CloudWatch has of the last five minutes."""
    done = {(PROCESS, "Done"): series.get((PROCESS, "Delivered"), {})}
    return Counts(300, 60, is_delayed=True, series=series | done)


MINUTES = [int(NOW.timestamp()) // 60 * 60 - 60 * minute for minute in range(5)]
"""The starts of the minutes that CloudWatch has, newest first."""


@pytest.mark.parametrize(
    ("series", "node"),
    [
        ({(PROCESS, "Delivered"): dict.fromkeys(MINUTES, 1000.0)}, PROCESS),
        (
            {
                (PROCESS, "Delivered"): dict.fromkeys(MINUTES, 1000.0),
                (PROCESS, "IteratorAge"): dict.fromkeys(MINUTES, 100.0),
                (PROCESS, "Stored"): dict.fromkeys(MINUTES, 800.0),
            },
            AGGREGATE,
        ),
    ],
)
def test_records_that_nobody_delivers_are_behind_though_nothing_says_why(
    deployment: Deployed, series: dict[tuple[str, str], dict[int, float]], node: str
) -> None:
    mappings = [
        EventSource(each["name"], "Enabled", None, "No records processed")
        for each in deployment.outputs["functions"].values()
    ]

    judged = verdict(gather(deployment, found_status(deployment, mappings=mappings), of_cloudwatch(series), NOW))

    assert (judged.state, [(reason.node, reason.runbook) for reason in judged.reasons]) == (
        State.BEHIND,
        [(node, "iterator-age")],
    )


@pytest.mark.parametrize("minutes", [1, 2, 3])
def test_records_of_which_cloudwatch_cannot_have_the_delivery_yet_are_not_behind(
    deployment: Deployed, minutes: int
) -> None:
    began = of_cloudwatch({(PROCESS, "Delivered"): dict.fromkeys(MINUTES[:minutes], 1000.0)})

    judged = verdict(gather(deployment, found_status(deployment), began, NOW))

    assert (judged.state, judged.reasons) == (State.IDLE, [])


@pytest.mark.parametrize(("seconds", "state"), [(5, State.FLOWING), (25, State.FLOWING), (55, State.BEHIND)])
def test_changes_on_a_local_cloud_are_behind_once_their_delivery_is_overdue(
    deployment: Deployed, seconds: int, state: State
) -> None:
    at = int(NOW.timestamp()) - seconds
    stored = line(at, PROCESS, "Successfully processed 48 records.", Stored=48)
    lags: dict[str, dict[int, float]] = {PROCESS: {at: 100.0}}

    judged = verdict(gather(deployment, found_status(deployment), counted(stored, lags=lags), NOW))

    assert judged.state is state


def test_what_a_test_event_processed_on_a_local_cloud_did_not_arrive_by_the_stream(deployment: Deployed) -> None:
    tested = line(int(NOW.timestamp()) - 55, PROCESS, "Successfully processed 1 records.")

    judged = verdict(gather(deployment, found_status(deployment), counted(tested, lags={}), NOW))

    assert (judged.state, judged.reasons) == (State.IDLE, [])


@pytest.mark.parametrize(
    ("failed", "is_failing"),
    [
        ({MINUTES[3]: 0.0, MINUTES[2]: 48.0}, True),
        ({MINUTES[3]: 48.0, MINUTES[2]: 0.0}, False),
        ({MINUTES[4]: 48.0}, True),
        ({}, False),
    ],
)
def test_a_metric_that_cloudwatch_does_not_have_yet_is_not_taken_for_zero(
    deployment: Deployed, failed: dict[int, float], is_failing: bool
) -> None:
    found = of_cloudwatch(
        {
            (AGGREGATE, "Records"): dict.fromkeys(MINUTES[2:], 96.0),
            (AGGREGATE, "Applied"): dict.fromkeys(MINUTES[2:], 48.0),
            (AGGREGATE, "Failed"): failed,
            (AGGREGATE, "IteratorAge"): dict.fromkeys(MINUTES[1:], 100.0),
        }
    )

    assert found.failed_last(AGGREGATE) is is_failing
    judged = verdict(gather(deployment, found_status(deployment), found, NOW))
    assert judged.state is (State.FAILING if is_failing else State.FLOWING)


def test_the_lag_is_that_of_now_and_not_the_greatest_of_the_window() -> None:
    found = counted(lags={AGGREGATE: {AT - 240: 300_000.0, AT: 400.0}})

    assert found.lag_ms(AGGREGATE) == 400


def test_the_backlog_is_what_arrives_while_the_lag_lasts() -> None:
    delivered = line(AT - 10, PROCESS, "Successfully processed 500 records.")

    found = counted(delivered, lags={PROCESS: {AT: 12_000.0}})

    assert (found.backlog(PROCESS, NOW), found.backlog(AGGREGATE, NOW)) == (600, None)


def test_an_alarm_is_a_fact_by_its_key(deployment: Deployed) -> None:
    outputs = {**deployment.outputs, "alarms": {f"function-errors-{PROCESS}": "named", "other": "quiet"}}
    system = Deployed(deployment.stage, deployment.account, outputs)
    status = found_status(system, alarms=[Alarm("named", "ALARM"), Alarm("quiet", "OK")])

    found = gather(system, status, counted(lags={}), NOW)

    assert found.alarms == [(f"function-errors-{PROCESS}", "named")]


def test_a_look_at_the_pipeline_is_shared_and_not_repeated_at_once(deployment: Deployed) -> None:
    looks = 0

    def look(system: Deployed) -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {"look": looks}

    flow = Flow(look)

    assert [flow.of(deployment)["look"] for _ in range(5)] == [1] * 5
    other = Deployed(deployment.stage, deployment.account, {**deployment.outputs, "failure_bucket": "another"})
    assert flow.of(other)["look"] == 2, "another deployment is looked at"


def test_a_look_that_hangs_leaves_an_answer_that_says_how_old_it_is(
    deployment: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:

    now, hangs, go_on = 0.0, threading.Event(), threading.Event()

    def look(_: Deployed) -> dict[str, Any]:
        if now > 0:
            hangs.set()
            go_on.wait(10)
        return {}

    monkeypatch.setattr(module, "_MOMENT_SECONDS", 0.05)
    flow = Flow(look, lambda: now)
    flow.of(deployment)
    now = 30.0

    try:
        assert [flow.of(deployment)["age"] for _ in range(2)] == [30.0, 30.0]
        assert hangs.is_set()
    finally:
        go_on.set()


def test_a_first_look_that_hangs_is_told_as_no_answer(deployment: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    go_on = threading.Event()

    def look(_: Deployed) -> dict[str, Any]:
        go_on.wait(10)
        return {}

    try:
        with pytest.raises(RefusedError) as refused:
            Flow(look).of(deployment)
        assert refused.value.problem.kind == "unreachable"
    finally:
        go_on.set()
