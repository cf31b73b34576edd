"""What is deployed breaks no rule of tests/policy, and no function's role may do what it could do without."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.stage import LOCAL, TERRAFORM, stages
from tests.acceptance.players import Players
from tests.integration.deployment import Deployment, System, local_stage
from tests.policy.rules import complaints, resources
from tests.waiting import eventually

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
STAGES_IN_AWS, WITH_A_KEY = [name for name in stages() if name != LOCAL], "with a key"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1234abcd-12ab-34cd-56ef-1234567890ab"


# The rules


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Plans of the stages in AWS, from their own settings, before anything is there; and of one with a key of ours."""
    folder = tmp_path_factory.mktemp("plans")
    # Whose account a stage belongs to is for its owner to say, and the local cloud's is none of theirs.
    (account := folder / "account.tfvars.json").write_text(json.dumps({"allowed_account_ids": ["000000000000"]}))
    (key := folder / "key.tfvars.json").write_text(json.dumps({"kms_key_arn": KEY}))
    files = {name: TERRAFORM / "stages" / f"{name}.tfvars" for name in STAGES_IN_AWS}
    with local_stage(folder) as stage:
        deployment = Deployment(stage, "", {})
        plans = {name: deployment.planned(file, account) for name, file in files.items()}
        return plans | {WITH_A_KEY: deployment.planned(files[STAGES_IN_AWS[-1]], account, key)}


@pytest.mark.parametrize("name", [*STAGES_IN_AWS, WITH_A_KEY])
def test_a_plan_of_a_stage_succeeds_and_breaks_no_rule(plans: Mapping[str, Any], name: str) -> None:
    plan = plans[name]

    assert not plan["errored"]
    assert {"aws_iam_role", "aws_s3_bucket", "data.aws_iam_policy_document"} <= {each.type for each in resources(plan)}
    assert complaints(plan) == []


def test_what_is_deployed_breaks_no_rule(system: System) -> None:
    state = system.deployment.shown()

    policies = [each for each in resources(state) if each.type in ("aws_iam_role_policy", "aws_s3_bucket_policy")]
    assert policies
    assert all(each.values["policy"] for each in policies)
    assert complaints(state) == []


# The rights that each function needs


Use = Callable[[System, str, str], AbstractContextManager[None]]
"""Something that a function needs an action for: entered without the right, it fails, and left with it, it works."""


def role(system: System, function: str) -> str:
    """The name of a function's role."""
    return f"{system.function(function)}-{system.stage.region}"


def policies(system: System, function: str) -> dict[str, dict[str, Any]]:
    """The documents of a role's policies, by name."""
    iam: Any = boto3.client("iam")
    name = role(system, function)
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    return {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }


def actions(statement: Mapping[str, Any]) -> list[str]:
    """The actions of a statement."""
    found = statement["Action"]
    return [found] if isinstance(found, str) else list(found)


@contextmanager
def without(system: System, function: str, action: str) -> Iterator[None]:
    """A function's role lacks an action; with it goes the statement, and the policy, that allow nothing else."""
    iam, name = boto3.client("iam"), role(system, function)
    [(policy, document)] = [
        (policy, document)
        for policy, document in policies(system, function).items()
        if any(action in actions(statement) for statement in document["Statement"])
    ]
    lesser = [
        {**statement, "Action": [each for each in actions(statement) if each != action]}
        for statement in document["Statement"]
        if actions(statement) != [action]
    ]
    try:
        if lesser:
            reduced = json.dumps({**document, "Statement": lesser})
            iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=reduced)
        else:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
        yield
    finally:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))


@contextmanager
def mapping_is_changed(system: System, function: str, action: str) -> Iterator[None]:
    """The function's mapping, as it is, is handed to Lambda again."""
    client, uuid = boto3.client("lambda"), system.outputs["functions"][function]["mapping_uuid"]
    size = client.get_event_source_mapping(UUID=uuid)["BatchSize"]
    service, name = action.split(":")
    refusal = f"permissions to call {name} on S3" if service == "s3" else "Cannot access stream"
    with pytest.raises(ClientError, match=re.escape(refusal)):
        client.update_event_source_mapping(UUID=uuid, BatchSize=size)
    yield
    client.update_event_source_mapping(UUID=uuid, BatchSize=size)
    eventually(lambda: client.get_event_source_mapping(UUID=uuid)["State"] == "Enabled", "the mapping changed")


@contextmanager
def log_is_written(system: System, function: str, action: str) -> Iterator[None]:
    """What the function logs is in its log when it has answered."""

    def is_logged() -> bool:
        answer = boto3.client("lambda").invoke(
            FunctionName=system.function(function), Payload=json.dumps({"Records": []}), LogType="Tail"
        )
        tail = base64.b64decode(answer["LogResult"]).decode().splitlines()
        [summary] = [line for line in tail if "Successfully processed 0 records." in line]
        assert '"requestId"' in summary, "so that no other invocation has logged the same"
        return summary in system.logged(function)

    assert not is_logged()
    yield
    assert is_logged()


_records = count(9500)


@contextmanager
def record_is_counted(system: System, function: str, action: str) -> Iterator[None]:
    """A score that comes to the function ends in its user's total; until then the lack is told."""
    record = next(_records)
    players = Players(system, f"{action} {record}", record)
    told = tellings(system, function)
    send(system, function, {"RecordID": record, "Username": f"{action} {record} ann", "Score": 3})
    eventually(lambda: action in told(), what=f"the lack of {action} in what is told")
    assert players.totals() == {}
    yield
    eventually(lambda: players.totals() == {f"{action} {record} ann": (3, 1)}, what="the total")


@contextmanager
def record_is_updated(system: System, function: str, action: str) -> Iterator[None]:
    """An update of a counted score ends in its user's total; until then the log says which action is missing."""
    record = next(_records)
    players, told = Players(system, f"{action} {record}", record), tellings(system, function)
    players.put(0, "ann", Score=1)
    eventually(lambda: players.totals() == {f"{action} {record} ann": (1, 1)}, what="the first total")
    players.put(0, "ann", Score=3)
    eventually(lambda: action in told(), what=f"{action} in what is reported")
    assert players.totals() == {f"{action} {record} ann": (1, 1)}
    yield
    eventually(lambda: players.totals() == {f"{action} {record} ann": (3, 1)}, what="the total")


@contextmanager
def poison_is_parked(system: System, function: str, action: str) -> Iterator[None]:
    """A score that cannot be counted ends in the failure store; until then the lack is told."""
    s3, bucket, prefix = boto3.client("s3"), system.outputs["failure_bucket"], f"parked/{system.function(function)}/"

    def parked() -> set[str]:
        return {each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}

    told, before = tellings(system, function), parked()
    send(system, function, {"RecordID": next(_records), "Username": "poison", "Score": "none"})
    eventually(lambda: action in told(), what=f"the lack of {action} in what is told")
    assert parked() == before
    yield
    [key] = eventually(lambda: parked() - before, what="the parked record")
    s3.delete_object(Bucket=bucket, Key=key)


def send(system: System, function: str, score: dict[str, Any]) -> None:
    """Put a score where it comes to a function first."""
    if function == PROCESS:
        boto3.client("kinesis").put_record(
            StreamName=system.outputs["stream"]["name"], PartitionKey=str(score["RecordID"]), Data=json.dumps(score)
        )
    else:
        boto3.resource("dynamodb").Table(system.table("GameScoreRecords")).put_item(Item=score)


def tellings(system: System, function: str) -> Callable[[], str]:
    """What is told from now on of a function that fails: as errors in its log, and of its mapping by the engine."""
    uuid = system.outputs["functions"][function]["mapping_uuid"]
    before = len(system.logged(function))

    def told() -> str:
        errors = [line for line in system.logged(function)[before:] if '"ERROR"' in line]
        return "\n".join([*errors, str(system.stage.local_cloud.heartbeat()["mappings"].get(uuid, ""))])

    return told


OF_EACH: Mapping[str, tuple[Use, ...]] = {
    "logs:CreateLogStream": (log_is_written,),
    "logs:PutLogEvents": (log_is_written,),
    "s3:ListBucket": (mapping_is_changed,),
    "s3:PutObject": (mapping_is_changed,),
}
"""What every function needs; more of it is needed by one that parks records."""
OF_THE_STREAM: Mapping[str, tuple[Use, ...]] = {
    f"kinesis:{action}": (mapping_is_changed,)
    for action in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
}
"""What a function needs to read Demo-Stream."""
NEEDED: Mapping[str, Mapping[str, tuple[Use, ...]]] = {
    PROCESS: {
        **OF_EACH,
        **OF_THE_STREAM,
        "s3:PutObject": (mapping_is_changed, poison_is_parked),
        "kinesis:GetRecords": (mapping_is_changed, record_is_counted),
        "dynamodb:PutItem": (record_is_counted,),
    },
    AGGREGATE: {
        **OF_EACH,
        "s3:PutObject": (mapping_is_changed, poison_is_parked),
        "dynamodb:BatchGetItem": (record_is_updated,),
        "dynamodb:DescribeStream": (mapping_is_changed,),
        "dynamodb:GetRecords": (mapping_is_changed, record_is_counted),
        "dynamodb:GetShardIterator": (mapping_is_changed,),
        "dynamodb:ListStreams": (mapping_is_changed,),
        "dynamodb:PutItem": (record_is_counted,),
        "dynamodb:UpdateItem": (record_is_counted,),
    },
}


def test_the_needs_of_every_deployed_function_are_shown_here(system: System) -> None:
    assert set(NEEDED) == set(system.outputs["functions"]), "say in NEEDED what each action of a function's role is for"


@pytest.mark.parametrize("function", NEEDED)
def test_a_role_allows_nothing_whose_need_is_not_shown_here(system: System, function: str) -> None:
    allowed = [
        action
        for document in policies(system, function).values()
        for statement in document["Statement"]
        for action in actions(statement)
    ]

    assert sorted(allowed) == sorted(NEEDED[function])


@pytest.mark.parametrize(("function", "action"), [(name, action) for name in NEEDED for action in NEEDED[name]])
def test_without_any_one_action_of_its_role_a_function_fails_and_says_why_until_it_is_back(
    system: System, function: str, action: str
) -> None:
    with ExitStack() as uses, without(system, function, action):
        for use in NEEDED[function][action]:
            uses.enter_context(use(system, function, action))


def errors(system: System) -> str:
    """What AggregateScoresByUser has logged as errors."""
    return "\n".join(line for line in system.logged(AGGREGATE) if '"ERROR"' in line)


def parked(system: System) -> set[str]:
    """The keys of what AggregateScoresByUser has parked."""
    bucket, prefix = system.outputs["failure_bucket"], f"parked/{system.function(AGGREGATE)}/"
    return {
        each["Key"] for each in boto3.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    }


def test_without_the_right_to_park_a_poison_record_is_retried_and_the_rest_is_counted_once(system: System) -> None:
    players = Players(system, "report-failures", 9000)
    before, reported = parked(system), errors(system)

    with without(system, AGGREGATE, "s3:PutObject"):
        players.put(1, "ann", Score="none")
        players.put(2, "ann", Score=2)
        eventually(lambda: "s3:PutObject" in errors(system).removeprefix(reported), what="the denial in the log")
        assert parked(system) == before

    eventually(lambda: len(parked(system) - before) == 1, what="the parked record")
    eventually(lambda: players.totals() == {"report-failures ann": (2, 1)}, what="exact totals")
