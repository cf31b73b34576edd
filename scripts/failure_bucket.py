"""The failure bucket as an operator sees it: records that a function parked, and batches that Lambda gave up on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Record = dict[str, Any]
"""A stream record. A parked one may be anything at all."""

_PARKED, _GIVEN_UP, _REDRIVEN = "parked/", "aws/lambda/", "redriven/"
_OVERTAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404"}


@dataclass(frozen=True, slots=True)
class Failure:
    """One object of the bucket."""

    key: str
    etag: str
    version: str | None
    """Of the object; None in a bucket that keeps no versions."""
    failed_at: datetime
    document: Mapping[str, Any]

    @property
    def function(self) -> str:
        """The real name of the function that failed; "" when the document is none that we know."""
        if "function" in self.document:
            return str(self.document["function"])
        # arn:<partition>:lambda:<region>:<account>:function:<name>[:<qualifier>]
        return (str(_at(self.document, "requestContext", "functionArn")).split(":") + [""] * 7)[6]

    @property
    def reason(self) -> str:
        """Why it is here: as the function or the last redrive said, else as Lambda's own envelope does."""
        if "reason" in self.document:
            return str(self.document["reason"])
        condition = _at(self.document, "requestContext", "condition")
        if not condition:
            return "The object is no failure that this command knows"
        invocations = _at(self.document, "requestContext", "approximateInvokeCount")
        # A batch that was too old has no responseContext; one that the function reported has no functionError.
        error = _at(self.document, "responseContext", "functionError")
        reported = "responseContext" in self.document
        return f"{condition} after {invocations} invocations" + (
            f": {error}" if error else ": reported by the function" if reported else ""
        )

    @property
    def records(self) -> list[Record]:
        """The records that are still to be processed."""
        records = _at(self.document, "payload", "Records")
        return records if isinstance(records, list) else []


class FailureBucket:
    """The bucket. At most one document is in memory for each that the caller holds."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def failures(
        self, since: datetime | None = None, function: str | None = None, after: str = ""
    ) -> Iterator[Failure]:
        """What failed since then, of the function with this real name, page by page in the order of the keys.

        `after` is the last key of what is known already. Parked records come first: what a redrive of a batch parks
        anew is then not found in the same pass.
        """
        pages = self._client.get_paginator("list_objects_v2")
        for prefix in (f"{_PARKED}{function}/" if function else _PARKED, _GIVEN_UP):
            if after.startswith(_GIVEN_UP) and prefix != _GIVEN_UP:
                continue
            known = after if after.startswith(prefix) else ""
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix, StartAfter=known):
                for each in page.get("Contents", []):
                    if since is None or each["LastModified"] >= since:
                        failure = self.read(each["Key"])
                        if failure and function in (None, failure.function):
                            yield failure

    def latest(self, failure: Failure) -> Failure | None:
        """The same object as it is now; None when it is gone."""
        try:
            now = self._client.head_object(Bucket=self._bucket, Key=failure.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OVERTAKEN:
                return None
            raise
        # A record that is parked again for the same reason has the same ETag.
        same = (failure.version, failure.etag, failure.failed_at)
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

        False when it is no longer the object that was read.
        """
        payload = {**_mapping(failure.document.get("payload")), "Records": records}
        return self._unless_overtaken(
            "put_object",
            Key=failure.key,
            Body=json.dumps({**failure.document, "reason": reason, "payload": payload}).encode(),
            ContentType="application/json",
            IfMatch=failure.etag,
        )

    def read(self, key: str) -> Failure | None:
        """A failure by its key; None when there is none, and for what has been redriven."""
        if not key.startswith((_PARKED, _GIVEN_UP)):
            return None
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except self._client.exceptions.NoSuchKey:
            return None
        try:
            document = _mapping(json.loads(answer["Body"].read()))
        except ValueError:
            document = {}
        return Failure(key, answer["ETag"], answer.get("VersionId"), answer["LastModified"], document)

    def _unless_overtaken(self, operation: str, **parameters: Any) -> bool:
        try:
            getattr(self._client, operation)(Bucket=self._bucket, **parameters)
        except ClientError as error:
            if error.response["Error"]["Code"] in _OVERTAKEN:
                return False
            raise
        return True


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _at(document: Mapping[str, Any], outer: str, inner: str) -> Any:
    return _mapping(document.get(outer)).get(inner)
