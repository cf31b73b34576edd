"""The failure bucket when S3 refuses, or answers late: nothing is lost."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from handlers.shared.parking import parked_document
from scripts.failures.failures import as_line
from scripts.failures.store import Failure, FailureBucket

NAME = "failures"
KEY = "parked/AggregateScoresByUser/2026-11-23/event-1.json"
RECORD = {"eventID": "event-1"}


class Store:
    """A bucket that holds one parked record, and what it was asked to do."""

    def __init__(self) -> None:
        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=NAME)
        self.client.put_bucket_versioning(Bucket=NAME, VersioningConfiguration={"Status": "Enabled"})
        self.client.put_object(
            Bucket=NAME, Key=KEY, Body=parked_document("AggregateScoresByUser", RECORD, "why").encode()
        )
        self.bucket = FailureBucket(self.client, NAME)
        self.failure = self.read()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.refuses: dict[str, str] = {}
        self.client.meta.events.register("before-call.s3", self._ask)

    def read(self) -> Failure:
        (failure,) = self.bucket.failures()
        return failure

    def names(self) -> list[str]:
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=NAME).get("Contents", [])]

    def _ask(self, model: Any, params: dict[str, Any], **_: Any) -> None:
        self.asked.append((model.name, {name.lower(): value for name, value in params["headers"].items()}))
        if model.name in self.refuses:
            raise ClientError({"Error": {"Code": self.refuses[model.name], "Message": "no"}}, model.name)


@pytest.fixture
def store() -> Iterator[Store]:
    with mock_aws():
        yield Store()


def test_an_object_is_copied_before_it_is_deleted_and_only_if_it_is_the_one_that_was_read(store: Store) -> None:
    assert store.bucket.set_aside(store.failure)

    (copy, copied), (delete, deleted) = store.asked
    assert (copy, delete) == ("CopyObject", "DeleteObject")
    assert copied["x-amz-copy-source-if-match"] == deleted["if-match"] == store.failure.etag
    assert store.names() == [f"redriven/{KEY}"]
    copied_body = store.client.get_object(Bucket=NAME, Key=f"redriven/{KEY}")["Body"].read()
    assert json.loads(copied_body) == store.failure.document


def test_an_object_that_cannot_be_copied_is_not_deleted(store: Store) -> None:
    store.refuses["CopyObject"] = "AccessDenied"

    with pytest.raises(ClientError, match="AccessDenied"):
        store.bucket.set_aside(store.failure)

    assert store.names() == [KEY]


@pytest.mark.parametrize("code", ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404"])
@pytest.mark.parametrize("operation", ["CopyObject", "DeleteObject"])
def test_an_object_that_somebody_else_has_replaced_or_moved_is_left_to_them(
    store: Store, operation: str, code: str
) -> None:
    store.refuses[operation] = code

    assert not store.bucket.set_aside(store.failure)

    assert KEY in store.names()


def test_what_still_fails_is_kept_under_its_key_if_it_is_the_object_that_was_read(store: Store) -> None:
    assert store.bucket.keep(store.failure, [RECORD], "still")

    ((operation, headers),) = store.asked
    assert operation == "PutObject"
    assert headers["if-match"] == store.failure.etag
    assert headers["content-type"] == "application/json"
    kept = store.read()
    assert (kept.key, kept.records, kept.reason, kept.function) == (KEY, [RECORD], "still", "AggregateScoresByUser")


def test_a_record_that_cannot_be_kept_is_not_called_kept(store: Store) -> None:
    store.refuses["PutObject"] = "PreconditionFailed"
    assert not store.bucket.keep(store.failure, [RECORD], "still")

    store.refuses["PutObject"] = "AccessDenied"
    with pytest.raises(ClientError, match="AccessDenied"):
        store.bucket.keep(store.failure, [RECORD], "still")


def test_an_object_is_the_same_until_somebody_writes_it(store: Store) -> None:
    assert store.bucket.latest(store.failure) is store.failure

    store.client.put_object(
        Bucket=NAME, Key=KEY, Body=parked_document("AggregateScoresByUser", RECORD, "other").encode()
    )

    latest = store.bucket.latest(store.failure)
    assert latest is not None
    assert latest.reason == "other"


def test_an_object_that_is_gone_has_no_latest_and_a_refusal_is_not_taken_for_that(store: Store) -> None:
    store.client.delete_object(Bucket=NAME, Key=KEY)
    assert store.bucket.latest(store.failure) is None

    store.refuses["HeadObject"] = "AccessDenied"
    with pytest.raises(ClientError, match="AccessDenied"):
        store.bucket.latest(store.failure)


def test_a_refusal_is_not_taken_for_an_object_that_is_gone(store: Store) -> None:
    store.refuses["GetObject"] = "AccessDenied"

    with pytest.raises(ClientError, match="AccessDenied"):
        store.bucket.read(KEY)


def test_only_failures_are_read(store: Store) -> None:
    store.client.put_object(Bucket=NAME, Key=f"redriven/{KEY}", Body=b"{}")

    assert store.bucket.read(f"redriven/{KEY}") is None
    assert store.bucket.read("parked/AggregateScoresByUser/2026-11-23/other.json") is None
    assert store.bucket.read(KEY) == store.failure


def test_the_document_says_which_function_failed_whatever_its_key(store: Store) -> None:
    key = KEY.replace("AggregateScoresByUser", "another")
    store.client.copy_object(Bucket=NAME, Key=key, CopySource={"Bucket": NAME, "Key": KEY})

    failure = store.bucket.read(key)

    assert failure is not None
    assert failure.function == "AggregateScoresByUser"


@pytest.mark.parametrize("nothing", [None, "", 7, ["f"]])
def test_what_is_no_name_and_no_reason_is_not_shown_as_one(store: Store, nothing: Any) -> None:
    document = {**json.loads(parked_document("f", RECORD, "why")), "function": nothing, "reason": nothing}
    store.client.put_object(Bucket=NAME, Key=KEY, Body=json.dumps(document).encode())

    failure = store.read()

    assert failure.function == "AggregateScoresByUser", "as the key says"
    assert failure.reason == "The object is neither a parked record nor an invocation record"


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "yesterday", None, 7])
def test_a_time_that_cannot_be_told_is_that_of_the_object(store: Store, said: Any) -> None:
    document = {**json.loads(parked_document("f", RECORD, "why")), "failedAt": said, "timestamp": said}
    store.client.put_object(Bucket=NAME, Key=KEY, Body=json.dumps(document).encode())

    failure = store.read()

    assert failure.failed_at == failure.modified
    assert as_line(failure).startswith(f"{failure.modified:%Y-%m-%d %H:%M:%S}  f")


def test_discarded_batches_are_listed_after_the_parked_records(store: Store) -> None:
    keys = [f"aws/lambda/uuid/shard/2026/11/23/{hour}.json" for hour in (1, 2)]
    for key in keys:
        store.client.copy_object(Bucket=NAME, Key=key, CopySource={"Bucket": NAME, "Key": KEY})

    assert [failure.key for failure in store.bucket.failures()] == [KEY, *keys]
