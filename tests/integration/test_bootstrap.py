"""An account as `make bootstrap` leaves it: who may deploy from GitHub, and what they may do.

The local cloud enforces the policies of the roles, their permissions boundary, and who may assume them; it does not
verify the signature of GitHub's token. docs/decisions/0007 says how far that proves the same of AWS.

RECORD=1 writes the provider's calls to tests/policy/provider_calls.json, which the tests compare them with otherwise.
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.cli import UserError
from scripts.deploy import bootstrapped, state_bucket
from scripts.deploy.bootstrap import Trust, bootstrap
from scripts.deployment import Deployed
from scripts.develop.package import functions
from scripts.reconcile.reconcile import reconcile
from scripts.stage import ROOT, Stage
from tests.integration.deployment import Deployment, local_stage
from tests.policy import provider_calls
from tests.policy.provider_calls import Names, Right, allows
from tests.policy.rules import statements
from tests.waiting import eventually

REPOSITORY = "octo@1/scores@2"
PREFIX = "test-"


MAIN = "refs/heads/main"


@dataclass(frozen=True)
class StageWithAKey(Stage):
    """The local stage, with a key of its own in its settings."""

    kms_key_arn: str = ""
    role: boto3.Session | None = field(default=None, compare=False)
    """Whose rights its session has; None for the account's administrator."""

    @property
    def session(self) -> boto3.Session:
        """The role's session, or else the stage's own."""
        return self.role or super().session

    @property
    def variables(self) -> dict[str, Any]:
        """The stage's Terraform variables, with the key among them."""
        return super().variables | {"kms_key_arn": self.kms_key_arn}


@dataclass(frozen=True)
class Account:
    """A bootstrapped account."""

    stage: StageWithAKey
    outputs: Mapping[str, Any]
    former_alarms_key: str
    """The key that the stage created for its alarms, when it was deployed before there were roles."""
    iam: Any
    """IAM, as the account's administrator asks it."""
    second_region: Callable[[], Any]
    """Returns the outputs of a bootstrap in a second region, once it has ended."""

    def stage_as(self, role: boto3.Session) -> StageWithAKey:
        """The stage, reached with the rights of a role."""
        return replace(self.stage, role=role)

    @property
    def number(self) -> str:
        """The account's id."""
        return self.stage.account()

    @property
    def deployer(self) -> Mapping[str, str]:
        """The stage's roles and boundary."""
        deployer: Mapping[str, str] = self.outputs["deployers"][self.stage.name]
        return deployer

    @property
    def names(self) -> Names:
        """The stage's resources, as a policy names them."""
        region, number = self.stage.region, self.number
        regional = {
            service: f"arn:aws:{service}:{region}:{number}"
            for service in ("cloudwatch", "dynamodb", "kinesis", "lambda", "logs", "sns")
        }
        return Names(
            stream=f"{regional['kinesis']}:stream/{PREFIX}Demo-Stream",
            table=f"{regional['dynamodb']}:table/{PREFIX}GameScoreRecords",
            function=f"{regional['lambda']}:function:{PREFIX}AggregateScoresByUser",
            mapping=f"{regional['lambda']}:event-source-mapping:00000000-0000-0000-0000-000000000000",
            log_group=f"{regional['logs']}:log-group:/aws/lambda/{PREFIX}AggregateScoresByUser",
            role=f"arn:aws:iam::{number}:role/stream-processing/local/{PREFIX}AggregateScoresByUser-{region}",
            bucket=f"arn:aws:s3:::{PREFIX}game-score-failures-{number}-{region}",
            topic=f"{regional['sns']}:{PREFIX}game-scores-alarms",
            alarm=f"{regional['cloudwatch']}:alarm:{PREFIX}game-scores-drift",
            dashboard=f"arn:aws:cloudwatch::{number}:dashboard/{PREFIX}game-scores",
            boundary=f"arn:aws:iam::{number}:policy/{self.deployer['permissions_boundary']}",
            data_key=self.stage.kms_key_arn,
            former_alarms_key=self.former_alarms_key,
        )

    def policies(self, role: str) -> list[dict[str, Any]]:
        """The documents of a role's policies."""
        return [
            self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        ]

    def assume(
        self, role: str, claim: str, audience: str = "sts.amazonaws.com", ref: str | None = MAIN
    ) -> boto3.Session:
        """What a workflow of the repository gets for its token, whose subject ends in this claim."""
        token = ".".join(
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in (
                {"alg": "RS256", "typ": "JWT"},
                {
                    "iss": "https://token.actions.githubusercontent.com",
                    "aud": audience,
                    "sub": claim if claim.startswith("repo:") else f"repo:{REPOSITORY}:{claim}",
                    **({"ref": ref} if ref else {}),
                },
                "signature",
            )
        )
        answer = boto3.client("sts", config=Config(signature_version=UNSIGNED)).assume_role_with_web_identity(
            RoleArn=self.deployer[f"{role}_role_arn"], RoleSessionName="workflow", WebIdentityToken=token
        )["Credentials"]
        return boto3.Session(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which the stage was deployed by a person, in part, before it was bootstrapped."""
    with local_stage(tmp_path_factory.mktemp("bootstrap")) as local:
        key = boto3.client("kms").create_key(Description="The stage's data")["KeyMetadata"]["Arn"]
        stage = StageWithAKey(local.name, local.region, local.endpoint, local.folder, kms_key_arn=key)
        deployment = Deployment(stage, PREFIX, {})
        deployment.apply_only("module.monitoring.module.key")
        # Applied, it would bring with it all that a function's environment names.
        deployment.take_over(
            'module.function["ProcessKinesisRecords"].aws_iam_role.this', unbounded_role("ProcessKinesisRecords", stage)
        )
        [former] = [each["KeyArn"] for each in boto3.client("kms").list_keys()["Keys"] if each["KeyArn"] != key]
        outputs = bootstrap(stage, stage.account(), PREFIX, Trust(REPOSITORY, pull_requests=True))
        with second_region(stage, tmp_path_factory.mktemp("second-region")) as second:
            yield Account(stage, outputs, former, boto3.client("iam"), second)


def unbounded_role(function: str, stage: Stage) -> str:
    """Create a function's role as Terraform does, but without a permissions boundary; returns its name."""
    name = f"{PREFIX}{function}-{stage.region}"
    trust = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Condition": {"StringEquals": {"aws:SourceAccount": stage.account()}},
    }
    boto3.client("iam").create_role(
        RoleName=name,
        Path="/stream-processing/local/",
        Description=f"What {PREFIX}{function} may do",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        Tags=[{"Key": "Project", "Value": "stream-processing"}],
    )
    return name


SECOND_REGION = """
import json, sys
from pathlib import Path
from scripts.deploy.bootstrap import Trust, bootstrap
from scripts.stage import Stage

name, endpoint, folder, repository = sys.argv[1:]
stage = Stage(name, "eu-central-1", endpoint, Path(folder))
outputs = bootstrap(stage, stage.account(), "other-", Trust(repository))
(stage.folder / "outputs.json").write_text(json.dumps(outputs))
"""


@contextlib.contextmanager
def second_region(stage: Stage, folder: Path) -> Iterator[Callable[[], Any]]:
    """Bootstrap the account in a second region, meanwhile, since that is a minute of waiting; gives its outputs."""
    arguments = [sys.executable, "-c", SECOND_REGION, stage.name, str(stage.endpoint), str(folder), REPOSITORY]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:

        def outputs() -> Any:
            printed, _ = process.communicate(timeout=300)
            assert process.returncode == 0, printed
            return json.loads((folder / "outputs.json").read_text())

        try:
            yield outputs
        finally:
            with contextlib.suppress(ValueError):  # it has been read
                process.communicate(timeout=300)


@pytest.fixture
def deployer(account: Account) -> boto3.Session:
    return account.assume("deploy", "environment:local")


@pytest.fixture
def planner(account: Account) -> boto3.Session:
    return account.assume("plan", "pull_request", ref="refs/pull/1/merge")


@pytest.fixture
def reconciler(account: Account) -> boto3.Session:
    return account.assume("reconcile", f"ref:{MAIN}")


@contextlib.contextmanager
def at_work(session: boto3.Session) -> Iterator[None]:
    """What this process starts, with these credentials and no others."""
    credentials = session.get_credentials()
    assert credentials is not None
    before = dict(os.environ)
    try:
        os.environ |= {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": str(credentials.token),
        }
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def logged(file: Path) -> Iterator[None]:
    """Have the provider log its calls to a file."""
    os.environ |= {"TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(file)}
    try:
        yield
    finally:
        del os.environ["TF_LOG_PROVIDER"], os.environ["TF_LOG_PATH"]


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


def test_a_second_region_shares_the_accounts_identity_provider(account: Account) -> None:
    outputs = account.second_region()

    [provider] = boto3.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
    assert outputs["github"]["oidc_provider_arn"] == provider["Arn"]
    assert account.outputs["github"]["oidc_provider_arn"] is None


ROLES = ("deploy", "plan", "reconcile")


@pytest.mark.parametrize("role", ROLES)
def test_a_roles_policies_are_within_what_a_role_may_hold(account: Account, role: str) -> None:
    policies = account.policies(account.deployer[f"{role}_role_arn"].rpartition("/")[2])

    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, which counts no white space
    assert 0 < sum(len(json.dumps(policy, separators=(",", ":"))) for policy in policies) < 10_240


@pytest.mark.parametrize("phase", ["create", "read", "update", "delete", "make"])
def test_the_deploy_role_may_do_all_that_the_provider_was_recorded_to_ask_for(account: Account, phase: str) -> None:
    policies = account.policies(account.deployer["deploy_role_arn"].rpartition("/")[2])
    made = provider_calls.recorded() | {"make": provider_calls.ASKED_BY_MAKE}

    needed = provider_calls.rights(made[phase], account.names)

    assert needed
    assert [str(right) for right in needed if not allows(policies, right)] == []


def test_the_plan_role_may_do_all_that_the_provider_asks_for_in_a_plan(account: Account) -> None:
    policies = account.policies(account.deployer["plan_role_arn"].rpartition("/")[2])

    needed = provider_calls.rights(provider_calls.recorded()["read"], account.names)

    assert needed
    assert [str(right) for right in needed if not allows(policies, right)] == []


@pytest.mark.parametrize(
    ("role", "claim", "audience", "ref"),
    [
        ("deploy", "environment:prod", "sts.amazonaws.com", MAIN),
        ("deploy", "pull_request", "sts.amazonaws.com", "refs/pull/1/merge"),
        ("deploy", "ref:refs/heads/main", "sts.amazonaws.com", MAIN),
        ("deploy", "environment:local", "https://github.com/octo", MAIN),
        ("deploy", "repo:stranger/scores:environment:local", "sts.amazonaws.com", MAIN),
        ("deploy", "environment:local", "sts.amazonaws.com", "refs/heads/other"),
        ("deploy", "environment:local", "sts.amazonaws.com", "refs/tags/main"),
        ("deploy", "environment:local", "sts.amazonaws.com", None),
        ("plan", "ref:refs/heads/other", "sts.amazonaws.com", "refs/heads/other"),
        ("plan", "repo:octo/scores:pull_request", "sts.amazonaws.com", "refs/pull/1/merge"),
        ("reconcile", "pull_request", "sts.amazonaws.com", "refs/pull/1/merge"),
        ("reconcile", "environment:local", "sts.amazonaws.com", MAIN),
    ],
)
def test_no_other_workflow_may_assume_a_role(
    account: Account, role: str, claim: str, audience: str, ref: str | None
) -> None:
    with refused():
        account.assume(role, claim, audience, ref)


# Not the failures' retention: the provider waits a minute, and changing a lifecycle takes no right but its creation's.
CHANGED: dict[str, Any] = {
    "tags": {"Changed": "yes"},
    "stream": {"shard_count": 2, "retention_hours": 48, "partition_key_is_record_id": True},
    "log_retention_days": 14,
    "tables": {"point_in_time_recovery": True},
    "functions": {
        "ProcessKinesisRecords": {"memory_size": 512, "reserved_concurrency": 5, "mapping": {"batch_size": 50}},
    },
    "alarms": {"emails": ["b@example.com"], "kinds": ["drift"]},
}
BACK: dict[str, Any] = {
    "tags": {},
    "stream": {"partition_key_is_record_id": True},
    "tables": {},
    "functions": {},
    "alarms": {"emails": []},
}


def test_the_deploy_role_takes_a_stage_over_changes_uses_and_destroys_it_and_the_others_plan_and_reconcile_it(
    account: Account, deployer: boto3.Session, planner: boto3.Session, reconciler: boto3.Session, tmp_path: Path
) -> None:
    logs = {phase: tmp_path / f"{phase}.log" for phase in provider_calls.recorded()}
    with at_work(planner):
        stage = account.stage_as(planner)
        os.environ |= bootstrapped.variables(stage, account.number)
        assert Deployment(stage, PREFIX, {}).plan(lock=False) != ""
    with at_work(deployer):
        stage = account.stage_as(deployer)
        os.environ |= bootstrapped.variables(stage, account.number)
        deployment = Deployment(stage, PREFIX, {"alarms": {"emails": ["a@example.com"]}})
        try:
            with logged(logs["create"]):
                deployment.apply()
            score = {"RecordID": 1, "Username": "ada", "Score": 42}
            deployer.client("kinesis").put_record(
                StreamName=f"{PREFIX}Demo-Stream", PartitionKey="1", Data=json.dumps(score).encode()
            )
            totals, ada = deployer.resource("dynamodb").Table(f"{PREFIX}GameScoresByUser"), {"Username": "ada"}
            eventually(lambda: totals.get_item(Key=ada).get("Item", {}).get("Score") == 42, "the total of ada", 60)
            with at_work(planner), logged(logs["read"]):
                assert deployment.plan(lock=False) == ""
            system = Deployed(account.stage_as(reconciler), account.number, deployment.outputs())
            findings: list[Any] = []
            reconcile(system, findings.append)
            assert findings == []
            with logged(logs["update"]):
                deployment.apply(kms_key_arn=account.stage.kms_key_arn, **CHANGED)
                exceeding = grants_beyond_the_boundary(account)
                deployment.apply(kms_key_arn=None, packages_dir=str(changed_packages(tmp_path)), **BACK)
            with at_work(planner):
                assert deployment.plan(lock=False) == ""
        finally:
            with logged(logs["delete"]):
                deployment.destroy()

    assert exceeding == []
    roles = [role["RoleName"] for role in boto3.client("iam").list_roles()["Roles"]]
    assert [role for role in roles if role.startswith(PREFIX)] == []
    assert boto3.client("kinesis").list_streams()["StreamNames"] == []
    former = boto3.client("kms").describe_key(KeyId=account.former_alarms_key)["KeyMetadata"]
    assert former["KeyState"] == "PendingDeletion"
    assert [provider_calls.denied(log.read_text()) for log in logs.values()] == [set() for _ in logs]
    made = {phase: provider_calls.calls(log.read_text()) for phase, log in logs.items()}
    if os.environ.get("RECORD"):
        provider_calls.RECORDED.write_text(json.dumps(made, indent=2) + "\n")
    known = provider_calls.recorded()
    assert {phase: provider_calls.beyond(made[phase], known[phase]) for phase in made} == {phase: {} for phase in made}
    # How often the provider looks whether something is ready depends on how soon it is.
    missing = [
        call for phase in made for each in provider_calls.beyond(known[phase], made[phase]).values() for call in each
    ]
    assert [
        call for call in missing if not call.partition(":")[2].startswith(("Describe", "Get", "Head", "List"))
    ] == []


def grants_beyond_the_boundary(account: Account) -> list[str]:
    """What the functions' roles are granted, and the boundary does not let them do."""
    boundary = account.names.boundary
    version = account.iam.get_policy(PolicyArn=boundary)["Policy"]["DefaultVersionId"]
    limit = account.iam.get_policy_version(PolicyArn=boundary, VersionId=version)["PolicyVersion"]["Document"]
    names = [role["RoleName"] for role in account.iam.list_roles(PathPrefix="/stream-processing/local/")["Roles"]]
    # A list of roles does not say what bounds them, nor does it in AWS.
    roles = [account.iam.get_role(RoleName=name)["Role"] for name in names]
    assert [role["PermissionsBoundary"]["PermissionsBoundaryArn"] for role in roles] == [boundary] * len(functions())
    granted = [
        Right(action, resource)
        for role in roles
        for document in account.policies(role["RoleName"])
        for statement in statements(json.dumps(document))
        for action in statement.actions
        for resource in map(str, statement.resources)
    ]
    assert any(right.resource == account.stage.kms_key_arn for right in granted)
    return [str(right) for right in granted if not allows([limit], right)]


def changed_packages(folder: Path) -> Path:
    """Packages with another file in them, so that the functions' code has changed."""
    packages = folder / "packages"
    shutil.copytree(ROOT / "build", packages)
    for package in packages.glob("*.zip"):
        with zipfile.ZipFile(package, "a") as file:
            file.writestr("changed.txt", "changed")
    return packages


def test_the_deploy_role_makes_nothing_outside_its_prefix(account: Account, deployer: boto3.Session) -> None:
    boundary = account.names.boundary
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
    for name, path in (
        ("prod-f-us-east-1", "/stream-processing/local/"),
        (f"{PREFIX}f-us-east-1", "/"),
        (f"{PREFIX}f-us-east-1", "/stream-processing/prod/"),
    ):
        with refused():
            deployer.client("iam").create_role(
                RoleName=name, Path=path, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary
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
    role, path = f"{PREFIX}greedy-{account.stage.region}", "/stream-processing/local/"
    anothers = f"{PREFIX}ledger-of-another-team-{account.stage.region}"
    code = {"Runtime": "python3.13", "Handler": "a.b", "Code": {"ZipFile": b""}}

    with refused():
        iam.put_role_policy(RoleName=own, PolicyName="more", PolicyDocument=everything)
    with refused():
        iam.create_role(RoleName=role, Path=path, AssumeRolePolicyDocument=trust)
    with refused():
        iam.create_role(
            RoleName=role,
            Path=path,
            AssumeRolePolicyDocument=trust,
            PermissionsBoundary=administrator,
        )
    boto3.client("iam").create_role(RoleName=anothers, AssumeRolePolicyDocument=trust)
    try:
        with refused():
            iam.update_assume_role_policy(RoleName=anothers, PolicyDocument=trust)
        for passed in (account.deployer["deploy_role_arn"], f"arn:aws:iam::{number}:role/{anothers}"):
            with refused():
                deployer.client("lambda").create_function(
                    FunctionName=f"{PREFIX}f",
                    Role=passed,
                    **code,  # type: ignore[arg-type]
                )
    finally:
        boto3.client("iam").delete_role(RoleName=anothers)

    iam.create_role(RoleName=role, Path=path, AssumeRolePolicyDocument=trust, PermissionsBoundary=boundary)
    try:
        iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=everything)
        with refused():
            iam.delete_role_permissions_boundary(RoleName=role)
        assumed = boto3.client("sts").assume_role(
            RoleArn=f"arn:aws:iam::{number}:role{path}{role}", RoleSessionName="greedy"
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


def test_the_reconcile_role_publishes_its_own_metric_and_writes_nothing_else(
    account: Account, reconciler: boto3.Session
) -> None:
    key = {"Username": {"S": "ada"}}

    with refused():
        reconciler.client("dynamodb").put_item(TableName=f"{PREFIX}GameScoresByUser", Item=key)
    with refused():
        reconciler.client("dynamodb").update_item(TableName=f"{PREFIX}GameScoresByUser", Key=key)
    with refused():
        reconciler.client("dynamodb").scan(TableName="prod-GameScoresByUser")
    with refused():
        reconciler.client("cloudwatch").put_metric_data(
            Namespace="AWS/Lambda", MetricData=[{"MetricName": "Errors", "Value": 0}]
        )
    with refused():
        reconciler.client("s3").list_objects_v2(Bucket=account.names.bucket.rpartition(":")[2])
    with refused():
        reconciler.client("lambda").invoke(FunctionName=f"{PREFIX}AggregateScoresByUser")


def test_a_stages_boundary_and_alarms_key_are_found_by_its_name(account: Account) -> None:
    other = Stage("dev", account.stage.region, account.stage.endpoint, account.stage.folder)

    assert bootstrapped.variables(account.stage, account.number) == {
        "TF_VAR_permissions_boundary": account.deployer["permissions_boundary"],
        "TF_VAR_alarms_key_arn": account.deployer["alarms_key_arn"],
    }
    assert bootstrapped.variables(other, account.number) == {}


def test_who_may_not_ask_whether_a_stage_is_bootstrapped_is_told_which_right_is_missing(
    account: Account, reconciler: boto3.Session
) -> None:
    with pytest.raises(UserError, match=r"Allow iam:GetPolicy"):
        bootstrapped.variables(account.stage_as(reconciler), account.number)


def test_a_role_for_a_stage_without_a_prefix_is_refused(account: Account) -> None:
    with pytest.raises(UserError, match="has no name_prefix"):
        bootstrap(account.stage, account.stage.account(), "", Trust(REPOSITORY))
