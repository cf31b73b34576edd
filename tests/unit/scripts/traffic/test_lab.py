"""The checklist of the lab."""

import pytest
from botocore.exceptions import ClientError

from scripts.traffic.lab import Check, Seen, walk


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time that passes only in sleep."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr("scripts.traffic.lab.time.monotonic", lambda: now[0])
    monkeypatch.setattr("scripts.traffic.lab.time.sleep", sleep)


def test_each_check_is_looked_at_until_it_sees_something() -> None:
    looks = iter([None, None, "42", "7"])

    def look() -> str | None:
        return next(looks)

    assert list(walk(iter([Check("1", "a", look, seconds=5), Check("2", "b", look)]))) == [
        Seen("1", "a", True, "42"),
        Seen("2", "b", True, "7"),
    ]


def test_what_is_not_seen_in_time_is_missing_and_the_walk_goes_on() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(1)

    assert [seen.ok for seen in walk(iter([Check("1", "a", look, seconds=5), Check("1", "b", lambda: "x")]))] == [
        False,
        True,
    ]
    assert len(looks) == 11


def test_what_aws_refuses_is_missing_and_says_why() -> None:
    def look() -> str:
        raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": "none"}}, "DescribeTable")

    (seen,) = walk(iter([Check("1", "a", look)]))

    assert not seen.ok
    assert "ResourceNotFoundException" in seen.seen
