"""A local cloud for the tests of this folder, and what they deploy on it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.localcloud.processes import Cloud, package
from tests.simulation import behaviour
from tests.simulation.cases import Behaviour
from tests.waiting import eventually

RAISES_ON_POISON = Behaviour(raises=["poison"])

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


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Emulator and engine, running."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        cloud.begin()
        yield cloud
    finally:
        cloud.down()


class Deployment:
    """A function that tells a queue what it is given, its role, and whatever a test adds."""

    def __init__(self, cloud: Cloud, function: Behaviour = RAISES_ON_POISON, name: str = "") -> None:
        self.cloud = cloud
        self.name = name or f"t-{uuid4().hex[:8]}"
        self.queue = cloud.client("sqs").create_queue(QueueName=self.name)["QueueUrl"]
        self._lambda = cloud.client("lambda")
        self._iam = cloud.client("iam")
        self._taken: list[dict[str, Any]] = []
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
        role = self._iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
        self._permit("Allow", "kinesis:*", "dynamodb:*", "s3:*", "sns:*", "sqs:*", "logs:*")
        self.code = package({"function.py": FUNCTION, "behaviour.py": BEHAVIOUR})
        self.function_arn = self._lambda.create_function(
            FunctionName=self.name,
            Runtime="python3.11",
            Role=role,
            Handler="function.handler",
            Code={"ZipFile": self.code},
            Timeout=10,
            Environment={"Variables": {"SEEN": self.queue, "BEHAVIOUR": json.dumps(asdict(function))}},
        )["FunctionArn"]

    def deny(self, *actions: str) -> None:
        """Deny the function's role these actions, from now on."""
        self._permit("Deny", *actions)

    def _permit(self, effect: str, *actions: str) -> None:
        statement = {"Effect": effect, "Action": list(actions), "Resource": "*"}
        self._iam.put_role_policy(RoleName=self.name, PolicyName=effect, PolicyDocument=policy(statement))

    def logged(self) -> list[str]:
        """All that the function has logged."""
        group = f"/aws/lambda/{self.name}"
        return [event["message"] for event in self.cloud.client("logs").filter_log_events(logGroupName=group)["events"]]

    def stream(self, shards: int = 1) -> str:
        """A Kinesis stream with the deployment's name; its ARN."""
        kinesis = self.cloud.client("kinesis")
        kinesis.create_stream(StreamName=self.name, ShardCount=shards)
        return str(kinesis.describe_stream(StreamName=self.name)["StreamDescription"]["StreamARN"])

    def table(self) -> str:
        """A DynamoDB table with the deployment's name; its stream's ARN."""
        table = self.cloud.client("dynamodb").create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        return str(table["TableDescription"]["LatestStreamArn"])

    def bucket(self) -> str:
        """An S3 bucket with the deployment's name; its ARN."""
        self.cloud.client("s3").create_bucket(Bucket=self.name)
        return f"arn:aws:s3:::{self.name}"

    def map(self, source: str, **settings: Any) -> str:
        """An event source mapping; its UUID."""
        settings = {"FunctionName": self.name, "StartingPosition": "TRIM_HORIZON", **settings}
        mapping = self._lambda.create_event_source_mapping(EventSourceArn=source, **settings)
        return str(mapping["UUID"])

    def settled(self, uuid: str) -> dict[str, Any]:
        """A mapping once it is neither being made nor being changed: until then Lambda changes nothing of it."""
        passing = ("Creating", "Enabling", "Disabling", "Updating")

        def mapping() -> dict[str, Any]:
            return dict(self._lambda.get_event_source_mapping(UUID=uuid))

        eventually(lambda: mapping()["State"] not in passing, "the mapping rests")
        return mapping()

    def update(self, uuid: str, **settings: Any) -> None:
        """Change a mapping."""
        self.settled(uuid)
        self._lambda.update_event_source_mapping(UUID=uuid, **settings)

    def put(self, *texts: str, key: str = "one") -> None:
        """Put records into the stream."""
        records = [{"Data": text.encode(), "PartitionKey": key} for text in texts]
        self.cloud.client("kinesis").put_records(StreamName=self.name, Records=records)

    def write(self, text: str) -> None:
        """Write an item, under a key of its own."""
        item = {"Id": {"S": uuid4().hex}, "Kind": {"S": text}}
        self.cloud.client("dynamodb").put_item(TableName=self.name, Item=item)

    def invocations(self) -> list[dict[str, Any]]:
        """Everything that the function has reported so far, in order."""
        sqs = self.cloud.client("sqs")
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self._taken.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return sorted(self._taken, key=lambda report: float(report["at"]))

    def seen(self) -> list[list[str]]:
        """The payloads of each invocation so far."""
        return [report["seen"] for report in self.invocations()]

    def discarded(self) -> list[dict[str, Any]]:
        """The invocation records in the bucket, each with its key."""
        s3 = self.cloud.client("s3")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=self.name).get("Contents", [])]
        return [{"key": key, **json.loads(s3.get_object(Bucket=self.name, Key=key)["Body"].read())} for key in keys]

    def problem(self, uuid: str) -> str:
        """What the engine says of a mapping."""
        return str(self.cloud.heartbeat().get("mappings", {}).get(uuid, ""))

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


@pytest.fixture
def deployment(cloud: Cloud) -> Iterator[Deployment]:
    """A function that may do all that a mapping needs."""
    deployment = Deployment(cloud)
    yield deployment
    deployment.delete_mappings()


def policy(*statements: dict[str, Any]) -> str:
    """An IAM policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
