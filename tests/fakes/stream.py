"""GameScoreRecords and its stream, as far as the aggregator can tell them from the real ones."""

from decimal import Context, Decimal
from typing import Any

from handlers.shared.lambda_types import AttributeValue, DynamoDBRecord

LABEL = "2026-11-23T00:00:00.000"
TABLE_ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/GameScoreRecords"
ARN = f"{TABLE_ARN}/stream/{LABEL}"
NOW = 1_795_392_000.0
"""When changes are made unless a test says otherwise, in seconds since the epoch."""

_EXACT = Context(prec=400)

Image = dict[str, AttributeValue]


def score_image(record_id: int, username: str, score: str) -> Image:
    """An item with a score."""
    return {"RecordID": {"N": str(record_id)}, "Username": {"S": username}, "Score": {"N": score}}


def spoilt_image(record_id: int, username: str, score: str) -> Image:
    """An item whose score is no number."""
    return score_image(record_id, username, score) | {"Score": {"S": score}}


def stream_record(
    event_name: str, record_id: int, sequence_number: int, image: Image | None = None, **fields: Any
) -> DynamoDBRecord:
    """A record as a stream mapping delivers it; `fields` replace those of its `dynamodb`."""
    body: Any = {
        "ApproximateCreationDateTime": NOW,
        "Keys": {"RecordID": {"N": str(record_id)}},
        "SequenceNumber": str(sequence_number),
        "StreamViewType": "NEW_IMAGE",
    }
    if image is not None:
        body["NewImage"] = image
    return {
        "eventID": f"event-{sequence_number}",
        "eventName": event_name,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": ARN,
        "dynamodb": body | fields,
    }


def insert(record_id: int, sequence_number: int, username: str, score: str, **fields: Any) -> DynamoDBRecord:
    """A new item."""
    return stream_record("INSERT", record_id, sequence_number, score_image(record_id, username, score), **fields)


def modify(record_id: int, sequence_number: int, username: str, score: str) -> DynamoDBRecord:
    """An item that was there before."""
    return stream_record("MODIFY", record_id, sequence_number, score_image(record_id, username, score))


def remove(record_id: int, sequence_number: int) -> DynamoDBRecord:
    """An item deleted, by a user or by TTL."""
    return stream_record("REMOVE", record_id, sequence_number)


class SourceTable:
    """Items, and a stream that has every change once, in order. A write that changes nothing makes none."""

    def __init__(self, first_sequence_number: int, now: float = NOW) -> None:
        self.now = now
        self.items: dict[int, Image] = {}
        self.stream: list[DynamoDBRecord] = []
        self._sequence_number = first_sequence_number

    def put(self, record_id: int, image: Image) -> None:
        """Put an item, in place of the one with its key."""
        old = self.items.get(record_id)
        if image != old:
            self.items[record_id] = image
            self._append("INSERT" if old is None else "MODIFY", record_id, image)

    def delete(self, record_id: int) -> None:
        """Delete an item, if it is there."""
        if self.items.pop(record_id, None) is not None:
            self._append("REMOVE", record_id, None)

    def sums(self) -> dict[str, tuple[Decimal, int]]:
        """By user, what GameScoresByUser has to say: the sum of the scores, and their number."""
        sums: dict[str, tuple[Decimal, int]] = {}
        for image in self.items.values():
            if "N" in image.get("Score", {}):
                username = image["Username"]["S"]
                score, records = sums.get(username, (Decimal(0), 0))
                sums[username] = _EXACT.add(score, Decimal(image["Score"]["N"])), records + 1
        return sums

    def _append(self, event_name: str, record_id: int, image: Image | None) -> None:
        self.stream.append(
            stream_record(event_name, record_id, self._sequence_number, image, ApproximateCreationDateTime=self.now)
        )
        self._sequence_number += 1
