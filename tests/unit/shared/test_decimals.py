from collections.abc import Callable
from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.shared import decimals

storable = st.decimals(allow_nan=False, allow_infinity=False).filter(decimals.is_storable)


@pytest.mark.parametrize(
    "text", ["0", "-0", "42", "-1.5", "+.5", "5.", "1e3", "9" * 38, "1E+125", "-1E-130", "0" * 50 + "1"]
)
def test_a_number_that_dynamodb_holds_is_read_exactly(text: str) -> None:
    assert decimals.parse(text) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["", "abc", "1.2.3", "NaN", "Infinity", "-sNaN", "1_000", " 1", "1\n", "٣", "1e", "0x10", "1" * 401]
)
def test_what_only_python_takes_for_a_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a number$"):
        decimals.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 39,
        "1.0000000000000000000000000000000000000001",
        "1E126",
        "1E-131",
        "1e9999999999999999999",  # beyond the exponents that Decimal itself can hold
        "-1E-9999999999999999999",
    ],
)
def test_a_number_beyond_dynamodbs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^does not fit a DynamoDB number$"):
        decimals.parse(text)


def test_the_longest_text_that_is_read_has_400_characters() -> None:
    assert decimals.parse("0" * 399 + "7") == 7


@pytest.mark.parametrize("text", ["0e9999999999999999999", "-0.0E-9999999999999999999", "0e999999", "0e-999999"])
def test_zero_is_zero_whatever_its_exponent(text: str) -> None:
    assert decimals.parse(text).as_tuple() == decimals.ZERO.as_tuple()


@given(
    st.one_of(
        st.text(),
        st.text("0123456789.+-eE", max_size=50),
        st.from_regex(r"[+-]?[0-9]{1,40}\.?[0-9]{0,40}[eE][+-]?[0-9]{1,300}", fullmatch=True),
    )
)
def test_any_text_is_a_storable_number_or_a_value_error(text: str) -> None:
    try:
        number = decimals.parse(text)
    except ValueError:
        return

    assert decimals.is_storable(number)
    assert decimals.parse(decimals.canonical(number)) == number
    assert decimals.subtract(decimals.add(number, decimals.parse("1")), number) == 1


@given(storable)
def test_a_number_survives_being_spelled(number: Decimal) -> None:
    assert decimals.parse(decimals.canonical(number)) == number


@pytest.mark.parametrize(
    ("number", "spelling"),
    [("1E+3", "1000"), ("1000.000", "1000"), ("-0.00", "0"), ("12E-3", "0.012"), ("-7", "-7")],
)
def test_a_number_has_one_spelling_without_an_exponent(number: str, spelling: str) -> None:
    assert decimals.canonical(Decimal(number)) == spelling


@given(storable, storable)
def test_sums_and_differences_are_exact(one: Decimal, other: Decimal) -> None:
    assert decimals.subtract(decimals.add(one, other), other) == one


def test_the_sum_of_ever_so_many_of_the_largest_scores_and_the_smallest_is_exact() -> None:
    largest, smallest = Decimal("9E+125"), Decimal("1E-130")
    total = smallest

    for _ in range(1000):
        total = decimals.add(total, largest)

    assert decimals.subtract(total, smallest) == Decimal("9E+128")


@pytest.mark.parametrize("operation", [decimals.add, decimals.subtract])
def test_what_would_be_rounded_is_an_error_instead(operation: Callable[[Decimal, Decimal], Decimal]) -> None:
    assert operation(Decimal("1E+125"), Decimal("1E-130")) != Decimal("1E+125")

    with pytest.raises(Inexact):
        operation(Decimal("1E+300"), Decimal("1E-300"))
