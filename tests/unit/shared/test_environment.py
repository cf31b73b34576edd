import pytest

from handlers.shared import aws
from handlers.shared.environment import Environment, SettingsError


def test_an_environment_without_problems_passes() -> None:
    environment = Environment({"NAME": "x", "NUMBER": "1"})

    assert environment.text("NAME") == "x"
    assert environment.number("NUMBER", default=7, least=1) == 1
    environment.check()


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "x", "٣", "³"])
def test_a_number_that_is_wrong_is_a_problem_and_reads_as_its_default(value: str) -> None:
    environment = Environment({"NUMBER": value})

    assert environment.number("NUMBER", default=7, least=1) == 7
    with pytest.raises(SettingsError, match=f"^NUMBER is {value!r}, not a whole number of at least 1$"):
        environment.check()


def test_a_number_may_be_as_small_as_is_allowed() -> None:
    environment = Environment({"NUMBER": "3"})

    assert environment.number("NUMBER", default=7, least=3) == 3
    environment.check()


def test_what_the_functions_share_has_defaults() -> None:
    environment = Environment({})

    assert (environment.margin_seconds(), environment.metrics_namespace()) == (5, "GameScores")
    environment.check()


def test_what_the_functions_share_can_be_set() -> None:
    environment = Environment({"MARGIN_SECONDS": "4", "METRICS_NAMESPACE": "Test"})

    assert (environment.margin_seconds(), environment.metrics_namespace()) == (4, "Test")
    environment.check()


def test_there_is_always_a_margin_that_a_call_fits_into() -> None:
    assert aws.CONNECT_SECONDS + aws.READ_SECONDS == 4
    environment = Environment({"MARGIN_SECONDS": "3"})

    environment.margin_seconds()

    with pytest.raises(SettingsError, match="MARGIN_SECONDS is '3'"):
        environment.check()
