"""The command: its summary and exit codes, what it publishes, and what it hands to a reconciliation."""

import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import boto3
import pytest
import typer
from moto import mock_aws

from handlers.aggregate_scores_by_user.settings import Settings
from scripts.cli import UserError
from scripts.deployment import Deployed
from scripts.reconcile import reconcile as command
from scripts.reconcile.judgement import Judgement, Summary
from scripts.reconcile.reconcile import EXIT_CODES, describe, metrics
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import Item, Table, Throttle
from scripts.stage import Stage
from tests.fakes.stream import ARN


@pytest.mark.parametrize(
    ("summary", "judgement", "code", "published", "sentence"),
    [
        (Summary(0, 0, 0, 0), "exact", 0, {"Drift": 0, "NotJudged": 0}, "No drift: every total is the sum over"),
        (Summary(0, 0, 0, 2), "exact", 0, {"Drift": 0, "NotJudged": 0}, "no record behind them: 2."),
        (Summary(3, 0, 0, 0), "exact", 0, {"Drift": 0, "NotJudged": 0}, "Exact now: 3 users in drift, 3 repaired."),
        (Summary(3, 1, 0, 0), "wrong", 2, {"Drift": 1, "NotJudged": 0}, "Wrong: 3 users in drift, 2 repaired."),
        (Summary(1, 1, 4, 0), "wrong", 2, {"Drift": 1, "NotJudged": 4}, "never kept still: 4."),
        (Summary(0, 0, 4, 0), "not judged", 3, {"NotJudged": 4}, "Not judged: whether every total is exact is not"),
        (Summary(1, 0, 4, 0), "not judged", 3, {"NotJudged": 4}, "not known. 1 user in drift, 1 repaired."),
    ],
)
def test_a_summary_has_one_of_three_judgements_wherever_it_is_shown(
    summary: Summary, judgement: str, code: int, published: dict[str, int], sentence: str
) -> None:
    assert summary.as_json() == {"verdict": judgement, **summary._asdict()}
    assert EXIT_CODES[summary.judgement] == code
    assert metrics(summary) == published
    assert sentence in describe(summary)
    assert ("No drift" in describe(summary)) is (summary.judgement is Judgement.EXACT and not summary.in_drift)


def test_the_summary_is_printed_even_when_it_cannot_be_published(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise UserError("cloudwatch:PutMetricData is denied")

    monkeypatch.setattr(command, "deployed", lambda _: None)
    monkeypatch.setattr(command, "reconcile", lambda *_, **__: Summary(1, 1, 0, 0))
    monkeypatch.setattr(command, "publish", refuse)

    with pytest.raises(UserError):
        command.main("local", fix=False, rate=1, segments=1, pause=0, as_json=True)

    assert '"verdict": "wrong"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("summary", "code"), [(Summary(1, 0, 0, 0), 0), (Summary(2, 1, 0, 0), 2), (Summary(0, 0, 1, 0), 3)]
)
def test_a_judgement_is_published_and_is_the_exit_code(
    summary: Summary, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    published: list[object] = []
    monkeypatch.setattr(command, "deployed", lambda _: None)
    monkeypatch.setattr(command, "reconcile", lambda *_, **__: summary)
    monkeypatch.setattr(command, "publish", lambda _, summary: published.append(summary))

    with pytest.raises(typer.Exit) as ended:
        command.main("local", fix=False, rate=1, segments=1, pause=0, as_json=False)

    assert (ended.value.exit_code, published) == (code, [summary])


def a_system(folder: Path) -> Deployed:
    tables = {table: {"name": table, "stream_arn": ARN} for table in Table}
    return Deployed(Stage("test", "us-east-1", None, folder), "1", {"tables": tables})


def test_what_was_read_is_used_again_for_a_day_after_an_interrupt_and_not_after_an_end(tmp_path: Path) -> None:
    system = a_system(tmp_path)

    def has_read(*, interrupt: bool) -> bool:
        with suppress(KeyboardInterrupt), command._snapshot(system, ARN, 1) as snapshot:
            found: bool = snapshot.position("records", 0)[0]
            snapshot.add_records("records", 0, None, [])
            if interrupt:
                raise KeyboardInterrupt
        return found

    assert not has_read(interrupt=True)
    assert has_read(interrupt=True)
    (file,) = (tmp_path / "reconcile").glob("*.sqlite")
    os.utime(file, (time.time() - 86_500, time.time() - 86_500))
    assert not has_read(interrupt=True), "it is too old"
    assert has_read(interrupt=False)
    assert not has_read(interrupt=False), "it was forgotten at the end"


def test_an_interrupt_ends_the_waits_of_the_throttle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    throttles: list[Throttle] = []

    def interrupted(*arguments: Any) -> Any:
        throttles.extend(each for each in arguments if isinstance(each, Throttle))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_settings", lambda _: None)
    monkeypatch.setattr(command, "_stream_arn", lambda _: ARN)
    monkeypatch.setattr(command, "_reconciliation", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.reconcile(a_system(tmp_path), lambda _: None, rate=1)

    started = time.monotonic()
    throttles[0].spend(3600)

    assert time.monotonic() - started < 60


def test_all_segments_of_two_tables_are_read_at_once(tmp_path: Path) -> None:
    settings = Settings(Table.TOTALS, Table.LEDGER, "arn", "failures", 1, 5, "GameScores")
    throttle = Throttle(1, time.monotonic, lambda _: None)

    made = command._reconciliation(
        a_system(tmp_path), settings, Snapshot(":memory:"), ARN, throttle, 3, 0, lambda _: None
    )

    together = Barrier(6)
    assert sorted(made.workers.map(lambda _: together.wait(timeout=10), range(6))) == list(range(6))


def test_two_reconciles_of_a_stage_do_not_run_at_once(tmp_path: Path) -> None:
    system = a_system(tmp_path)

    with (
        command._snapshot(system, ARN, 1),
        pytest.raises(UserError, match=r"^Another reconcile of stage test is running here. Wait for it$"),
        command._snapshot(system, ARN, 2),
    ):
        pass


def test_tombstones_that_reconcile_writes_live_as_long_as_the_functions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(Table.TOTALS, Table.LEDGER, "arn", "failures", 1, 5, "GameScores")
    monkeypatch.setattr(command, "_settings", lambda _: settings)
    started = time.time()
    with mock_aws():
        client = boto3.client("dynamodb")
        for table in Table:
            key, type_ = ("Username", "S") if table is Table.TOTALS else ("RecordID", "N")
            client.create_table(
                TableName=table,
                KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": type_}],  # type: ignore[typeddict-item]
                BillingMode="PAY_PER_REQUEST",
            )
        orphan: Item = {"RecordID": {"N": "8"}, "Version": {"S": "v"}, "Username": {"S": "ann"}, "Score": {"N": "1"}}
        damaged: Item = {"RecordID": {"N": "9"}}
        for item in orphan, damaged:
            client.put_item(TableName=Table.LEDGER, Item=item)
        total: Item = {"Username": {"S": "ann"}, "Score": {"N": "1"}, "RecordCount": {"N": "1"}}
        client.put_item(TableName=Table.TOTALS, Item=total)
        found: list[Finding] = []

        summary = command.reconcile(
            a_system(tmp_path), found.append, fix=True, rate=1e6, segments=1, pause=0, tell=lambda _: None
        )

        tombstones = client.scan(TableName=Table.LEDGER)["Items"]
    assert (summary.judgement, sorted(str(each.record_id) for each in found)) == (Judgement.EXACT, ["8", "9"])
    lifetimes = [int(each["ExpiresAt"]["N"]) - started for each in tombstones]
    assert len(lifetimes) == 2
    assert all(45 * 86_400 - 1 <= each <= 45 * 86_400 + 600 for each in lifetimes)


def test_versions_are_judged_by_the_stream_that_the_table_has_now(tmp_path: Path) -> None:
    tables = {"GameScoreRecords": {"name": "GameScoreRecords", "stream_arn": "the one that Terraform knows"}}
    system = Deployed(Stage("test", "us-east-1", None, tmp_path), "1", {"tables": tables})
    with mock_aws():
        made = boto3.client("dynamodb").create_table(
            TableName="GameScoreRecords",
            KeySchema=[{"AttributeName": "RecordID", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "RecordID", "AttributeType": "N"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )

        assert command._stream_arn(system) == made["TableDescription"]["LatestStreamArn"]
