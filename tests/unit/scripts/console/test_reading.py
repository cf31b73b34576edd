"""The newest records of the stream, and the newest lines of a log."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from scripts.console.loglines import newest
from scripts.console.recent import Recent, decode
from scripts.deployment import Deployed
from scripts.observe.logs import containing, lines
from tests.unit.scripts.console.conftest import ConsoleClient

Serve = Callable[..., ConsoleClient]
NOW = datetime.now(UTC)


class Throttled(Exception):  # noqa: N818
    """What a shard answers that has been read five times in a second."""


class BusyStream:
    """One shard with so many records, evenly spread over the last minutes, of which a read takes 5,000 at most.

    Reads with these numbers, from 1 on, fail.
    """

    class exceptions:  # noqa: N801 as boto3 names it
        ExpiredIteratorException = KeyError
        ProvisionedThroughputExceededException = Throttled

    def __init__(self, records: int, spread: timedelta, failing: Mapping[int, Exception] | None = None) -> None:
        self._count, self._spread = records, spread
        self._failing = failing or {}
        self._now = datetime.now(UTC)
        self.shards: list[Any] = [{"ShardId": "shardId-0", "SequenceNumberRange": {}}]
        self.reads = 0

    def get_paginator(self, _: str) -> "BusyStream":
        return self

    def paginate(self, **_: Any) -> list[Any]:
        return [{"Shards": self.shards}]

    def _at(self, number: int) -> datetime:
        return self._now - self._spread * (1 - (number + 1) / self._count)

    def get_shard_iterator(self, *, Timestamp: datetime, **_: Any) -> dict[str, str]:  # noqa: N803 as boto3 names it
        first = next((n for n in range(self._count) if self._at(n) >= Timestamp), self._count)
        return {"ShardIterator": str(first)}

    def get_records(self, *, ShardIterator: str, Limit: int) -> dict[str, Any]:  # noqa: N803 as boto3 names it
        self.reads += 1
        if self.reads in self._failing:
            raise self._failing[self.reads]
        first = int(ShardIterator)
        end = min(first + min(Limit, 5000), self._count)
        behind = (self._now - self._at(end)).total_seconds() * 1000 if end < self._count else 0
        return {
            "Records": [
                {
                    "ApproximateArrivalTimestamp": self._at(number),
                    "PartitionKey": "k",
                    "SequenceNumber": str(number),
                    "Data": b"x",
                }
                for number in range(first, end)
            ],
            "NextShardIterator": str(end),
            "MillisBehindLatest": int(behind),
        }


@pytest.mark.parametrize(("records", "looks"), [(300, 1), (9_000, 1), (25_000, 3), (60_000, 4)])
def test_recent_records_are_the_newest_however_many_came_in_five_minutes(records: int, looks: int) -> None:
    now = 0.0
    stream: Any = BusyStream(records, timedelta(minutes=4, seconds=50))
    recent = Recent(lambda: now)

    for _ in range(looks):
        seen = recent.look(stream, "s", 0)
        now += 1.1

    assert seen["records"][-1]["sequence"] == str(records - 1)
    assert not seen["behind"]
    assert stream.reads <= 2 * looks, "of the five reads a second that a shard gives"


def test_a_reader_that_is_not_at_the_end_yet_says_so() -> None:
    stream: Any = BusyStream(25_000, timedelta(minutes=4, seconds=50))

    assert Recent().look(stream, "s", 0)["behind"]


@pytest.mark.parametrize("failure", [Throttled(), KeyError("expired"), EndpointConnectionError(endpoint_url="")])
def test_what_was_read_before_a_read_that_fails_is_shown(failure: Exception) -> None:
    now = 0.0
    stream: Any = BusyStream(5_100, timedelta(minutes=4, seconds=50), {2: failure})
    recent = Recent(lambda: now)

    with suppress(EndpointConnectionError):
        recent.look(stream, "s", 0)
    seen = recent.look(stream, "s", 0)

    assert seen["records"][-1]["sequence"] == "4999"
    assert seen["last"] == 500


def test_a_reader_that_is_throttled_is_behind_and_has_left_nothing_out() -> None:
    now = 0.0
    stream: Any = BusyStream(5_100, timedelta(minutes=4, seconds=50), {1: Throttled()})
    recent = Recent(lambda: now)

    throttled = recent.look(stream, "s", 0)
    now = 1.1
    after = recent.look(stream, "s", 0)

    assert (throttled["behind"], throttled["skipped"]) == (True, False)
    assert (after["behind"], after["skipped"], after["last"]) == (False, False, 500 + 100)


def test_nobody_waits_for_a_shard_that_was_closed() -> None:
    now = 0.0
    stream: Any = BusyStream(5_100, timedelta(minutes=4, seconds=50), {1: Throttled()})
    recent = Recent(lambda: now)
    recent.look(stream, "s", 0)

    now = 1.1
    stream.shards = []

    assert not recent.look(stream, "s", 0)["behind"]


def test_a_shard_is_read_once_a_second_however_many_look(system: Deployed) -> None:
    now, reads = 0.0, 0
    kinesis = boto3.client("kinesis")

    def count(**_: Any) -> None:
        nonlocal reads
        reads += 1

    kinesis.meta.events.register("before-call.kinesis.GetRecords", count)
    recent = Recent(lambda: now)

    for _ in range(10):
        recent.look(kinesis, "Demo-Stream", 0)
    once = reads
    now = 1.0
    recent.look(kinesis, "Demo-Stream", 0)

    assert (once, reads) == (2, 4)  # of two shards


def test_after_nobody_has_looked_for_a_minute_it_begins_again(system: Deployed) -> None:
    now = 0.0
    kinesis = boto3.client("kinesis")
    recent = Recent(lambda: now)
    kinesis.put_record(StreamName="Demo-Stream", PartitionKey="1", Data=b"one")
    assert recent.look(kinesis, "Demo-Stream", 0)["last"] == 1

    now = 61.0
    again = recent.look(kinesis, "Demo-Stream", 1)

    assert (len(again["records"]), again["last"]) == (0, 1)


def test_what_is_not_text_is_shown_in_hexadecimal() -> None:
    assert decode(b"\xff\x00") == {"payload": "ff 00", "encoding": "hex", "bytes": 2, "cut": False}
    assert decode(b"x" * 30_000)["cut"]


class Log:
    """A log group that answers as the emulator does: 10,000 events at most, the oldest, and no token for the rest."""

    def __init__(self, events: Mapping[int, list[str]]) -> None:
        self._events = events
        self.patterns: set[str] = set()

    def get_paginator(self, _: str) -> "Log":
        return self

    def paginate(self, *, startTime: int, filterPattern: str, endTime: int = 10**15, **_: Any) -> list[Any]:  # noqa: N803
        self.patterns.add(filterPattern)
        word = filterPattern.strip('"').lower()
        found = [
            {"timestamp": at, "logStreamName": "s", "message": message}
            for at, messages in self._events.items()
            if startTime <= at <= endTime
            for message in messages
            if word in message.lower()
        ]
        return [{"events": found[:10_000]}]


def millis(before: timedelta) -> int:
    return int((NOW - before).timestamp() * 1000)


def found(log: Any, text: str = "", limit: int = 300, *, is_aws: bool = False) -> tuple[list[str], bool]:
    start = NOW - timedelta(minutes=10)
    logged, complete = newest(log, "g", start, NOW, text, limit, is_aws=is_aws)
    return [line.message for line in logged], complete


def test_the_newest_lines_are_shown_however_many_there_are() -> None:
    log = Log({millis(timedelta(seconds=n)): [f"line {n}.{m}" for m in range(100)] for n in range(599, 0, -1)})

    shown, complete = found(log)

    assert (shown[-1], len(shown), complete) == ("line 1.99", 300, False)


def test_a_filter_finds_a_line_among_a_hundred_thousand_and_leaves_the_search_to_the_service() -> None:
    log = Log(
        {millis(timedelta(seconds=n)): ["noise"] * 200 for n in range(590, 1, -1)}
        | {millis(timedelta(seconds=1)): ["the WANTED line"]}
    )

    shown, complete = found(log, "wanted line")

    assert (shown, complete) == (["the WANTED line"], True)
    assert log.patterns == {'"wanted"'}


@pytest.mark.parametrize("text", ['{"RecordID": 7', '7, "Username"', "Grüße", "\\"])
def test_a_filter_finds_what_the_page_shows_although_the_line_escapes_it(text: str) -> None:
    line = '{"level":"INFO","message":"Decoded payload: {\\"RecordID\\": 7, \\"Username\\": \\"Grüße\\\\\\\\\\"}"}'

    assert found(Log({millis(timedelta(seconds=1)): [line]}), text) == ([line], True)


def test_cloudwatch_is_asked_for_a_part_of_a_word_in_any_case() -> None:
    assert containing("warn: x", is_aws=True) == "%[wW][aA][rR][nN]%"
    assert containing("warn: x", is_aws=False) == '"warn"'
    assert containing("é: ?", is_aws=True) == ""


def test_lines_go_on_after_a_full_page_that_has_no_token() -> None:
    """As make logs reads them; several lines may have the same time and text."""
    at = [millis(timedelta(seconds=300)) + n // 100 for n in range(25_050)]
    events: dict[int, list[str]] = {}
    for number, moment in enumerate(at):
        events.setdefault(moment, []).append(f"line {number // 2}")
    log: Any = Log(events)

    read = [line.message for line in lines(log, {"F": "g"}, NOW - timedelta(minutes=10))]

    assert read == [f"line {number // 2}" for number in range(25_050)]
