"""What Lambda says of an invocation in its log, and the metrics in what a function says."""

import json
from typing import Any

import pytest

from localcloud.emulator.invocation_log import Run, embedded_metrics, lines

CONFIG: dict[str, Any] = {"Version": "7", "MemorySize": 256}
JSON = {"LoggingConfig": {"LogFormat": "JSON"}}


def run(**more: Any) -> Run:
    return Run("r-1", started=1_000.0, peak_kb=60_500, **more)


def test_text_has_start_end_and_report() -> None:
    assert lines(CONFIG, run(), "one\ntwo", 1_000.0125, None) == [
        "START RequestId: r-1 Version: 7",
        "one",
        "two",
        "END RequestId: r-1",
        "REPORT RequestId: r-1\tDuration: 12.50 ms\tBilled Duration: 13 ms\tMemory Size: 256 MB\t"
        "Max Memory Used: 60 MB\t",
    ]


def test_the_time_in_which_the_function_is_loaded_is_told_apart_and_billed() -> None:
    report = lines(CONFIG, run(init_ms=100.25), "", 1_000.2, None)[-1]

    assert "Duration: 99.75 ms\tBilled Duration: 200 ms\t" in report
    assert report.endswith("Init Duration: 100.25 ms\t")


def test_json_has_platform_events_around_what_the_function_logs() -> None:
    first, own, last = lines(CONFIG | JSON, run(), '{"a": 1}', 1_000.0125, None)

    assert json.loads(first) == {
        "time": "1970-01-01T00:16:40.000Z",
        "type": "platform.start",
        "record": {"requestId": "r-1", "version": "7"},
    }
    assert own == '{"a": 1}'
    assert json.loads(last) == {
        "time": "1970-01-01T00:16:40.012Z",
        "type": "platform.report",
        "record": {
            "requestId": "r-1",
            "metrics": {"durationMs": 12.5, "billedDurationMs": 13, "memorySizeMB": 256, "maxMemoryUsedMB": 60},
            "status": "success",
        },
    }


@pytest.mark.parametrize(("error", "status"), [("Sandbox.Timedout", "timeout"), ("Runtime.HandlerError", "error")])
def test_json_names_the_error_of_an_invocation_that_failed(error: str, status: str) -> None:
    record = json.loads(lines(CONFIG | JSON, run(), "", 1_001.0, error)[-1])["record"]

    assert (record["status"], record["errorType"]) == (status, error)


def test_system_logs_of_level_warn_have_failures_only() -> None:
    config = CONFIG | {"LoggingConfig": {"LogFormat": "JSON", "SystemLogLevel": "WARN"}}

    assert lines(config, run(), "own", 1_001.0, None) == ["own"]
    assert len(lines(config, run(), "own", 1_001.0, "Runtime.HandlerError")) == 2


def test_metrics_are_taken_from_the_embedded_metric_format() -> None:
    """The example of the specification, with a list of values and two sets of dimensions."""
    line = {
        "_aws": {
            "Timestamp": 1574109732004,
            "CloudWatchMetrics": [
                {
                    "Namespace": "lambda-function-metrics",
                    "Dimensions": [["functionVersion"], []],
                    "Metrics": [{"Name": "time", "Unit": "Milliseconds"}, {"Name": "missing"}],
                }
            ],
        },
        "functionVersion": "$LATEST",
        "time": [100, 200],
    }

    assert embedded_metrics(json.dumps(line)) == [
        ("lambda-function-metrics", "time", value, "Milliseconds", dimensions, 1574109732.004)
        for dimensions in ({"functionVersion": "$LATEST"}, {})
        for value in (100.0, 200.0)
    ]


DEEP = "[" * 100_000 + "]" * 100_000
METRIC = (
    '{"_aws": {"CloudWatchMetrics": [{"Namespace": "n", "Dimensions": [[]], "Metrics": [{"Name": "m"}]}]}, "m": %s}'
)


@pytest.mark.parametrize(
    "line",
    [
        "text",
        "{}",
        '{"_aws": 1}',
        '{"_aws": {"CloudWatchMetrics": [{}]}}',
        '"_aws"',
        f'{{"_aws": {DEEP}}}',
        *(METRIC % value for value in ("null", '"7"', "true", "9" * 400, '[1, "7"]')),
    ],
)
def test_other_lines_have_no_metrics(line: str) -> None:
    assert embedded_metrics(line) == []
