"""What deploy and destroy refuse to do unless told to, and who may do it."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scripts.cli import UserError
from scripts.deploy import state_bucket
from scripts.deploy.deploy import look, refuse_concurrency, refuse_losses, refuse_other_packages
from scripts.deploy.destroy import full_buckets, refuse_protected
from scripts.deploy.interrupt import OneInterrupt
from scripts.deploy.terraform import Change, Terraform
from scripts.deployment import NotDeployedError
from scripts.stage import Stage, resolve

TABLE = 'module.table["GameScoreRecords"].aws_dynamodb_table.this'


STREAM = "module.stream.aws_kinesis_stream.this"
FUNCTION = 'module.function["ProcessKinesisRecords"].aws_lambda_function.this'


def change(address: str, *actions: str, **before: Any) -> Change:
    return Change(address, address.split(".")[-2], list(actions), before, {})


def half_made(address: str, **before: Any) -> Change:
    """What a plan says of a resource whose creation was interrupted: see plans/tainted.json."""
    return Change(address, address.split(".")[-2], ["delete", "create"], before, before, "replace_because_tainted")


def reserving(before: int | None, after: int, *actions: str) -> Change:
    """A function whose reserved concurrency changes; -1 is none, and None a function that is new."""
    was = {} if before is None else {"reserved_concurrent_executions": before}
    return Change(FUNCTION, "aws_lambda_function", list(actions), was, {"reserved_concurrent_executions": after})


def prod() -> Stage:
    return resolve("prod", {"AWS_REGION": "us-east-1"})


@pytest.fixture
def stage() -> Stage:
    return prod()


@pytest.fixture
def account_settings(stage: Stage) -> Iterator[Stubber]:
    with Stubber(stage.session.client("lambda")) as stub:
        yield stub


@pytest.mark.parametrize("actions", [("delete",), ("delete", "create"), ("create", "delete")])
def test_a_deploy_that_would_delete_or_replace_a_table_is_refused(actions: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=rf"^Nothing was changed: .* {re.escape(TABLE)}\. .* ALLOW_DATA_LOSS=1$"):
        refuse_losses([change(TABLE, *actions)])


def test_a_deploy_may_change_tables_and_replace_what_holds_no_data() -> None:
    refuse_losses(
        [
            change(TABLE, "update"),
            change(
                'module.event_source_mapping["AggregateScoresByUser"].aws_lambda_event_source_mapping.this',
                "delete",
                "create",
            ),
            change("module.stream.aws_kinesis_stream.this", "create"),
        ]
    )


def test_what_an_interrupted_deploy_left_is_called_that_and_not_a_changed_name() -> None:
    with pytest.raises(UserError) as refusal:
        refuse_losses([half_made(STREAM, name="Demo-Stream")])

    assert f"would replace {STREAM}, which an interrupted deploy" in str(refusal.value)
    assert "changed name" not in str(refusal.value)
    assert "ALLOW_DATA_LOSS=1" in str(refusal.value)


def test_a_real_plan_of_a_tainted_stream_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    terraform = Terraform(prod(), "bucket")
    plan = json.loads((Path(__file__).parent / "plans" / "tainted.json").read_text())
    monkeypatch.setattr(terraform, "_shown", lambda: plan)

    tainted = [each.address for each in terraform.changes() if each.is_tainted]

    assert tainted == [STREAM]


class Recovering:
    """A Terraform whose last plan is `plans/tainted.json`, with a table to create, and what it is told to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, exists: bool = True, state: str = "") -> None:
        plan = json.loads((Path(__file__).parent / "plans" / "tainted.json").read_text())
        created = {"actions": ["create"], "before": None, "after": {"name": "scores"}}
        plan["resource_changes"].append({"address": TABLE, "type": "aws_dynamodb_table", "change": created})
        self.ran: list[tuple[str, ...]] = []
        self.terraform = Terraform(prod(), "bucket")
        monkeypatch.setattr(self.terraform, "_shown", lambda: plan)
        monkeypatch.setattr(self.terraform, "_captured", lambda *arguments: self._run(state, *arguments))
        monkeypatch.setattr("scripts.deploy.leftovers.find", lambda *_: "found" if exists else None)
        monkeypatch.setattr("scripts.deploy.leftovers.is_ready", lambda *_: exists)

    def _run(self, state: str, *arguments: str) -> tuple[int, str]:
        self.ran.append((arguments[0], *arguments[-2:]))
        return 0, state

    @property
    def state_changes(self) -> list[tuple[str, ...]]:
        return [each for each in self.ran if each[0] != "state"]


def test_what_exists_is_imported_and_what_is_half_made_is_untainted(monkeypatch: pytest.MonkeyPatch) -> None:
    recovering = Recovering(monkeypatch)

    assert recovering.terraform.recover()

    mapping = 'module.event_source_mapping["ProcessKinesisRecords"].aws_lambda_event_source_mapping.this'
    assert recovering.state_changes == [("import", TABLE, "found"), ("untaint", "untaint", STREAM)]
    assert mapping not in str(recovering.ran), "a replacement is no leftover"


def test_what_is_in_the_state_already_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    recovering = Recovering(monkeypatch, state=f"module.other.this\n{TABLE}")

    assert not recovering.terraform.recover(keep_tainted=False)

    assert recovering.state_changes == []


def test_what_is_not_there_or_not_ready_is_left_to_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    recovering = Recovering(monkeypatch, exists=False)

    assert not recovering.terraform.recover()

    assert recovering.ran == []
    with pytest.raises(UserError, match=STREAM):
        refuse_losses(recovering.terraform.changes())


UNDECLARED = """\
No changes. Your infrastructure matches the configuration.

Warning: Value for undeclared variable

The root module does not declare a variable named "process_kinesis_records" but a
value was found in file "prod.tfvars". If you meant to use this value, add a
"variable" block to the configuration.
"""


def test_a_setting_that_no_variable_has_is_refused_rather_than_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terraform = Terraform(resolve("prod", {"AWS_REGION": "us-east-1", "LOCAL_DIR": str(tmp_path)}), "bucket")
    (tmp_path / "terraform" / "prod").mkdir(parents=True)
    monkeypatch.setattr(terraform, "_captured", lambda *_: (0, UNDECLARED))

    with (
        closing(terraform),
        pytest.raises(UserError, match="sets process_kinesis_records, which is no variable"),
    ):
        terraform.plan()


def test_a_deploy_that_would_reserve_more_than_the_account_has_is_refused(
    stage: Stage, account_settings: Stubber
) -> None:
    limits = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 10}
    account_settings.add_response("get_account_settings", {"AccountLimit": limits})

    with pytest.raises(UserError) as refusal:
        refuse_concurrency(stage, [reserving(None, 20, "create"), reserving(-1, 20, "update")])

    assert "reserves 40 more executions for functions, of 10 that are unreserved" in str(refusal.value)
    assert "raised to 140 or more" in str(refusal.value)
    assert "reserved_concurrency = null in terraform/stages/prod.tfvars" in str(refusal.value)


@pytest.mark.parametrize(("before", "after", "actions"), [(20, 40, ["update"]), (None, 20, ["create"])])
def test_a_deploy_may_reserve_what_leaves_100_unreserved(
    before: int | None, after: int, actions: list[str], stage: Stage, account_settings: Stubber
) -> None:
    limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 120}
    account_settings.add_response("get_account_settings", {"AccountLimit": limits})

    refuse_concurrency(stage, [reserving(before, after, *actions)])

    account_settings.assert_no_pending_responses()


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [reserving(None, -1, "create")],
        [reserving(20, 20, "update")],
        [reserving(40, -1, "update")],
        [reserving(20, 20, "delete", "create")],
    ],
)
def test_the_account_is_not_asked_where_nothing_more_is_reserved(
    changes: list[Change], stage: Stage, account_settings: Stubber
) -> None:
    refuse_concurrency(stage, changes)


def test_a_limit_that_may_not_be_read_is_said_to_be_unknown(
    stage: Stage, account_settings: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    account_settings.add_client_error("get_account_settings", "AccessDeniedException", "not authorized", 403)

    refuse_concurrency(stage, [reserving(None, 20, "create")])

    assert "Not known whether this account can reserve 20 more executions" in capsys.readouterr().err


def test_a_saved_plan_is_not_applied_with_other_packages(tmp_path: Path) -> None:
    package = tmp_path / "ProcessKinesisRecords.zip"
    package.write_bytes(b"planned")
    digest = base64.b64encode(hashlib.sha256(b"planned").digest()).decode()
    after = {"filename": str(package), "source_code_hash": digest}
    changes = [Change(FUNCTION, "aws_lambda_function", ["update"], {}, after)]

    refuse_other_packages(changes)
    package.write_bytes(b"built since")
    with pytest.raises(UserError, match=r"another ProcessKinesisRecords\.zip"):
        refuse_other_packages(changes)


def test_a_saved_plan_of_another_stage_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terraform, plan = Terraform(prod(), "bucket"), tmp_path / "plan"
    plan.touch()
    monkeypatch.setattr(terraform, "_shown", lambda: {"variables": {"stage": {"value": "dev"}}})

    with pytest.raises(UserError, match="is a plan of stage dev, not of prod"):
        terraform.use(plan)
    with pytest.raises(UserError, match="make plan STAGE=prod PLAN="):
        terraform.use(tmp_path / "none")


@mock_aws
def test_who_only_looks_makes_and_changes_no_state_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = prod()
    monkeypatch.setattr(Stage, "check_account", lambda *_: None)
    monkeypatch.setattr(Terraform, "init", lambda *_, **__: None)
    s3 = boto3.client("s3")

    with pytest.raises(NotDeployedError, match="Nothing is deployed in stage prod: there is no state bucket"):
        look(stage)
    assert s3.list_buckets()["Buckets"] == []

    bucket = state_bucket.name(stage, stage.account())
    s3.create_bucket(Bucket=bucket)
    look(stage)
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


@pytest.mark.parametrize("often", [1, 2, 3])
def test_however_often_it_is_interrupted_terraform_is_interrupted_once(
    often: int, capfd: pytest.CaptureFixture[str]
) -> None:
    counting = """
import signal, sys, time
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print("ready", flush=True)
deadline = time.monotonic() + 1.5
while time.monotonic() < deadline:
    time.sleep(0.05)
print(len(heard))
"""

    def interrupt() -> None:
        for _ in range(often):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    with subprocess.Popen(
        [sys.executable, "-c", counting], stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(KeyboardInterrupt), OneInterrupt() as interrupts:
            interrupts.process = process
            threading.Thread(target=interrupt).start()
            interrupts.wait()
        assert process.stdout.read() == "1\n"
    assert capfd.readouterr().err.count("Still stopping") == often - 1


def test_a_destroy_of_a_protected_table_is_refused_before_anything_is_removed() -> None:
    changes = [
        change(TABLE, "delete", name="GameScoreRecords", deletion_protection_enabled=True),
        change('module.table["GameScoresByUser"].aws_dynamodb_table.this', "delete", deletion_protection_enabled=False),
    ]

    with pytest.raises(UserError, match=r"^Nothing was removed: GameScoreRecords are protected\..*dev\.tfvars"):
        refuse_protected(resolve("dev", {"AWS_REGION": "eu-central-1"}), changes)


@mock_aws
def test_a_bucket_is_full_also_when_only_old_versions_are_left_in_it() -> None:
    s3 = boto3.client("s3")
    for name in ("empty", "failures", "versions", "unprotected"):
        s3.create_bucket(Bucket=name)
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if name != "empty":
            s3.put_object(Bucket=name, Key="parked/1", Body=b"{}")
    s3.delete_object(Bucket="versions", Key="parked/1")

    found = full_buckets(
        s3,
        [
            change("module.a.aws_s3_bucket.this", "delete", bucket="empty", force_destroy=False),
            change("module.b.aws_s3_bucket.this", "delete", bucket="failures", force_destroy=False),
            change("module.c.aws_s3_bucket.this", "delete", bucket="versions", force_destroy=False),
            change("module.d.aws_s3_bucket.this", "delete", bucket="unprotected", force_destroy=True),
            change("module.e.aws_s3_bucket.this", "update", bucket="failures", force_destroy=False),
        ],
    )

    assert found == ["failures", "versions"]


def test_a_stage_takes_its_own_account_and_no_other(tmp_path: Path) -> None:
    stages = tmp_path
    (stages / "dev.tfvars").write_text('allowed_account_ids = ["111111111111"]')
    (stages / "local.tfvars").write_text("tags = {}")
    stage = resolve("dev", {"AWS_REGION": "eu-central-1", "STAGES_DIR": str(stages)})

    stage.check_account("111111111111")
    with pytest.raises(UserError, match=r'allowed_account_ids = \["123456789012"\] in .*/dev\.tfvars'):
        stage.check_account("123456789012")
    resolve("local", {"STAGES_DIR": str(stages)}).check_account("123456789012")
