"""A stage's life, as make leads it: prod with its real settings and a key of its own, beside another stage."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from scripts.deploy.smoke import RECORD_ID, USERNAME
from scripts.stage import ROOT
from tests.integration.deployment import System
from tests.integration.shell import Shell, output_of
from tests.waiting import eventually

FUNCTION = "prod-ProcessKinesisRecords"
BUCKET = "prod-game-score-failures-000000000000-us-east-1"
INIT_OPTIONS = "TF_CLI_ARGS_init"
PROTECTED, UNPROTECTED = "deletion_protection    = true", "deletion_protection    = false"


class Prod(Shell):
    """make STAGE=prod in a clone, for somebody whose AWS profile leads to the local cloud."""

    def prod(self, *arguments: str) -> tuple[int, str]:
        """The exit code of make, and all that it printed."""
        with self.start_prod(*arguments) as process:
            output = output_of(process)
        return process.returncode, output

    def start_prod(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start make for prod; a later argument replaces an earlier one."""
        return self.start("STAGE=prod", "CONFIRM=prod", *arguments, **self.environment)

    @property
    def environment(self) -> dict[str, str]:
        """What such a shell has set."""
        return {
            "AWS_PROFILE": "prod",
            "AWS_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
            INIT_OPTIONS: f"{os.environ.get(INIT_OPTIONS, '')} -backend-config=use_path_style=true",
        }

    def terraform(self, *arguments: str) -> None:
        """Run Terraform by hand on what prod was deployed with."""
        environment = {**os.environ, **self.environment, "TF_DATA_DIR": str(self.folder / "terraform" / "prod")}
        command = ["terraform", f"-chdir={self.clone / 'terraform'}", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    @property
    def settings(self) -> Path:
        """The stage's variables."""
        return self.clone / "terraform" / "stages" / "prod.tfvars"

    def planned(self) -> set[str]:
        """The addresses of all that make plan would change."""
        code, output = self.prod("plan")
        assert code == 0, output
        return changed(output)


def changed(plan: str) -> set[str]:
    """The addresses of all that a printed plan changes."""
    return set(re.findall(r"^  # (\S+) (?:will|must) be", plan, re.MULTILINE))


@contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    """A file with a change in it, for a while."""
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))
    try:
        yield
    finally:
        file.write_text(before)


@pytest.fixture(scope="module")
def prod(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prod]:
    """Prod, deployed to the account where the system is already; destroyed at the end, with what is in it."""
    folder = tmp_path_factory.mktemp("prod")
    (folder / "config").write_text(f"[profile prod]\nendpoint_url = {system.stage.endpoint}\n")
    (folder / "credentials").write_text("[prod]\naws_access_key_id = test\naws_secret_access_key = test\n")
    clone = folder / "clone"
    made = shutil.ignore_patterns(".git", ".venv", ".local", ".*_cache", ".hypothesis", "build", "__pycache__")
    shutil.copytree(ROOT, clone, ignore=made)
    (clone / ".venv").symlink_to(ROOT / ".venv")
    shell = Prod(folder, clone=clone)
    settings = shell.settings.read_text()
    settings = re.sub(r"(allowed_account_ids = )\[.*\]", r'\1["000000000000"]', settings)
    kms = boto3.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    shell.settings.write_text(f'{settings}\nkms_key_arn = "{key}"\n')
    try:
        code, output = shell.prod("deploy")
        assert code == 0, output
        yield shell
    finally:
        if PROTECTED in shell.settings.read_text():
            shell.settings.write_text(shell.settings.read_text().replace(PROTECTED, UNPROTECTED))
            shell.prod("deploy")
        code, output = shell.prod("destroy", "CONFIRM=prod", "DELETE_FAILURES=1")
        kms.schedule_key_deletion(KeyId=key)
        assert code == 0, output


TABLES = {f"prod-{name}" for name in ("GameScoreRecords", "GameScoreLedger", "GameScoresByUser")}


def tables() -> list[str]:
    """The names of prod's tables."""
    names = boto3.client("dynamodb").list_tables()["TableNames"]
    return [name for name in names if name.startswith("prod-")]


def live() -> str:
    """The version that ProcessKinesisRecords' alias points to."""
    return str(boto3.client("lambda").get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"])


def test_two_stages_in_one_account_do_not_touch_each_other(system: System, prod: Prod) -> None:
    code, output = prod.prod("smoke")
    assert code == 0, output
    assert "Smoke test passed" in output

    assert system.deployment.plan() == ""
    assert prod.planned() == set()


def test_prod_has_what_its_settings_say(prod: Prod) -> None:
    (key,) = re.findall(r'^kms_key_arn = "(.*)"$', prod.settings.read_text(), re.MULTILINE)

    assert set(tables()) >= TABLES
    for name in tables():
        table = boto3.client("dynamodb").describe_table(TableName=name)["Table"]
        assert table["DeletionProtectionEnabled"]
        assert table["SSEDescription"]["KMSMasterKeyArn"] == key
    stream = boto3.client("kinesis").describe_stream_summary(StreamName="prod-Demo-Stream")["StreamDescriptionSummary"]
    assert (stream["KeyId"], stream["RetentionPeriodHours"]) == (key, 168)
    concurrency = boto3.client("lambda").get_function_concurrency(FunctionName=FUNCTION)
    assert "ReservedConcurrentExecutions" not in concurrency, "a new account has none to reserve"


def test_a_deploy_by_hand_shows_its_plan_and_asks(prod: Prod) -> None:
    with edited(prod.settings, "log_retention_days = 90", "log_retention_days = 60"):
        code, output = prod.prod("deploy", "CONFIRM=")

    assert code != 0
    assert "retention_in_days = 90 -> 60" in output
    assert "error: Nothing was changed. To go on unasked: CONFIRM=prod" in output
    assert prod.planned() == set()


def test_a_saved_plan_is_applied_as_it_is_or_not_at_all(prod: Prod) -> None:
    first, second = prod.folder / "first.tfplan", prod.folder / "second.tfplan"
    with edited(prod.settings, "log_retention_days = 90", "log_retention_days = 60"):
        for plan in (first, second):
            code, output = prod.prod("plan", f"PLAN={plan}")
            assert code == 0, output
            assert f"make deploy STAGE=prod PLAN={plan}" in output
    groups = boto3.client("logs")

    code, output = prod.prod("deploy", f"PLAN={first}", "CONFIRM=")

    assert code == 0, output
    name = f"/aws/lambda/{FUNCTION}"
    assert groups.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]["retentionInDays"] == 60

    code, output = prod.prod("deploy", f"PLAN={second}", "CONFIRM=")

    assert code != 0
    assert "error: Nothing was changed: the stage was changed after this plan was made. Plan again." in output
    assert f"make plan STAGE=prod PLAN={second}" in output
    code, output = prod.prod("deploy")
    assert code == 0, output


def test_who_plans_or_looks_for_drift_writes_nothing_not_even_the_state_buckets_settings(prod: Prod) -> None:
    s3 = boto3.client("s3")
    bucket = "stream-processing-tfstate-000000000000-us-east-1"

    def written() -> list[tuple[str, str]]:
        versions = s3.list_object_versions(Bucket=bucket).get("Versions", [])
        return sorted((each["Key"], each["VersionId"]) for each in versions)

    before = written()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    try:
        for command in ("plan", "drift"):
            code, output = prod.prod(command)
            assert code == 0, output
            assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended", command
    finally:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert written() == before


def test_a_key_that_is_taken_away_is_taken_from_each_table(prod: Prod) -> None:
    (key,) = re.findall(r"^kms_key_arn = .*$", prod.settings.read_text(), re.MULTILINE)

    with edited(prod.settings, key, ""):
        planned = prod.planned()

    tables = ("GameScoreRecords", "GameScoreLedger", "GameScoresByUser")
    assert {f'module.table["{table}"].aws_dynamodb_table.this' for table in tables} <= planned


def test_what_an_interrupted_deploy_left_half_made_is_kept_with_what_is_in_it(prod: Prod) -> None:
    table, plan = 'module.table["GameScoreLedger"].aws_dynamodb_table.this', prod.folder / "half-made.tfplan"
    ledger = boto3.resource("dynamodb").Table("prod-GameScoreLedger")
    ledger.put_item(Item={"RecordID": -7, "Version": "kept"})
    prod.terraform("taint", table)

    code, output = prod.prod("status")
    assert code != 0
    assert "error: Stage prod is only partly deployed" in output
    code, output = prod.prod("plan", f"PLAN={plan}")
    assert code == 0, output
    assert f"{table} was left half-made by an interrupted deploy" in output

    code, output = prod.prod("deploy", f"PLAN={plan}")

    assert code != 0
    assert f"{table} is there, though its creation was interrupted. It is kept, and completed." in output
    assert f"Plan again: make plan STAGE=prod PLAN={plan}" in output
    code, output = prod.prod("deploy")
    assert code == 0, output
    assert ledger.get_item(Key={"RecordID": -7})["Item"]["Version"] == "kept"
    ledger.delete_item(Key={"RecordID": -7})


def test_a_deploy_that_would_rename_what_holds_data_changes_nothing(prod: Prod) -> None:
    with edited(prod.settings, '"prod-"', '"other-"'):
        code, output = prod.prod("deploy")

    assert code != 0
    assert "error: Nothing was changed: this deploy would delete, with all that is in them" in output
    assert 'module.table["GameScoreRecords"].aws_dynamodb_table.this' in output
    assert set(tables()) >= TABLES


def test_a_destroy_of_protected_tables_removes_nothing(prod: Prod) -> None:
    code, output = prod.prod("destroy", "CONFIRM=prod")

    assert code != 0
    assert "error: Nothing was removed: prod-GameScore" in output
    assert "are protected. To destroy them: set deletion_protection = false" in output
    assert boto3.client("lambda").list_event_source_mappings(FunctionName=FUNCTION)["EventSourceMappings"]


def test_of_two_deploys_at_once_one_is_told_who_holds_the_lock(prod: Prod) -> None:
    with prod.start_prod("deploy") as first, prod.start_prod("deploy") as second:
        outputs = [process.communicate(timeout=120)[0] for process in (first, second)]

    (refused,) = (output for output in outputs if "error:" in output)
    assert "Error acquiring the state lock" in refused
    assert re.search(r"Who: +\S+@\S+", refused)


def test_a_change_of_code_touches_the_function_alone_and_can_be_taken_back(prod: Prod) -> None:
    module, handler = 'module.function["ProcessKinesisRecords"]', "src/handlers/process_kinesis_records/handler.py"
    with (prod.clone / handler).open("a") as file:
        file.write("CHANGED = True\n")

    code, output = prod.prod("deploy")

    assert code == 0, output
    assert changed(output) == {f"{module}.aws_lambda_function.this", f"{module}.aws_lambda_alias.live"}
    assert live() == "2"

    code, output = prod.prod("--silent", "rollback", "FUNCTION=ProcessKinesisRecords", "JSON=1")

    assert code == 0, output
    assert json.loads(output) == {"function": FUNCTION, "before": 2, "after": 1}
    assert live() == "1"
    code, output = prod.prod("smoke")
    assert code == 0, output


def test_a_rollback_says_what_there_is_to_go_back_to(prod: Prod) -> None:
    code, output = prod.prod("rollback", "FUNCTION=AggregateScoresByUser")
    assert code != 0
    assert "error: prod-AggregateScoresByUser has no version before 1 to go back to. It has 1." in output

    code, output = prod.prod("rollback", "FUNCTION=AggregateScoresByUser", "VERSION=9")
    assert code != 0
    assert "error: prod-AggregateScoresByUser has no version 9. It has 1" in output


@contextmanager
def stopped(mapping: str) -> Iterator[None]:
    """A mapping that is disabled meanwhile."""
    client = boto3.client("lambda")

    def state() -> str:
        return str(client.get_event_source_mapping(UUID=mapping)["State"])

    client.update_event_source_mapping(UUID=mapping, Enabled=False)
    try:
        eventually(lambda: state() == "Disabled", "the mapping disabled")
        yield
    finally:
        client.update_event_source_mapping(UUID=mapping, Enabled=True)
        eventually(lambda: state() == "Enabled", "the mapping enabled")


@pytest.mark.parametrize(
    ("function", "remains"),
    [
        ("AggregateScoresByUser", "The score is deleted. Its total, counted later, is 0"),
        ("ProcessKinesisRecords", "it waits in test-Demo-Stream"),
    ],
)
def test_a_smoke_test_that_fails_says_how_to_go_back_and_what_it_leaves_goes_with_the_next_one(
    system: System, function: str, remains: str
) -> None:
    tables: Any = boto3.resource("dynamodb")
    records, totals = (tables.Table(system.table(name)) for name in ("GameScoreRecords", "GameScoresByUser"))

    with stopped(system.outputs["functions"][function]["mapping_uuid"]):
        done = system.command("smoke", "--seconds", "2")

    assert done.returncode == 1
    assert "error: The smoke test failed: a score that was sent did not reach its total in 2 s." in done.stderr
    assert remains in done.stderr
    assert "See why: make logs STAGE=local" in done.stderr
    assert "Traceback" not in done.stderr

    if function == "ProcessKinesisRecords":
        eventually(lambda: "Item" in totals.get_item(Key={"Username": USERNAME}), "the score, stored and counted late")
    done = system.command("smoke")
    assert done.returncode == 0, done.stderr
    assert "Item" not in records.get_item(Key={"RecordID": RECORD_ID}, ConsistentRead=True)
    assert "Item" not in totals.get_item(Key={"Username": USERNAME}, ConsistentRead=True)


def test_what_has_drifted_and_a_stream_that_is_new_are_put_right_by_a_deploy(prod: Prod) -> None:
    # By hand, in the console: a function changed, and a table's stream turned off and on, which gives it a new ARN.
    boto3.client("lambda").update_function_configuration(FunctionName=FUNCTION, Timeout=3)
    dynamodb, name = boto3.client("dynamodb"), "prod-GameScoreRecords"
    before = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": False})
    dynamodb.update_table(TableName=name, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    after = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    assert after != before

    code, output = prod.prod("deploy")

    assert code == 0, output
    assert "Smoke test: a score reached its total" in output
    assert boto3.client("lambda").get_function_configuration(FunctionName=FUNCTION)["Timeout"] == 60
    assert len(boto3.client("lambda").list_event_source_mappings(EventSourceArn=after)["EventSourceMappings"]) == 1
    assert prod.planned() == set()


def test_a_destroy_keeps_failures_unless_told_otherwise(prod: Prod) -> None:
    boto3.client("s3").put_object(Bucket=BUCKET, Key="parked/prod-AggregateScoresByUser/1.json", Body=b"{}")
    prod.settings.write_text(prod.settings.read_text().replace(PROTECTED, UNPROTECTED))
    code, output = prod.prod("deploy")
    assert code == 0, output

    code, output = prod.prod("destroy", "CONFIRM=prod")

    assert code != 0
    assert f"error: Nothing was removed: {BUCKET} holds failures" in output
    assert "DELETE_FAILURES=1" in output
    assert set(tables()) >= TABLES
