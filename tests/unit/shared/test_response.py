"""Responses."""

import pytest

from handlers.shared.response import batch_response, complete_failure, reportable


def test_a_batch_that_is_done_reports_nothing() -> None:
    assert batch_response() == {"batchItemFailures": []}


def test_a_complete_failure_names_no_record() -> None:
    assert complete_failure() == {"batchItemFailures": [{"itemIdentifier": ""}]}


@pytest.mark.parametrize("number", ["0", "49545115243490985018280067714973144582180062593244200961"])
def test_a_sequence_number_is_reportable(number: str) -> None:
    assert reportable(number) == number


@pytest.mark.parametrize("value", [None, 7, "", "x", "-1", "1.5", "٣", "\ud800", ["1"]])
def test_what_is_no_sequence_number_fails_the_whole_batch(value: object) -> None:
    assert reportable(value) == ""
