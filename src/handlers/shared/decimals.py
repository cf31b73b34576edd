"""DynamoDB's numbers, exactly: 38 significant digits between 1E-130 and 9.99E+125, never a float.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
"""

import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache

ZERO = Decimal(0)
DIGITS = 38
_DOES_NOT_FIT = "does not fit a DynamoDB number"
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 125, -130

# Wide enough for any sum of scores, 1E+125 and 1E-130 among them; rounding one would lose a score silently.
_EXACT = Context(prec=400, traps=[Inexact])

add = _EXACT.add
subtract = _EXACT.subtract

# Decimal() alone also reads "NaN", "1_000", " 1 " and digits of other scripts.
_NUMERAL = re.compile(r"[+-]?(?P<significand>\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def is_storable(number: Decimal) -> bool:
    """Whether DynamoDB can hold the number without rounding it."""
    return not number or (
        _SMALLEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT
        and len(number.normalize(_EXACT).as_tuple().digits) <= DIGITS
    )


@lru_cache(maxsize=10_000)  # scores repeat
def parse(text: str) -> Decimal:
    """Return the number that a text holds. Raises ValueError, and nothing else, when DynamoDB cannot hold it."""
    if len(text) <= DIGITS and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text)  # the common case, at a third of the price
    # The length bounds the work that a numeral no table ever held could cause.
    numeral = _NUMERAL.fullmatch(text) if len(text) <= 400 else None
    if not numeral:
        raise ValueError("is not a number")
    if not numeral["significand"].strip("0."):
        return ZERO  # whatever its exponent, which arithmetic would otherwise carry along
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits or more, which Decimal does not hold
        raise ValueError(_DOES_NOT_FIT) from None
    if not is_storable(number):
        raise ValueError(_DOES_NOT_FIT)
    return number


def canonical(number: Decimal) -> str:
    """Return the canonical form, without an exponent, that all equal numbers share."""
    if not number:
        return "0"  # and not "-0" or "0.00"
    return format(number.normalize(_EXACT), "f")
