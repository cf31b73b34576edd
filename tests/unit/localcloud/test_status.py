"""What is told of mappings."""

import pytest

from localcloud.engine.status import LoggedStatus


def test_a_problem_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    status = LoggedStatus()

    for _ in range(3):
        status.problem("u", "stream", "gone")
    status.well("u", "stream")
    status.well("u", "stream")

    assert caplog.messages == ["u: stream: PROBLEM: gone", "u: stream: well again"]


def test_a_fault_is_told_once_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    status = LoggedStatus()

    for _ in range(3):
        status.fault("u", OSError("disk full"))

    [record] = caplog.records
    assert record.exc_info
    assert status.results() == {"u": "PROBLEM: engine: OSError('disk full')"}


def test_a_fault_is_over_once_the_function_is_invoked_again() -> None:
    status = LoggedStatus()

    status.fault("u", OSError("disk full"))
    status.invoked("u", failed=True)
    failed = status.results()["u"], status.last_results()["u"]
    status.invoked("u", failed=False)

    assert failed == ("PROBLEM: engine: OSError('disk full')", "PROBLEM: OSError('disk full')")
    assert (status.results(), status.last_results()) == ({"u": "OK"}, {"u": "OK"})


def test_results_name_every_problem() -> None:
    status = LoggedStatus()

    status.problem("u", "stream", "gone")
    status.problem("u", "function", "throttled")
    status.well("v", "stream")

    assert status.results() == {"u": "PROBLEM: stream: gone; PROBLEM: function: throttled", "v": "OK"}


def test_the_last_result_is_that_of_the_stream_or_of_the_last_invocation() -> None:
    status = LoggedStatus()
    seen = []

    def look() -> None:
        seen.append(status.last_results().get("u"))

    look()
    status.well("u", "configuration")
    look()
    status.invoked("u", failed=True)
    status.problem("u", "function for shard 1", "function failed: Unhandled")
    look()
    status.problem("u", "shard 1", "AccessDenied")
    look()
    status.well("u", "shard 1")
    status.invoked("u", failed=False)
    status.well("engine", "mappings")
    look()

    assert seen == [
        None,
        "No records processed",
        "PROBLEM: Function call failed",
        "PROBLEM: AccessDenied",
        "OK",
    ]
    assert status.last_results().keys() == {"u"}
