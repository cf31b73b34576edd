"""A function that tells what it is given, beside the system: it shows what a stage's event source mappings do."""

import io
import json
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.simulation import behaviour
from tests.simulation.cases import CASES, Behaviour, Case
from tests.waiting import eventually, patience

Client = Any
RAISES_ON_POISON = Behaviour(raises=["poison"])

A_FEW = {
    "an unexpected key fails the batch",
    "only the lowest reported sequence number counts",
    "the retry count restarts after progress",
    "with both, the batch is cut at the reported record and only the rest is retried",
    "with both, an exception still halves the batch",
}


def chosen(*, all_: bool = True) -> list[Case]:
    """Return the cases that a deployed function can show soon: all of them, or a few."""
    return [case for case in CASES if _is_runnable(case) and (all_ or case.name in A_FEW)]


def _is_runnable(case: Case) -> bool:
    answers_json = not isinstance(case.function.answers, bytes)  # which is all that the Python runtime can answer
    return answers_json and not case.inject and not case.times and "MaximumRecordAgeInSeconds" not in case.settings


def package(files: dict[str, str]) -> bytes:
    """A function's zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


# Tells a queue of every event that it is given, and then behaves as a function of the documented cases does.
FUNCTION = """
import base64, json, os, time, boto3
from behaviour import behave
sqs = boto3.client("sqs")

def handler(event, context):
    seen, sequences = [], []
    for record in event["Records"]:
        if "kinesis" in record:
            seen.append(base64.b64decode(record["kinesis"]["data"]).decode())
            sequences.append(record["kinesis"]["sequenceNumber"])
        else:
            seen.append(record["dynamodb"]["NewImage"]["Kind"]["S"])
            sequences.append(record["dynamodb"]["SequenceNumber"])
    print(json.dumps(seen))
    report = {"seen": seen, "event": event, "at": time.time()}
    sqs.send_message(QueueUrl=os.environ["SEEN"], MessageBody=json.dumps(report))
    return behave(seen, sequences, json.loads(os.environ["BEHAVIOUR"]))
"""
BEHAVIOUR = Path(behaviour.__file__).read_text()


class Probe:
    """A function that tells a queue what it is given, its role, and whatever a test adds. All have the probe's name."""

    def __init__(self, client: Callable[[Any], Client], name: str, function: Behaviour = RAISES_ON_POISON) -> None:
        self.name = name
        self.client = client
        self.queue = client("sqs").create_queue(QueueName=self.name)["QueueUrl"]
        self._lambda = client("lambda")
        self._iam = client("iam")
        self._taken: dict[str, dict[str, Any]] = {}
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = self._iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
        self._permit("Allow", "kinesis:*", "dynamodb:*", "s3:*", "sns:*", "sqs:*", "logs:*")
        self.code = package({"function.py": FUNCTION, "behaviour.py": BEHAVIOUR})
        self.function_arn = self._once_the_role_is_known(
            lambda: self._lambda.create_function(
                FunctionName=self.name,
                Runtime="python3.11",
                Role=role,
                Handler="function.handler",
                Code={"ZipFile": self.code},
                Timeout=10,
                Environment={"Variables": {"SEEN": self.queue, "BEHAVIOUR": json.dumps(asdict(function))}},
            )
        )["FunctionArn"]
        self._lambda.get_waiter("function_active_v2").wait(FunctionName=self.name)

    def _once_the_role_is_known(self, create: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Create what Lambda refuses until the role and its policies have reached it, which takes AWS a moment."""
        deadline = time.monotonic() + patience().roles
        while True:
            try:
                return create()
            except self._lambda.exceptions.InvalidParameterValueException:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(patience().look)

    def deny(self, *actions: str) -> None:
        """Deny the function's role these actions, from now on."""
        self._permit("Deny", *actions)

    def _permit(self, effect: str, *actions: str) -> None:
        names = (
            "kinesis:*:*:stream/{}",
            "kinesis:*:*:stream/{}/consumer/*",
            "dynamodb:*:*:table/{}*",
            "s3:::{}*",
            "sns:*:*:{}*",
            "sqs:*:*:{}*",
            "logs:*:*:log-group:/aws/lambda/{}*",
        )
        own = [f"arn:aws:{name.format(self.name)}" for name in names]
        statement = {"Effect": effect, "Action": list(actions), "Resource": own}
        self._iam.put_role_policy(RoleName=self.name, PolicyName=effect, PolicyDocument=policy(statement))

    def logged(self) -> list[str]:
        """All that the function has logged."""
        group = f"/aws/lambda/{self.name}"
        return [event["message"] for event in self.client("logs").filter_log_events(logGroupName=group)["events"]]

    def stream(self, shards: int = 1) -> str:
        """A Kinesis stream; its ARN."""
        kinesis = self.client("kinesis")
        kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        kinesis.get_waiter("stream_exists").wait(StreamName=self.name)
        return str(kinesis.describe_stream(StreamName=self.name)["StreamDescription"]["StreamARN"])

    def table(self) -> str:
        """A DynamoDB table; its stream's ARN."""
        table = self.client("dynamodb").create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        self.client("dynamodb").get_waiter("table_exists").wait(TableName=self.name)
        return str(table["TableDescription"]["LatestStreamArn"])

    def bucket(self) -> str:
        """An S3 bucket; its ARN."""
        s3 = self.client("s3")
        region = s3.meta.region_name
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
        elsewhere = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=self.name, **elsewhere)
        return f"arn:aws:s3:::{self.name}"

    def map(self, source: str, **settings: Any) -> str:
        """An event source mapping; its UUID."""
        return str(self.create_mapping(source, **settings)["UUID"])

    def create_mapping(self, source: str, **settings: Any) -> dict[str, Any]:
        """An event source mapping; what Lambda replies."""
        settings = {"FunctionName": self.name, "StartingPosition": "TRIM_HORIZON", **settings}
        return self._once_the_role_is_known(
            lambda: self._lambda.create_event_source_mapping(EventSourceArn=source, **settings)
        )

    def settled(self, uuid: str) -> dict[str, Any]:
        """Return a mapping once its last change has ended: until then Lambda refuses another."""
        passing = ("Creating", "Enabling", "Disabling", "Updating")

        def mapping() -> dict[str, Any]:
            return dict(self._lambda.get_event_source_mapping(UUID=uuid))

        eventually(lambda: mapping()["State"] not in passing, "the mapping settles")
        return mapping()

    def update(self, uuid: str, **settings: Any) -> None:
        """Change a mapping."""
        self.settled(uuid)
        self._lambda.update_event_source_mapping(UUID=uuid, **settings)

    def put(self, *texts: str, key: str = "one") -> None:
        """Put records into the stream."""
        records = [{"Data": text.encode(), "PartitionKey": key} for text in texts]
        self.client("kinesis").put_records(StreamName=self.name, Records=records)

    def write(self, text: str) -> None:
        """Write an item, under a key of its own."""
        item = {"Id": {"S": uuid4().hex}, "Kind": {"S": text}}
        self.client("dynamodb").put_item(TableName=self.name, Item=item)

    def invocations(self) -> list[dict[str, Any]]:
        """Everything that the function has reported so far, in order. A queue may deliver a report twice."""
        sqs = self.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._taken[message["MessageId"]] = json.loads(message["Body"])
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return sorted(self._taken.values(), key=lambda report: float(report["at"]))

    def seen(self) -> list[list[str]]:
        """The payloads of each invocation so far."""
        return [report["seen"] for report in self.invocations()]

    def discarded(self) -> list[dict[str, Any]]:
        """The invocation records in the bucket, each with its key."""
        s3 = self.client("s3")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=self.name).get("Contents", [])]
        return [{"key": key, **json.loads(s3.get_object(Bucket=self.name, Key=key)["Body"].read())} for key in keys]

    def await_payloads(self, *payloads: str) -> list[list[str]]:
        """Wait until each payload has been seen, and return all invocations so far."""

        def all_seen() -> bool:
            return set(payloads) <= {text for batch in self.seen() for text in batch}

        eventually(all_seen, f"{payloads} seen, not only {self.seen()}")
        return self.seen()

    def delete_mappings(self) -> None:
        """Leave nothing that is polled."""
        for mapping in self._lambda.list_event_source_mappings(FunctionName=self.name)["EventSourceMappings"]:
            if mapping["State"] != "Deleting":
                self.settled(mapping["UUID"])
                self._lambda.delete_event_source_mapping(UUID=mapping["UUID"])


def policy(*statements: dict[str, Any]) -> str:
    """An IAM policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
