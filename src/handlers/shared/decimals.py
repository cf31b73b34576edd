"""DynamoDB's numbers, exactly: 38 significant digits between 1E-130 and 9.99E+125, never a float.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
"""

import re
from decimal import Context, Decimal, Inexact
from functools import lru_cache

ZERO = Decimal(0)
DIGITS = 38
_LARGEST_EXPONENT, _SMALLEST_EXPONENT = 125, -130

# Wide enough for any sum of scores, 1E+125 and 1E-130 among them; rounding one would lose a score silently.
_EXACT = Context(prec=400, traps=[Inexact])

add = _EXACT.add
subtract = _EXACT.subtract

# Decimal() alone also reads "NaN", "1_000", " 1 " and digits of other scripts.
_NUMERAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def is_storable(number: Decimal) -> bool:
    """Whether DynamoDB can hold the number without rounding it."""
    return not number or (
        _SMALLEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT
        and len(number.normalize(_EXACT).as_tuple().digits) <= DIGITS
    )


@lru_cache(maxsize=10_000)  # scores repeat
def parse(text: str) -> Decimal:
    """The number that an attribute of type N spells. Raises ValueError when DynamoDB could not hold it."""
    if len(text) <= DIGITS and text.isascii() and text.replace(".", "", 1).isdigit():
        return Decimal(text)  # the common case, at a third of the price
    # The length bounds the work that a numeral no table ever held could cause.
    if len(text) > 400 or not _NUMERAL.fullmatch(text):
        raise ValueError("is not a number")
    number = Decimal(text)
    if not is_storable(number):
        raise ValueError("does not fit a DynamoDB number")
    return number


def spell(number: Decimal) -> str:
    """The one spelling, without an exponent, that all equal numbers share."""
    if not number:
        return "0"  # and not "-0" or "0.00"
    return format(number.normalize(_EXACT), "f")
