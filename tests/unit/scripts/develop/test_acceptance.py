"""What an acceptance run deploys, says before, refuses, and finds again after an interruption."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from scripts.cli import UserError
from scripts.develop import acceptance
from scripts.develop.acceptance import Note, description, trial
from scripts.develop.trial_leftovers import left, remove_monitoring, remove_probes
from scripts.stage import STAGES, Stage, resolve

ACCOUNT = "111122223333"
POLICY = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}'


def stage(name: str, tmp_path: Path, **changes: Any) -> Stage:
    """A stage of the repository, in AWS, with other variables."""
    stages = tmp_path / "terraform"
    stages.mkdir(exist_ok=True)
    of = Stage(name, "eu-central-1", None, tmp_path, stages)
    real = replace(of, stages=STAGES)
    variables = {**real.variables, **changes}
    of.var_file.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in variables.items()))
    of.backend_file.write_text(real.backend_file.read_text())
    return of


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    """A session of an AWS account that is moto's."""
    with mock_aws():
        yield boto3.Session()


def test_a_trial_has_a_name_a_prefix_and_a_state_of_its_own_and_the_settings_of_its_stage(tmp_path: Path) -> None:
    dev = stage("dev", tmp_path, allowed_account_ids=[ACCOUNT])

    made = trial(dev, tmp_path / "trial")

    assert (made.name, made.variables["stage"], made.variables["name_prefix"]) == ("dev-test", "dev-test", "dev-test-")
    assert (dev.state_key, made.state_key) == (
        "stream-processing/dev.tfstate",
        "stream-processing/dev-acceptance.tfstate",
    )
    assert made.variables["allowed_account_ids"] == [ACCOUNT]
    assert made.variables["log_retention_days"] == dev.variables["log_retention_days"]
    assert made.variables["failures"] == {"force_destroy": True}


def test_a_command_finds_a_trial_by_the_environment_that_it_is_given(tmp_path: Path) -> None:
    made = trial(stage("dev", tmp_path), tmp_path / "trial")

    found = resolve("dev-test", {**acceptance.environment(made), "AWS_REGION": "eu-central-1"})

    assert found == made


def test_a_stage_that_protects_its_tables_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no place for trials\. Use another: STAGE=dev"):
        trial(stage("prod", tmp_path), tmp_path / "trial")


def test_a_prefix_that_would_be_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="of more than 16 letters"):
        trial(stage("dev", tmp_path, name_prefix="another-team-"), tmp_path / "trial")


def test_a_run_says_first_where_it_works_and_what_that_makes_and_costs(tmp_path: Path) -> None:
    dev = stage("dev", tmp_path)

    told = description(dev, trial(dev, tmp_path / "trial"), ACCOUNT, cases=30)

    assert f"use account {ACCOUNT}, region eu-central-1, AWS" in told
    assert "Under the prefix dev-test- they" in told
    assert "29 alarms" in told
    assert "costs about USD 1.0" in told


def test_without_an_answer_nothing_is_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOCAL_DIR", str(tmp_path))

    with pytest.raises(UserError, match=r"Nothing was changed\. To go on unasked: CONFIRM=local"):
        acceptance.main("local", confirm="yes")

    assert not (tmp_path / "acceptance" / "local" / "cloud").exists()


def test_what_is_left_is_found_by_its_prefix_and_the_stage_beside_it_is_not(session: boto3.Session) -> None:
    for prefix in ("dev-", "dev-test-", "other-dev-test-"):
        session.client("kinesis").create_stream(StreamName=f"{prefix}Demo-Stream", ShardCount=1)
        session.client("logs").create_log_group(logGroupName=f"/aws/lambda/{prefix}ProcessKinesisRecords")
        session.client("s3").create_bucket(Bucket=f"{prefix}game-score-failures")
        session.client("kms").create_key(Tags=[{"TagKey": "Acceptance", "TagValue": prefix}])

    *named, key = left(session, "dev-test-")

    assert named == [
        "dev-test-Demo-Stream",
        "/aws/lambda/dev-test-ProcessKinesisRecords",
        "dev-test-game-score-failures",
    ]
    assert key.startswith("arn:aws:kms:")
    session.client("kms").schedule_key_deletion(KeyId=key.rpartition("/")[2])
    assert left(session, "dev-test-") == named


def test_what_the_tests_make_beside_terraform_is_removed_by_its_prefix_alone(session: boto3.Session) -> None:
    for prefix in ("dev-test-", "dev-test-probe-"):
        session.client("kinesis").create_stream(StreamName=f"{prefix}1", ShardCount=1)
        session.client("sqs").create_queue(QueueName=f"{prefix}1")
        session.client("s3").create_bucket(Bucket=f"{prefix}1")
        session.client("s3").put_object(Bucket=f"{prefix}1", Key="discarded", Body=b"{}")
        session.client("iam").create_role(RoleName=f"{prefix}1", AssumeRolePolicyDocument="{}")
        session.client("iam").put_role_policy(RoleName=f"{prefix}1", PolicyName="Allow", PolicyDocument=POLICY)

    remove_probes(session, "dev-test-probe-")

    assert left(session, "dev-test-probe-") == []
    assert len(left(session, "dev-test-")) == 4


def test_what_no_plan_takes_into_the_state_is_removed_by_its_name_and_tag(session: boto3.Session) -> None:
    for prefix in ("dev-", "dev-test-"):
        session.client("cloudwatch").put_metric_alarm(
            AlarmName=f"{prefix}game-scores-drift",
            Namespace="GameScores",
            MetricName="Drift",
            ComparisonOperator="GreaterThanThreshold",
            EvaluationPeriods=1,
            Period=60,
            Statistic="Sum",
            Threshold=0,
        )
        session.client("cloudwatch").put_dashboard(DashboardName=f"{prefix}game-scores", DashboardBody="{}")
        session.client("sns").create_topic(Name=f"{prefix}game-scores")
        session.client("kms").create_key(Tags=[{"TagKey": "Acceptance", "TagValue": prefix}])
    assert len(left(session, "dev-test-")) == 4

    remove_monitoring(session, "dev-test-")

    assert left(session, "dev-test-") == []
    assert len(left(session, "dev-")) == 4


def test_the_run_of_somebody_else_is_left_alone_unless_it_is_taken_over(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session.client("s3").create_bucket(Bucket="state")
    made = trial(stage("dev", tmp_path), tmp_path / "trial")
    Note(replace(made, folder=tmp_path / "another"), "state").write()
    ours = Note(made, "state")
    cleaned: list[str] = []
    monkeypatch.setattr(acceptance, "clean", lambda made, _: cleaned.append(made.name))

    with pytest.raises(UserError, match=r"which have not ended.*TAKE_OVER=1"):
        acceptance._clean_up_after(ours.read(), ours, made, "state", take_over=False)
    assert cleaned == []

    acceptance._clean_up_after(ours.read(), ours, made, "state", take_over=True)
    assert cleaned == ["dev-test"]
    assert ours.read() is None


def test_what_an_interrupted_run_of_ours_has_left_is_destroyed_without_a_question(
    session: boto3.Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session.client("s3").create_bucket(Bucket="state")
    made = trial(stage("dev", tmp_path), tmp_path / "trial")
    note = Note(made, "state")
    note.write()
    monkeypatch.setattr(acceptance, "clean", lambda *_: None)

    acceptance._clean_up_after(note.read(), note, made, "state", take_over=False)

    assert "was interrupted. Destroying what it has left." in capsys.readouterr().out
    assert note.read() is None


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with acceptance._claimed(tmp_path), pytest.raises(UserError, match="are running in"), acceptance._claimed(tmp_path):
        pass
