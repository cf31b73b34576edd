"""The failure bucket as an operator sees it: records that a function parked, and batches that Lambda discarded."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from handlers.shared.parking import PARKED, event_time
from localcloud.engine import invocation_record
from localcloud.engine.invocation_record import UnreadableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Record = dict[str, Any]
"""A stream record. A parked one may be any JSON value."""

DISCARDED = invocation_record.PREFIX
_REDRIVEN = "redriven/"
_OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404"}


@dataclass(frozen=True, slots=True)
class Failure:
    """One object of the bucket."""

    key: str
    etag: str
    version: str | None
    """Of the object; None in a bucket that keeps no versions."""
    modified: datetime
    """When the object was last written, be it by a redrive that changed nothing else."""
    failed_at: datetime
    """When it failed first. No redrive changes that."""
    document: Mapping[str, Any]
    records: Sequence[Record]
    """The records that are still to be processed; none when they cannot be read."""
    unreadable: str | None = None
    """Why the records cannot be read; None when they can."""

    @property
    def function(self) -> str:
        """The physical name of the function that failed; "" when neither document nor key say."""
        if said := self._said("function"):
            return said
        in_key = self.key.split("/")[1] if self.key.startswith(PARKED) else ""
        return invocation_record.function_name(self.document) or in_key

    @property
    def reason(self) -> str:
        """Why it is here: according to the function or the last redrive, or else to Lambda's invocation record."""
        said = self._said("reason") or invocation_record.reason(self.document)
        if self.unreadable:
            return "; ".join(filter(None, (said, f"cannot be read: {self.unreadable}")))
        return said or "The object is neither a parked record nor an invocation record"

    @property
    def oldest(self) -> datetime | None:
        """When the oldest of its records was written to the stream; None when none says so."""
        moments = [at for record in self.records if (at := _written(record)) is not None]
        return datetime.fromtimestamp(min(moments), UTC) if moments else None

    def _said(self, name: str) -> str:
        """What the document says under this name; "" for what is no text."""
        said = self.document.get(name)
        return said if isinstance(said, str) else ""


class FailureBucket:
    """The bucket. At most one document is in memory for each that the caller holds."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def failures(self, since: datetime | None = None, function: str | None = None) -> Iterator[Failure]:
        """Yield what first failed since then, of the function with this physical name, in the order of the keys.

        Parked records come first: what a redrive of a batch parks is then not found in the same pass.
        """
        pages = self._client.get_paginator("list_objects_v2")
        for prefix in (f"{PARKED}{function}/" if function else PARKED, DISCARDED):
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for each in page.get("Contents", []):
                    # An object last written before cannot have failed since, so it is not read.
                    if since and each["LastModified"] < since:
                        continue
                    failure = self.read(each["Key"])
                    if failure and (not since or failure.failed_at >= since) and function in (None, failure.function):
                        yield failure

    def latest(self, failure: Failure) -> Failure | None:
        """Return the same object as it is now; None when it is gone."""
        try:
            now = self._client.head_object(Bucket=self._bucket, Key=failure.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OVERTAKEN:
                return None
            raise
        # A record that is parked again for the same reason has the same ETag.
        same = (failure.version, failure.etag, failure.modified)
        if (now.get("VersionId"), now["ETag"], now["LastModified"]) == same:
            return failure
        return self.read(failure.key)

    def set_aside(self, failure: Failure) -> bool:
        """Move it under redriven/: the copy first, so that an interrupt leaves two, never none.

        False when it is no longer the object that was read.
        """
        copy = {"Key": f"{_REDRIVEN}{failure.key}", "CopySourceIfMatch": failure.etag}
        source = {"Bucket": self._bucket, "Key": failure.key}
        return self._unless_overtaken("copy_object", **copy, CopySource=source) and self._unless_overtaken(
            "delete_object", Key=failure.key, IfMatch=failure.etag
        )

    def keep(self, failure: Failure, records: Sequence[Record], reason: str) -> bool:
        """Leave only these records in it, for this reason; the bucket's versions have what it was.

        The object says when it first failed, since this makes it a new one. False when it is no longer the object
        that was read. Raises UnreadableError when its records cannot be read.
        """
        document = invocation_record.with_records(failure.document, records)
        return self._unless_overtaken(
            "put_object",
            Key=failure.key,
            Body=json.dumps({**document, "reason": reason, "failedAt": failure.failed_at.isoformat()}).encode(),
            ContentType="application/json",
            IfMatch=failure.etag,
        )

    def read(self, key: str) -> Failure | None:
        """Return a failure by its key; None when there is none, and for what has been redriven."""
        found = self.read_with_body(key)
        return found and found[0]

    def read_with_body(self, key: str) -> tuple[Failure, bytes] | None:
        """Return what `read` does, with the object's content."""
        if not key.startswith((PARKED, DISCARDED)):
            return None
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        body = answer["Body"].read()
        document: dict[str, Any] = {}
        records: Sequence[Record] = ()
        unreadable = None
        try:
            document = invocation_record.parse(body)
            records = invocation_record.records(document)
        except UnreadableError as error:
            unreadable = str(error)
        modified = answer["LastModified"]
        failure = Failure(
            key,
            answer["ETag"],
            answer.get("VersionId"),
            modified,
            _first_failed(document, modified),
            document,
            records,
            unreadable,
        )
        return failure, body

    def _unless_overtaken(self, operation: str, **parameters: Any) -> bool:
        try:
            getattr(self._client, operation)(Bucket=self._bucket, **parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OVERTAKEN:
                return False
            raise
        return True


def _first_failed(document: Mapping[str, Any], modified: datetime) -> datetime:
    """Return the time that a redrive has kept or Lambda wrote, else that of the object, which is never earlier."""
    said = (invocation_record.read_time(document.get("failedAt")), invocation_record.discarded_at(document))
    return min([modified, *filter(None, said)])


def _written(record: Any) -> float | None:
    """Return when a record was written to its stream, in seconds since the epoch; None when it does not say."""
    for source, field in (("dynamodb", "ApproximateCreationDateTime"), ("kinesis", "approximateArrivalTimestamp")):
        body = record.get(source) if isinstance(record, dict) else None
        if isinstance(body, dict):
            return event_time(body.get(field))
    return None
