"""The system as deployed: what goes in comes out."""

import base64
import json
from typing import Any

import boto3

from scripts.traffic.invoke import EVENTS
from tests.integration.deployment import System
from tests.waiting import eventually


def total(system: System, username: str) -> dict[str, Any] | None:
    """A user's item in GameScoresByUser, in DynamoDB's wire form."""
    found = boto3.client("dynamodb").get_item(
        TableName=system.table("GameScoresByUser"), Key={"Username": {"S": username}}, ConsistentRead=True
    )
    return dict(found["Item"]) if "Item" in found else None


def invoke(system: System, function: str, event: str) -> tuple[Any, str]:
    """The response of a function to an event, and what it logged."""
    answer = boto3.client("lambda").invoke(FunctionName=system.function(function), Payload=event, LogType="Tail")
    response = json.loads(answer["Payload"].read())
    assert not answer.get("FunctionError"), response
    return response, base64.b64decode(answer["LogResult"]).decode()


def test_a_record_put_into_the_stream_shows_up_decoded_in_the_functions_log(system: System) -> None:
    boto3.client("kinesis").put_record(
        StreamName=system.outputs["stream"]["name"], PartitionKey="1", Data=b"Hello from a producer"
    )

    eventually(
        lambda: any(
            "Decoded payload: Hello from a producer" in line for line in system.logged("ProcessKinesisRecords")
        ),
        what="the decoded payload in the log",
        seconds="logs",
    )


def test_items_put_into_the_records_show_up_as_their_users_total(system: System) -> None:
    for record_id, score in ((11, "42"), (12, "-2"), (13, "0.5")):
        boto3.client("dynamodb").put_item(
            TableName=system.table("GameScoreRecords"),
            Item={"RecordID": {"N": str(record_id)}, "Username": {"S": "Ada"}, "Score": {"N": score}},
        )

    eventually(
        lambda: (total(system, "Ada") or {}).get("Score") == {"N": "40.5"},
        what="Ada's total of 40.5",
    )


def test_a_score_event_put_into_the_stream_ends_in_its_users_total(system: System) -> None:
    for score in (41, 42):  # a later event replaces an earlier one of its RecordID
        boto3.client("kinesis").put_record(
            StreamName=system.outputs["stream"]["name"],
            PartitionKey="7",
            Data=json.dumps({"RecordID": 7, "Username": "jane", "Score": score}),
        )

    eventually(lambda: (total(system, "jane") or {}).get("Score") == {"N": "42"}, what="jane's total of 42")
    eventually(
        lambda: any("Decoded payload: {" in line for line in system.logged("ProcessKinesisRecords")),
        what="the decoded payload in the log",
        seconds="logs",
    )


def test_process_kinesis_records_answers_the_labs_test_event_as_the_lab_says(system: System) -> None:
    response, log = invoke(system, "ProcessKinesisRecords", (EVENTS / "stream.json").read_text())

    assert response == {"batchItemFailures": []}
    assert "Decoded payload: Hello, this is a test 123." in log
    assert "Successfully processed 1 records." in log


def test_aggregate_scores_by_user_answers_the_labs_test_event_as_the_lab_says(system: System) -> None:
    # The record is another than the lab's, which tests before this one may have counted and reconciled.
    event = (EVENTS / "score.json").read_text().replace('{ "S": "2" }', '{ "S": "21" }').replace("Jane Doe", "Jane Roe")

    response, log = invoke(system, "AggregateScoresByUser", event)

    assert response == {"batchItemFailures": []}
    assert "Successfully processed 1 records." in log
    jane = total(system, "Jane Roe")
    assert jane is not None
    assert jane["Score"] == {"N": "100"}


def test_a_second_plan_is_empty(system: System) -> None:
    assert system.deployment.plan() == ""


def test_each_role_has_its_own_grants_and_no_others(system: System) -> None:
    def grants(function: str) -> set[str]:
        role = f"{system.function(function)}-{system.stage.region}"
        return set(boto3.client("iam").list_role_policies(RoleName=role)["PolicyNames"])

    assert grants("ProcessKinesisRecords") == {"write-logs", "read-stream", "report-failures", "put-records"}
    assert grants("AggregateScoresByUser") == {
        "write-logs",
        "read-records",
        "read-ledger",
        "put-ledger",
        "update-totals",
        "report-failures",
    }


def test_a_failure_expires_before_it_could_no_longer_be_redriven(system: System) -> None:
    rules = boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=system.outputs["failure_bucket"])["Rules"]

    days = [rule["Expiration"]["Days"] for rule in rules if not rule.get("Filter", {}).get("Prefix")]
    assert days
    assert max(days) <= 33
