from handlers.shared.metrics import embedded_metrics


def test_a_log_line_carries_metrics_in_cloudwatchs_embedded_format() -> None:
    fields = embedded_metrics(
        "Namespace", "F", 1_795_392_000.25, {"Stored": (3, "Count"), "Latency": (7, "Milliseconds")}
    )

    assert fields == {
        "_aws": {
            "Timestamp": 1_795_392_000_250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Namespace",
                    "Dimensions": [["FunctionName"]],
                    "Metrics": [{"Name": "Stored", "Unit": "Count"}, {"Name": "Latency", "Unit": "Milliseconds"}],
                }
            ],
        },
        "FunctionName": "F",
        "Stored": 3,
        "Latency": 7,
    }
