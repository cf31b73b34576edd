import json
from typing import Any

import pytest
from botocore.parsers import ResponseParserError
from botocore.stub import Stubber

from handlers.shared import aws
from handlers.shared.errors import RefusedError, RetryableError
from handlers.shared.parking import FailureBucket, event_time, parked_document, parked_key


def test_a_key_tells_the_function_the_day_and_the_event() -> None:
    key = parked_key("F", {"eventID": "shardId-000000000000:495"}, 1_795_392_000.5)

    assert key == "parked/F/2026-11-23/shardId-000000000000:495.json"


@pytest.mark.parametrize("event_id", [None, 7, "", "../up", "x" * 201, "ü"])
def test_a_record_without_a_usable_event_id_goes_by_its_hash(event_id: Any) -> None:
    record, other = {"eventID": event_id, "n": 1}, {"eventID": event_id, "n": 2}

    key = parked_key("F", record, 0)

    assert key.startswith("parked/F/1970-01-01/")
    assert len(key.removeprefix("parked/F/1970-01-01/")) == len(".json") + 64
    assert key == parked_key("F", dict(reversed(record.items())), 0)
    assert key != parked_key("F", other, 0)


def test_a_record_of_no_time_is_undated() -> None:
    assert parked_key("F", {"eventID": "e"}, None) == "parked/F/undated/e.json"


def test_a_document_has_the_record_where_event_source_mappings_put_theirs() -> None:
    record = {"eventID": "e", "text": "\ud800"}

    assert json.loads(parked_document("F", record, "why")) == {
        "function": "F",
        "reason": "why",
        "payload": {"Records": [record]},
    }


@pytest.mark.parametrize("value", [None, "2026-11-23", -1, 1e11, float("nan")])
def test_a_time_that_is_none_leaves_a_record_undated(value: object) -> None:
    assert event_time(value) is None
    assert parked_key("Function", {"eventID": "1"}, event_time(value)) == "parked/Function/undated/1.json"


@pytest.mark.parametrize("value", [0, 1_795_392_000, 1_795_392_000.5])
def test_a_time_has_a_fraction_or_none(value: float) -> None:
    assert event_time(value) == value


def test_a_document_is_stored_as_json() -> None:
    client = aws.client("s3", connections=1)

    with Stubber(client) as stubber:
        sent = {"Bucket": "failures", "Key": "key", "Body": b"{}", "ContentType": "application/json"}
        stubber.add_response("put_object", {}, sent)
        FailureBucket(lambda: client, "failures").park("key", "{}")


@pytest.mark.parametrize(("code", "error"), [("SlowDown", RetryableError), ("AccessDenied", RefusedError)])
def test_what_s3_does_not_take_is_not_parked(code: str, error: type[Exception]) -> None:
    client = aws.client("s3", connections=1)

    with Stubber(client) as stubber, pytest.raises(error, match=code):
        stubber.add_client_error("put_object", code)
        FailureBucket(lambda: client, "failures").park("key", "document")


def test_an_answer_that_is_none_of_s3_is_no_reason_to_give_up() -> None:
    client = aws.client("s3", connections=1)

    def garble(**_: Any) -> None:
        raise ResponseParserError("no XML")

    client.meta.events.register_first("before-send.s3.PutObject", garble)

    with pytest.raises(RetryableError, match="ResponseParserError"):
        FailureBucket(lambda: client, "failures").park("key", "{}")
