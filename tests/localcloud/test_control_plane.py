"""Event source mappings are refused, answered and changed as on AWS.

Errors and replies are recorded on AWS, by LocalStack (tests/aws/services/lambda_/test_lambda_api.snapshot.json and
tests/aws/services/lambda_/event_source_mapping/*.snapshot.json), unless a test names another source.
"""

import json
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.cloud import ACCOUNT, CREDENTIAL, REGION
from tests.localcloud.conftest import Deployment
from tests.waiting import eventually

UNKNOWN = "01234567-89ab-cdef-0123-456789abcdef"


def refused(call: Any, **parameters: Any) -> dict[str, Any]:
    """What Lambda answers to a call that it refuses."""
    with pytest.raises(ClientError) as refusal:
        call(**parameters)
    answer: dict[str, Any] = dict(refusal.value.response)
    return answer


def create(deployment: Deployment, **settings: Any) -> dict[str, Any]:
    """The refusal of a mapping; parameters are not checked before they are sent."""
    client = deployment.cloud.client("lambda", Config(parameter_validation=False))
    settings = {"FunctionName": deployment.name, "StartingPosition": "TRIM_HORIZON", **settings}
    return refused(client.create_event_source_mapping, **{name: v for name, v in settings.items() if v is not None})


def test_a_stream_that_does_not_exist_is_refused(deployment: Deployment) -> None:
    table = deployment.table()
    for arn in (
        f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/missing",
        f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/missing/stream/2025-02-22T03:03:25.490",
        f"{table.rpartition('/')[0]}/2025-02-22T03:03:25.490",
    ):
        answer = create(deployment, EventSourceArn=arn)

        assert answer["Error"] == {"Code": "InvalidParameterValueException", "Message": f"Stream not found: {arn}"}
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert answer["Type"] == "User"


def test_the_same_stream_and_function_again_is_a_conflict(deployment: Deployment) -> None:
    source = deployment.stream()
    uuid = deployment.map(source)

    answer = create(deployment, EventSourceArn=source)

    assert answer["Error"] == {
        "Code": "ResourceConflictException",
        "Message": f'The event source arn (" {source} ") and function (" {deployment.name} ") provided mapping already '
        f"exists. Please update or delete the existing mapping with UUID {uuid}",
    }
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert answer["Type"] == "User"


@pytest.mark.parametrize("pattern", ["single-string", '[{"eventName": ["INSERT"=123}]', "null", '{"a": []}'])
def test_an_invalid_filter_is_refused_when_a_mapping_is_made_and_changed(deployment: Deployment, pattern: str) -> None:
    source, criteria = deployment.stream(), {"Filters": [{"Pattern": pattern}]}
    uuid = deployment.map(source, FilterCriteria={"Filters": [{"Pattern": '{"data": {"a": [1]}}'}]})
    deployment.settled(uuid)

    update = deployment.cloud.client("lambda").update_event_source_mapping
    for answer in (
        create(deployment, EventSourceArn=deployment.table(), FilterCriteria=criteria),
        refused(update, UUID=uuid, FilterCriteria=criteria),
    ):
        assert answer["Error"] == {
            "Code": "InvalidParameterValueException",
            "Message": "Invalid filter pattern definition.",
        }
        assert answer["Type"] == "User"


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        ({"EventSourceArn": None}, "InvalidParameterValueException", "Unrecognized event source."),
        ({"FunctionName": "missing"}, "InvalidParameterValueException", "Function does not exist"),
        (
            {"StartingPosition": None},
            "InvalidParameterValueException",
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null.",
        ),
        (
            {"StartingPosition": "invalid"},
            "ValidationException",
            "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: "
            "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        ),
    ],
)
def test_a_mapping_that_makes_no_sense_is_refused(
    deployment: Deployment, settings: dict[str, Any], code: str, message: str
) -> None:
    answer = create(deployment, **{"EventSourceArn": deployment.stream(), **settings})

    assert answer["Error"] == {"Code": code, "Message": message}


def test_at_timestamp_is_not_for_tables(deployment: Deployment) -> None:
    source = deployment.table()

    answer = create(deployment, EventSourceArn=source, StartingPosition="AT_TIMESTAMP")

    assert answer["Error"]["Message"] == f"Unsupported starting position for arn type: {source}"


RANGES = [
    # https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html, as botocore's model has it
    ({"BatchSize": 0}, "'0' at 'batchSize'", "greater than or equal to 1"),
    ({"BatchSize": 10_001}, "'10001' at 'batchSize'", "less than or equal to 10000"),
    ({"MaximumBatchingWindowInSeconds": 301}, "'301' at 'maximumBatchingWindowInSeconds'", "less than or equal to 300"),
    ({"ParallelizationFactor": 0}, "'0' at 'parallelizationFactor'", "greater than or equal to 1"),
    ({"ParallelizationFactor": 11}, "'11' at 'parallelizationFactor'", "less than or equal to 10"),
    ({"MaximumRetryAttempts": -2}, "'-2' at 'maximumRetryAttempts'", "greater than or equal to -1"),
    ({"MaximumRecordAgeInSeconds": 604_801}, "'604801' at 'maximumRecordAgeInSeconds'", "less than or equal to 604800"),
    ({"TumblingWindowInSeconds": 901}, "'901' at 'tumblingWindowInSeconds'", "less than or equal to 900"),
]


@pytest.mark.parametrize(("settings", "value", "bound"), RANGES)
def test_a_number_out_of_range_is_refused(
    deployment: Deployment, settings: dict[str, Any], value: str, bound: str
) -> None:
    message = f"1 validation error detected: Value {value} failed to satisfy constraint: Member must have value {bound}"
    source = deployment.stream()
    uuid = deployment.map(source)
    deployment.settled(uuid)
    client = deployment.cloud.client("lambda", Config(parameter_validation=False))

    made = create(deployment, EventSourceArn=source, **settings)
    changed = refused(client.update_event_source_mapping, UUID=uuid, **settings)

    assert made["Error"] == changed["Error"] == {"Code": "ValidationException", "Message": message}


def test_a_record_age_below_a_minute_is_refused(deployment: Deployment) -> None:
    """Recorded by a maintainer: https://github.com/hashicorp/terraform-provider-aws/pull/16113"""
    answer = create(deployment, EventSourceArn=deployment.stream(), MaximumRecordAgeInSeconds=59)

    assert answer["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)",
    }


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
def test_an_unknown_mapping_is_not_found(deployment: Deployment, operation: str) -> None:
    answer = refused(getattr(deployment.cloud.client("lambda"), f"{operation}_event_source_mapping"), UUID=UNKNOWN)

    assert answer["Error"] == {
        "Code": "ResourceNotFoundException",
        "Message": "The resource you requested does not exist.",
    }
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert answer["Type"] == "User"


@pytest.mark.parametrize("service", ["kinesis", "dynamodb"])
def test_the_reply_has_the_defaults(deployment: Deployment, service: str) -> None:
    """test_create_kinesis_event_source_mapping, test_dynamodb_event_source_mapping"""
    source = deployment.stream() if service == "kinesis" else deployment.table()

    reply = deployment.cloud.client("lambda").create_event_source_mapping(
        FunctionName=deployment.name,
        EventSourceArn=source,
        StartingPosition="LATEST",
        FilterCriteria={"Filters": []},
    )

    uuid = reply["UUID"]
    assert reply.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    assert reply.pop("LastModified")
    assert reply == {
        "BatchSize": 100,
        "BisectBatchOnFunctionError": False,
        "DestinationConfig": {"OnFailure": {}},
        "EventSourceArn": source,
        "EventSourceMappingArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:event-source-mapping:{uuid}",
        "FunctionArn": deployment.function_arn,
        "FunctionResponseTypes": [],
        "LastProcessingResult": "No records processed",
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "ParallelizationFactor": 1,
        "StartingPosition": "LATEST",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "TumblingWindowInSeconds": 0,
        "UUID": uuid,
    }


def test_a_mapping_goes_through_its_states(deployment: Deployment) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_UpdateEventSourceMapping.html has ResourceInUseException."""
    client = deployment.cloud.client("lambda")
    created = deployment.create_mapping(deployment.stream())
    uuid = created["UUID"]
    seen = [created["State"], deployment.settled(uuid)["State"]]
    for settings in ({"BatchSize": 7}, {"Enabled": False}, {"Enabled": True}):
        reply = client.update_event_source_mapping(UUID=uuid, **settings)
        assert reply["ResponseMetadata"]["HTTPStatusCode"] == 202
        seen += [reply["State"], deployment.settled(uuid)["State"]]

    seen.append(client.delete_event_source_mapping(UUID=uuid)["State"])

    assert seen == [
        *("Creating", "Enabled", "Updating", "Enabled", "Disabling", "Disabled", "Enabling", "Enabled", "Deleting")
    ]

    def mappings() -> list[Any]:
        return list(client.list_event_source_mappings(FunctionName=deployment.name)["EventSourceMappings"])

    eventually(lambda: mappings() == [], "the mapping is gone")


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_a_mapping_that_is_being_changed_takes_no_other_change(deployment: Deployment, operation: str) -> None:
    client = deployment.cloud.client("lambda")
    refusals: list[dict[str, Any]] = []

    def is_refused() -> bool:
        """Whether a change meets another one, which on a busy machine may have ended before it."""
        uuid = deployment.map(deployment.stream())
        change = {"BatchSize": 1} if operation == "update" else {}
        try:
            getattr(client, f"{operation}_event_source_mapping")(UUID=uuid, **change)
        except ClientError as error:
            refusals.append(dict(error.response["Error"]))
        return bool(refusals)

    eventually(is_refused, "a change that meets another one")

    message = f"Cannot {operation} the event source mapping because it is in use."
    assert refusals == [{"Code": "ResourceInUseException", "Message": message}]


def test_a_mapping_says_what_came_of_its_last_invocation(deployment: Deployment) -> None:
    """ "OK": test_kinesis_empty_provided; "PROBLEM: Function call failed": the guide's with-kinesis.md."""
    client = deployment.cloud.client("lambda")
    uuid = deployment.map(deployment.stream(), BatchSize=1, MaximumRetryAttempts=0)

    def result() -> str:
        return str(client.get_event_source_mapping(UUID=uuid)["LastProcessingResult"])

    assert result() == "No records processed"

    deployment.put("a")
    eventually(lambda: result() == "OK", "the mapping says OK")
    deployment.put("poison")
    eventually(lambda: result() == "PROBLEM: Function call failed", "the mapping says that the call failed")
    deployment.put("b")
    eventually(lambda: result() == "OK", "the mapping says OK again")


def test_a_mapping_says_why_its_stream_cannot_be_read(deployment: Deployment) -> None:
    """That such a result begins with PROBLEM is in the guide; the words behind it are ours."""
    uuid = deployment.map(deployment.stream())
    deployment.deny("kinesis:GetRecords")

    def result() -> str:
        return str(deployment.settled(uuid)["LastProcessingResult"])

    eventually(lambda: result().startswith("PROBLEM: ") and "GetRecords" in result(), "the mapping names the problem")


@pytest.mark.parametrize(("account", "region"), [("123456789012", REGION), (ACCOUNT, "eu-central-1")])
def test_a_mapping_that_the_engine_would_never_see_is_refused(
    deployment: Deployment, account: str, region: str
) -> None:
    """Our choice: the engine works in one account and region."""
    key = CREDENTIAL if account == ACCOUNT else account
    client = deployment.cloud.client("lambda", region=region, access_key=key)
    kinesis = deployment.cloud.client("kinesis", region=region, access_key=key)
    iam = deployment.cloud.client("iam", region=region, access_key=key)
    kinesis.create_stream(StreamName=deployment.name, ShardCount=1)
    name = f"{deployment.name}-elsewhere"
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    code = {"ZipFile": deployment.code}
    client.create_function(FunctionName=name, Runtime="python3.11", Role=role, Handler="function.handler", Code=code)

    answer = refused(
        client.create_event_source_mapping,
        FunctionName=name,
        EventSourceArn=f"arn:aws:kinesis:{region}:{account}:stream/{deployment.name}",
        StartingPosition="LATEST",
    )

    assert answer["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": f"The local cloud runs stream mappings in account {ACCOUNT} and region {REGION} only.",
    }
