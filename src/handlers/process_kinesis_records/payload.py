"""What a Kinesis record carries."""

import binascii
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A payload that is not text: `data` as it came, in base64, and why it could not be read."""

    data: str
    reason: str


def decode(data: str) -> str | Undecodable:
    """The text in a record's base64 `data`, or what is known of it when it is not text."""
    try:
        return binascii.a2b_base64(data, strict_mode=True).decode()
    except UnicodeDecodeError:
        return Undecodable(data, "is not UTF-8")
    except ValueError:  # binascii.Error, and a string that is not ASCII
        return Undecodable(data, "is not base64")


class Numeral(str):
    """A number of a JSON text, as it is spelled there: never a float, and as long as anyone cares to make it."""

    __slots__ = ()


Fields = dict[str, Any]
"""A JSON object with at least RecordID, Username and Score, each of any type; its numbers are Numerals."""

_SCORE_EVENT = {"RecordID", "Username", "Score"}
_decoder = json.JSONDecoder(parse_float=Numeral, parse_int=Numeral, parse_constant=Numeral)


def score_fields(text: str) -> Fields | None:
    """The payload as a score event, right or wrong; None for what does not look like one."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if value.keys() >= _SCORE_EVENT else None
