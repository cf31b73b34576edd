"""Tables, their streams and transactions on them are as DynamoDB's."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.localcloud.conftest import Deployment
from tests.localcloud.processes import Cloud
from tests.waiting import eventually

ON_DEMAND = {
    "KeySchema": [{"AttributeName": "Id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "Id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def table(deployment: Deployment) -> str:
    """A table without a stream; its name."""
    deployment.cloud.client_of("dynamodb").create_table(TableName=deployment.name, **ON_DEMAND)
    return deployment.name


@pytest.mark.parametrize("stream", [None, {"StreamEnabled": False}])
def test_a_table_without_a_stream_describes_none(deployment: Deployment, stream: dict[str, Any] | None) -> None:
    """Recorded by LocalStack: test_event_source_mapping_lifecycle, of a table on demand."""
    dynamodb = deployment.cloud.client_of("dynamodb")
    dynamodb.create_table(TableName=deployment.name, **ON_DEMAND, **({"StreamSpecification": stream} if stream else {}))

    described = dynamodb.describe_table(TableName=deployment.name)["Table"]

    assert not {"StreamSpecification", "LatestStreamArn", "LatestStreamLabel"} & described.keys()
    assert described["ProvisionedThroughput"] == {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": 0,
        "WriteCapacityUnits": 0,
    }
    assert described["WarmThroughput"] == {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}


def test_an_expired_item_is_removed_by_the_service_within_a_minute(deployment: Deployment) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html"""
    dynamodb, source = deployment.cloud.client_of("dynamodb"), deployment.table()
    setting = {"AttributeName": "Expires", "Enabled": True}
    dynamodb.update_time_to_live(TableName=deployment.name, TimeToLiveSpecification=setting)
    item = {"Id": {"S": "a"}, "Kind": {"S": "a"}, "Expires": {"N": str(int(time.time()))}}
    dynamodb.put_item(TableName=deployment.name, Item=item)
    streams = deployment.cloud.client_of("dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=source)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=source, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")[
        "ShardIterator"
    ]

    def removed() -> list[dict[str, Any]]:
        records = streams.get_records(ShardIterator=iterator)["Records"]
        return [record for record in records if record["eventName"] == "REMOVE"]

    (record,) = eventually(removed, "the item expires")

    assert record["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert record["dynamodb"]["Keys"] == {"Id": {"S": "a"}}
    assert re.fullmatch("[0-9a-f]{32}", record["eventID"])


@pytest.mark.parametrize("expression", ["ADD Points :n", "SET Points = Points + :n"])
def test_sums_have_38_digits_and_are_never_rounded(deployment: Deployment, table: str, expression: str) -> None:
    dynamodb = deployment.cloud.client_of("dynamodb")

    def add(number: str) -> str:
        answer = dynamodb.update_item(
            TableName=table,
            Key={"Id": {"S": "a"}},
            UpdateExpression=expression,
            ExpressionAttributeValues={":n": {"N": number}},
            ReturnValues="ALL_NEW",
        )
        return str(answer["Attributes"]["Points"]["N"])

    dynamodb.put_item(
        TableName=table, Item={"Id": {"S": "a"}, "Points": {"N": "12345678901234567890123456789012345678"}}
    )

    assert add("1") == "12345678901234567890123456789012345679"
    assert add("-0") == "12345678901234567890123456789012345679"
    with pytest.raises(ClientError, match="Number overflow"):
        add("0.1")
    assert add("87654321098765432109876543210987654321") == "1" + "0" * 38


def transaction(cloud: Cloud, table: str, *keys: str) -> str:
    """How a transaction ends: its reasons, or nothing."""
    client = cloud.client("dynamodb", Config(retries={"total_max_attempts": 1}))
    update = {"UpdateExpression": "ADD N :one", "ExpressionAttributeValues": {":one": {"N": "1"}}}
    try:
        client.transact_write_items(
            TransactItems=[{"Update": {"TableName": table, "Key": {"Id": {"S": key}}, **update}} for key in keys]
        )
    except client.exceptions.TransactionCanceledException as cancelled:
        return " ".join(reason["Code"] for reason in cancelled.response["CancellationReasons"])
    return ""


def test_transactions_that_meet_on_an_item_conflict_and_none_is_half_done(deployment: Deployment, table: str) -> None:
    cloud = deployment.cloud
    with ThreadPoolExecutor(8) as threads:
        ends = list(threads.map(lambda n: transaction(cloud, table, "hot", f"cold {n}"), range(80)))

    assert set(ends) == {"", "TransactionConflict None"}
    dynamodb = cloud.client_of("dynamodb")
    total = dynamodb.get_item(TableName=table, Key={"Id": {"S": "hot"}})["Item"]["N"]["N"]
    assert int(total) == ends.count("")
    assert dynamodb.scan(TableName=table, Select="COUNT")["Count"] == ends.count("") + 1


def test_a_write_that_meets_a_transaction_is_refused(deployment: Deployment, table: str) -> None:
    cloud = deployment.cloud
    client = cloud.client("dynamodb", Config(retries={"total_max_attempts": 1}))

    def write() -> str:
        try:
            client.put_item(TableName=table, Item={"Id": {"S": "hot"}, "N": {"N": "0"}})
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return ""

    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            transaction(cloud, table, "hot")

    seen: set[str] = set()

    def both() -> bool:
        seen.add(write())
        return seen >= {"", "TransactionConflictException"}

    with ThreadPoolExecutor(2) as threads:
        others = [threads.submit(keep_writing) for _ in range(2)]
        try:
            eventually(both, "a write that meets a transaction, and one that does not")
        finally:
            stop.set()
        for other in others:
            other.result()

    assert seen == {"", "TransactionConflictException"}


def test_an_unsubscribe_url_names_its_subscription(deployment: Deployment) -> None:
    sns, sqs = deployment.cloud.client_of("sns"), deployment.cloud.client_of("sqs")
    topic = sns.create_topic(Name=deployment.name)["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=deployment.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=deployment.queue, Attributes={"Policy": json.dumps(policy)})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"]

    sns.publish(TopicArn=topic, Message="hello")

    messages = eventually(lambda: sqs.receive_message(QueueUrl=deployment.queue).get("Messages"), "a message")
    assert json.loads(messages[0]["Body"])["UnsubscribeURL"].endswith(f"SubscriptionArn={subscription}")
