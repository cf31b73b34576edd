"""A mapping needs rights of its function's role: each that is missing refuses it."""

import pytest

from localcloud.emulator.rights import READ_STREAM, READ_TABLE_STREAM, missing_right

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
CONSUMER = f"{STREAM}/consumer/c:1"
TABLE_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-11-23T00:00:00.000"
BUCKET, QUEUE, TOPIC = "arn:aws:s3:::b", "arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:sns:us-east-1:000000000000:t"
CALLS = "The function execution role does not have permissions to call"


@pytest.mark.parametrize(
    ("source", "destination", "lacking", "refusal"),
    [
        *((STREAM, "", (f"kinesis:{action}", STREAM), "Cannot access stream") for action in READ_STREAM),
        *(
            (TABLE_STREAM, "", (f"dynamodb:{action}", TABLE_STREAM), "Cannot access stream")
            for action in READ_TABLE_STREAM
        ),
        (CONSUMER, "", ("kinesis:SubscribeToShard", CONSUMER), "Cannot access stream"),
        (CONSUMER, "", ("kinesis:ListShards", STREAM), "Cannot access stream"),
        (
            TABLE_STREAM,
            "",
            ("dynamodb:ListStreams", "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/*"),
            "Cannot access stream",
        ),
        (STREAM, BUCKET, ("s3:ListBucket", BUCKET), f"{CALLS} ListBucket on S3"),
        (STREAM, BUCKET, ("s3:PutObject", f"{BUCKET}/*"), f"{CALLS} PutObject on S3"),
        (STREAM, QUEUE, ("sqs:SendMessage", QUEUE), f"{CALLS} SendMessage on SQS"),
        (STREAM, TOPIC, ("sns:Publish", TOPIC), f"{CALLS} Publish on SNS"),
    ],
)
def test_a_mapping_is_refused_for_each_right_that_its_role_lacks(
    source: str, destination: str, lacking: tuple[str, str], refusal: str
) -> None:
    assert missing_right(lambda *_: True, "role", source, destination) == ""

    answer = missing_right(lambda _, *asked: asked != lacking, "role", source, destination)

    assert answer.startswith(refusal)
