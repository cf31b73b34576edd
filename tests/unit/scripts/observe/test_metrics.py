"""What the functions' metrics are, wherever they are kept."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from scripts.observe.metrics import Panel, chart, from_cloudwatch, period, picture

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
AT = int(START.timestamp())


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


def test_the_latency_of_a_test_event_from_years_ago_is_not_drawn() -> None:
    with mock_aws():
        cloudwatch = boto3.client("cloudwatch")
        for minutes, value in ((0, 360_058_968_820), (1, 5)):
            cloudwatch.put_metric_data(
                Namespace="GameScores",
                MetricData=[
                    {
                        "MetricName": "Latency",
                        "Dimensions": [{"Name": "FunctionName", "Value": "A"}],
                        "Timestamp": START + timedelta(minutes=minutes),
                        "Value": value,
                    }
                ],
            )

        found = from_cloudwatch(
            cloudwatch,
            cloudwatch.list_metrics(Namespace="GameScores")["Metrics"],  # type: ignore[arg-type]
            START,
            START + timedelta(minutes=5),
            60,
        )

    assert [panel.series for panel in found] == [{"A": {AT + 60: 5}}]


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
