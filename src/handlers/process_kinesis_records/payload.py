"""What a Kinesis record carries."""

import binascii
from dataclasses import dataclass


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
