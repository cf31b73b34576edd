"""What deploy and destroy refuse to do unless told to, and who may do it."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.command import UserError
from scripts.deploy import refuse_losses
from scripts.destroy import full_buckets, refuse_protected
from scripts.stage import resolve
from scripts.terraform import Change

TABLE = "module.score_records.aws_dynamodb_table.this"


def change(address: str, *actions: str, **before: Any) -> Change:
    return Change(address, address.split(".")[-2], list(actions), before, {})


@pytest.mark.parametrize("actions", [("delete",), ("delete", "create"), ("create", "delete")])
def test_a_deploy_that_would_delete_or_replace_a_table_is_refused(actions: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=rf"^Nothing was changed: .* {TABLE}\. .* ALLOW_DATA_LOSS=1$"):
        refuse_losses([change(TABLE, *actions)])


def test_a_deploy_may_change_tables_and_replace_what_holds_no_data() -> None:
    refuse_losses(
        [
            change(TABLE, "update"),
            change("module.records_trigger.aws_lambda_event_source_mapping.this", "delete", "create"),
            change("module.stream.aws_kinesis_stream.this", "create"),
        ]
    )


def test_a_destroy_of_a_protected_table_is_refused_before_anything_is_removed() -> None:
    changes = [
        change(TABLE, "delete", name="GameScoreRecords", deletion_protection_enabled=True),
        change("module.scores_by_user.aws_dynamodb_table.this", "delete", deletion_protection_enabled=False),
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
        [
            change("module.a.aws_s3_bucket.this", "delete", bucket="empty", force_destroy=False),
            change("module.b.aws_s3_bucket.this", "delete", bucket="failures", force_destroy=False),
            change("module.c.aws_s3_bucket.this", "delete", bucket="versions", force_destroy=False),
            change("module.d.aws_s3_bucket.this", "delete", bucket="unprotected", force_destroy=True),
            change("module.e.aws_s3_bucket.this", "update", bucket="failures", force_destroy=False),
        ]
    )

    assert found == ["failures", "versions"]


def test_a_stage_takes_its_own_account_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = tmp_path / "terraform" / "stages"
    stages.mkdir(parents=True)
    (stages / "dev.tfvars").write_text('allowed_account_ids = ["111111111111"]')
    (stages / "local.tfvars").write_text("tags = {}")
    monkeypatch.setattr("scripts.stage.ROOT", tmp_path)
    monkeypatch.setattr("scripts.stage.TERRAFORM", tmp_path / "terraform")
    stage = resolve("dev", {"AWS_REGION": "eu-central-1"})

    stage.check_account("111111111111")
    with pytest.raises(UserError, match=r'allowed_account_ids = \["123456789012"\] in terraform/stages/dev\.tfvars'):
        stage.check_account("123456789012")
    resolve("local", {}).check_account("123456789012")
