"""What the functions' metrics are, wherever they are kept."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from handlers.shared.metrics import embedded_metrics
from scripts.observe.logs import Line
from scripts.observe.metrics import Panel, chart, from_cloudwatch, from_logs, period, picture

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
AT = int(START.timestamp())


def line(function: str, seconds: int, **values: float) -> Line:
    units = {name: (value, "Milliseconds" if name == "Latency" else "Count") for name, value in values.items()}
    message = json.dumps({"message": "done", **embedded_metrics("GameScores", function, 0, units)})
    return Line((AT + seconds) * 1000, function, "s", message)


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (timedelta(minutes=1), 60),
        (timedelta(hours=1), 60),
        (timedelta(minutes=61), 120),
        (timedelta(days=7), 10_080),
    ],
)
def test_a_span_has_some_sixty_points_of_whole_minutes(span: timedelta, seconds: int) -> None:
    assert period(span) == seconds


def test_metrics_in_log_lines_are_added_up_by_function_and_period() -> None:
    found = from_logs(
        [
            line("A", 0, Records=3, Latency=20),
            line("A", 59, Records=4, Latency=10),
            line("B", 60, Records=5),
            Line(AT * 1000, "A", "s", "START RequestId: 1"),
            Line(AT * 1000, "A", "s", '{"message": "Decoded payload: \\"_aws\\""}'),
            Line(AT * 1000, "A", "s", '"_aws"'),
        ],
        60,
    )

    assert {panel.metric: panel.series for panel in found} == {
        "Records": {"A": {AT: 7}, "B": {AT + 60: 5}},
        "Latency": {"A": {AT: 20}},
    }


def test_the_latency_of_a_test_event_from_years_ago_is_not_drawn() -> None:
    found = from_logs([line("A", 0, Latency=360_058_968_820), line("A", 0, Latency=5)], 60)

    assert [panel.series for panel in found] == [{"A": {AT: 5}}]


def test_metrics_of_cloudwatch_are_read_by_function() -> None:
    with mock_aws():
        cloudwatch = boto3.client("cloudwatch")
        for function, value in (("A", 2.0), ("A", 3.0), ("B", 7.0)):
            cloudwatch.put_metric_data(
                Namespace="AWS/Lambda",
                MetricData=[
                    {
                        "MetricName": name,
                        "Dimensions": [{"Name": "FunctionName", "Value": function}],
                        "Timestamp": START,
                        "Value": value,
                    }
                    for name in ("Invocations", "IteratorAge")
                ],
            )

        found = from_cloudwatch(
            cloudwatch,
            cloudwatch.list_metrics(Namespace="AWS/Lambda")["Metrics"],  # type: ignore[arg-type]
            START,
            START + timedelta(minutes=5),
            60,
        )

    assert {panel.metric: panel.series for panel in found} == {
        "Invocations": {"A": {AT: 5}, "B": {AT: 7}},
        "IteratorAge": {"A": {AT: 3}, "B": {AT: 7}},
    }


def test_panels_are_drawn_for_the_terminal_and_as_a_picture(tmp_path: Path) -> None:
    drawn = [
        Panel("Invocations", {"A": {AT: 1, AT + 60: 3}, "B": {AT: 2}}),
        Panel("Duration", {"A": {AT: 12.5}}),
        Panel("Stored", {"B": {AT: 2}}),
    ]
    end = START + timedelta(minutes=5)

    text = chart(drawn, START, end, 100)
    picture(drawn, START, end, "title", tmp_path / "new" / "metrics.png")

    for part in ("Invocations", "Duration, average in ms", "Stored", "10:00", "10:05"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 100
    assert (tmp_path / "new" / "metrics.png").read_bytes().startswith(b"\x89PNG")


def test_a_panel_of_zeros_is_empty() -> None:
    assert Panel("Errors", {"A": {AT: 0}, "B": {}}).is_empty
    assert not Panel("Errors", {"A": {AT: 0}, "B": {AT: 1}}).is_empty
