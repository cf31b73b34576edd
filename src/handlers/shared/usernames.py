"""Usernames: the keys of GameScoresByUser."""

from functools import lru_cache

from handlers.shared.errors import PoisonRecordError

_BYTES = 2048  # the limit of a partition key


@lru_cache(maxsize=1024)  # usernames repeat
def check(username: str) -> str:
    """The username itself. Raises PoisonRecordError when DynamoDB does not take it as a key."""
    if not username:
        raise PoisonRecordError("Username is empty")
    try:
        size = len(username.encode())
    except UnicodeEncodeError:
        raise PoisonRecordError("Username is not text") from None
    if size > _BYTES:
        raise PoisonRecordError("Username is too long for a key")
    return username
