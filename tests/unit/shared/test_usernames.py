import pytest

from handlers.shared import usernames
from handlers.shared.errors import PoisonRecordError


@pytest.mark.parametrize("username", ["a", "Jane Doe", " ", "é" * 1024, "x" * 2048])
def test_a_username_that_dynamodb_takes_as_a_key_is_taken(username: str) -> None:
    assert usernames.check(username) == username


@pytest.mark.parametrize(
    ("username", "reason"),
    [
        ("", "Username is empty"),
        ("x" * 2049, "Username is too long for a key"),
        ("é" * 1024 + "x", "Username is too long for a key"),
        ("\ud800", "Username is not text"),
    ],
)
def test_a_username_that_dynamodb_refuses_as_a_key_is_poison(username: str, reason: str) -> None:
    with pytest.raises(PoisonRecordError, match=f"^{reason}$"):
        usernames.check(username)
