"""An account as `make bootstrap` leaves it: who may deploy from GitHub, and what they may do.

The local cloud enforces the policies of the roles, their permissions boundary, and who may assume them; it does not
verify the signature of GitHub's token. docs/decisions/0007 says how far that proves the same of AWS.
"""

import base64
import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts import state_bucket
from scripts.bootstrap import Trust, bootstrap
from scripts.command import UserError
from scripts.stage import Stage
from tests.integration.deployment import Deployment, local_stage
from tests.waiting import eventually

REPOSITORY = "octo@1/scores@2"
PREFIX = "test-"


@dataclass(frozen=True)
class Account:
    """A bootstrapped account."""

    stage: Stage
    outputs: Mapping[str, Any]

    @property
    def deployer(self) -> Mapping[str, str]:
        """The stage's roles and boundary."""
        deployer: Mapping[str, str] = self.outputs["deployers"][self.stage.name]
        return deployer

    def assume(self, role_arn: str, claim: str, audience: str = "sts.amazonaws.com") -> boto3.Session:
        """What a workflow of the repository gets for its token, whose subject ends in this claim."""
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in (
                {"alg": "RS256", "typ": "JWT"},
                {
                    "iss": "https://token.actions.githubusercontent.com",
                    "aud": audience,
                    "sub": claim if claim.startswith("repo:") else f"repo:{REPOSITORY}:{claim}",
                },
                "signature",
            )
        )
        answer = boto3.client("sts", config=Config(signature_version=UNSIGNED)).assume_role_with_web_identity(
            RoleArn=role_arn, RoleSessionName="workflow", WebIdentityToken=token
        )["Credentials"]
        return boto3.Session(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with local_stage(tmp_path_factory.mktemp("bootstrap")) as stage:
        yield Account(stage, bootstrap(stage, stage.account(), PREFIX, Trust(REPOSITORY, pull_requests=True)))


@pytest.fixture
def deployer(account: Account) -> boto3.Session:
    return account.assume(account.deployer["deploy_role_arn"], "environment:local")


@pytest.fixture
def planner(account: Account) -> boto3.Session:
    return account.assume(account.deployer["plan_role_arn"], "pull_request")


@contextlib.contextmanager
def at_work(session: boto3.Session) -> Iterator[None]:
    """This process, and what it starts, with these credentials and no others."""
    credentials = session.get_credentials()
    assert credentials is not None
    before = dict(os.environ)
    try:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": str(credentials.token),
        }
        boto3.setup_default_session()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        boto3.setup_default_session()


@contextlib.contextmanager
def refused() -> Iterator[None]:
    with pytest.raises(ClientError) as refusal:
        yield
    assert refusal.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), refusal.value


def test_a_second_bootstrap_changes_nothing_and_forgets_nothing(
    account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    again = bootstrap(account.stage, account.stage.account(), PREFIX, Trust())

    assert "No changes." in capsys.readouterr().out
    assert again == account.outputs


def test_the_state_bucket_is_closed_versioned_and_takes_no_plain_text(account: Account) -> None:
    s3, bucket = boto3.client("s3"), account.outputs["state_bucket"]

    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]

    assert bucket == state_bucket.name(account.stage, account.stage.account())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert [
        statement["Effect"] for statement in policy["Statement"] if "aws:SecureTransport" in str(statement["Condition"])
    ] == ["Deny"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90, "NewerNoncurrentVersions": 20}


def test_the_roles_policies_are_within_what_a_role_may_hold(account: Account) -> None:
    iam = boto3.client("iam")

    for role in (account.deployer[name].rpartition("/")[2] for name in ("deploy_role_arn", "plan_role_arn")):
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, which counts no white space
        assert 0 < sum(len(json.dumps(policy, separators=(",", ":"))) for policy in policies) < 10_240


@pytest.mark.parametrize(
    ("role", "claim", "audience"),
    [
        ("deploy_role_arn", "environment:prod", "sts.amazonaws.com"),
        ("deploy_role_arn", "pull_request", "sts.amazonaws.com"),
        ("deploy_role_arn", "ref:refs/heads/main", "sts.amazonaws.com"),
        ("deploy_role_arn", "environment:local", "https://github.com/octo"),
        ("deploy_role_arn", "repo:stranger/scores:environment:local", "sts.amazonaws.com"),
        ("plan_role_arn", "ref:refs/heads/other", "sts.amazonaws.com"),
        ("plan_role_arn", "repo:octo/scores:pull_request", "sts.amazonaws.com"),
    ],
)
def test_no_other_workflow_may_assume_a_role(account: Account, role: str, claim: str, audience: str) -> None:
    with refused():
        account.assume(account.deployer[role], claim, audience)


def test_the_deploy_role_deploys_uses_and_destroys_its_stage_and_the_plan_role_plans_it(
    account: Account, deployer: boto3.Session, planner: boto3.Session
) -> None:
    variables = {
        "permissions_boundary": account.deployer["permissions_boundary"],
        # The role makes no keys: docs/decisions/0007.
        "alarms": {"kms_key_arn": account.deployer["alarms_key_arn"]},
    }
    with at_work(deployer):
        deployment = Deployment(account.stage, PREFIX, variables)
        try:
            deployment.apply()
            score = {"RecordID": 1, "Username": "ada", "Score": 42}
            boto3.client("kinesis").put_record(
                StreamName=f"{PREFIX}Demo-Stream", PartitionKey="1", Data=json.dumps(score).encode()
            )
            totals, ada = boto3.resource("dynamodb").Table(f"{PREFIX}GameScoresByUser"), {"Username": "ada"}
            eventually(lambda: totals.get_item(Key=ada).get("Item", {}).get("Score") == 42, "the total of ada", 60)
            with at_work(planner):
                assert deployment.plan(lock=False) == ""
        finally:
            deployment.destroy()

    roles = [role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"]]
    assert [role for role in roles if role.startswith(PREFIX)] == []
    assert boto3.client("kinesis").list_streams()["StreamNames"] == []


def test_the_deploy_role_makes_nothing_outside_its_prefix(account: Account, deployer: boto3.Session) -> None:
    boundary = f"arn:aws:iam::{account.stage.account()}:policy/{account.deployer['permissions_boundary']}"
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})

    with refused():
        deployer.client("kinesis").create_stream(StreamName="prod-Demo-Stream", ShardCount=1)
    with refused():
        deployer.client("dynamodb").delete_table(TableName="GameScoreRecords")
    with refused():
        deployer.client("lambda").create_event_source_mapping(FunctionName="prod-f", EventSourceArn="arn:aws:sqs:::q")
    with refused():
        deployer.client("logs").create_log_group(logGroupName="/aws/lambda/prod-f")
    with refused():
        deployer.client("s3").create_bucket(Bucket="prod-game-score-failures")
    with refused():
        deployer.client("iam").create_role(
            RoleName="prod-f-us-east-1", AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary
        )


def test_the_deploy_role_touches_no_other_state_and_not_the_buckets_settings(
    account: Account, deployer: boto3.Session
) -> None:
    s3, bucket = deployer.client("s3"), account.outputs["state_bucket"]

    for key in ("stream-processing/prod.tfstate", "stream-processing/bootstrap.tfstate"):
        with refused():
            s3.get_object(Bucket=bucket, Key=key)
        with refused():
            s3.put_object(Bucket=bucket, Key=key, Body=b"{}")
    with refused():
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with refused():
        s3.delete_bucket_policy(Bucket=bucket)


def test_the_deploy_role_cannot_become_more_than_it_is(account: Account, deployer: boto3.Session) -> None:
    iam, number = deployer.client("iam"), account.stage.account()
    own = account.deployer["deploy_role_arn"].rpartition("/")[2]
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    boundary = f"arn:aws:iam::{number}:policy/{account.deployer['permissions_boundary']}"
    everything = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    trust = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": number}}],
        }
    )
    role = f"{PREFIX}greedy-{account.stage.region}"
    code = {"Runtime": "python3.13", "Handler": "a.b", "Code": {"ZipFile": b""}}

    with refused():
        iam.put_role_policy(RoleName=own, PolicyName="more", PolicyDocument=everything)
    with refused():
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
    with refused():
        iam.create_role(
            RoleName=role,
            AssumeRolePolicyDocument=trust,
            PermissionsBoundary=administrator,
        )
    with refused():
        deployer.client("lambda").create_function(
            FunctionName=f"{PREFIX}f",
            Role=account.deployer["deploy_role_arn"],
            **code,  # type: ignore[arg-type]
        )

    iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    try:
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=everything)
        with refused():
            iam.delete_role_permissions_boundary(RoleName=role)
        assumed = boto3.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{number}:role/{role}", RoleSessionName="greedy"
        )["Credentials"]
        greedy = boto3.Session(assumed["AccessKeyId"], assumed["SecretAccessKey"], assumed["SessionToken"])
        with refused():
            greedy.client("iam").create_user(UserName="mallory")
        with refused():
            greedy.client("dynamodb").get_item(TableName="prod-GameScoresByUser", Key={"Username": {"S": "ada"}})
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="all")
        iam.delete_role(RoleName=role)


def test_the_plan_role_reads_settings_but_writes_nothing_and_sees_no_data(
    account: Account, planner: boto3.Session
) -> None:
    with refused():
        planner.client("s3").put_object(
            Bucket=account.outputs["state_bucket"], Key=f"{account.stage.state_key}.tflock", Body=b"{}"
        )
    with refused():
        planner.client("kinesis").create_stream(StreamName=f"{PREFIX}Demo-Stream", ShardCount=1)
    with refused():
        planner.client("dynamodb").get_item(TableName=f"{PREFIX}GameScoresByUser", Key={"Username": {"S": "ada"}})
    with refused():
        planner.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{PREFIX}AggregateScoresByUser")


def test_a_role_for_a_stage_without_a_prefix_is_refused(account: Account) -> None:
    with pytest.raises(UserError, match="has no name_prefix"):
        bootstrap(account.stage, account.stage.account(), "", Trust(REPOSITORY))
