"""What a Kinesis record carries."""

import binascii
import json

# Spelled so, it costs a cold start nothing: typing would take as long as all that is imported here.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class UndecodableError(Exception):
    """A payload is not text; the message says why."""


def decode(data: str) -> str:
    """The text in a record's base64 `data`. Raises UndecodableError."""
    try:
        return binascii.a2b_base64(data, strict_mode=True).decode()
    except UnicodeDecodeError:
        raise UndecodableError("is not UTF-8") from None
    except ValueError:  # binascii.Error, and a string that is not ASCII
        raise UndecodableError("is not base64") from None


class Numeral(str):
    """A number of a JSON text, as it is spelled there: never a float, and as long as anyone cares to make it."""

    __slots__ = ()


Fields = dict[str, "Any"]
"""A JSON object with at least RecordID, Username and Score, each of any type.

Its numbers are Numerals. NaN and Infinity, which Python's parser takes though they are not JSON, are floats.
"""

_SCORE_EVENT = {"RecordID", "Username", "Score"}
_decoder = json.JSONDecoder(parse_float=Numeral, parse_int=Numeral)


def score_fields(text: str) -> Fields | None:
    """The payload as a score event, right or wrong; None for what does not look like one."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if value.keys() >= _SCORE_EVENT else None
