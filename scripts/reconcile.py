"""Check that totals are the sums over the records: `make reconcile [FIX=1] [RATE=1000] [SEGMENTS=8] [JSON=1]`."""

import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import boto3
import typer
from botocore.config import Config
from filelock import FileLock, Timeout

from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared import aws
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.command import UserError, run
from scripts.deployed import Deployed, deployed
from scripts.reconciliation import Reconciliation, Verdict
from scripts.score_tables import DynamoDBScoreTables, Table, Throttle
from scripts.snapshot import Finding, Snapshot

DRIFT = 2
"""The exit code for drift that is still there."""

METRIC = "Drift"
"""Users whose totals are still wrong, by Stage."""

_ROUND_SECONDS = 60
_RESUMABLE_SECONDS = 24 * 60 * 60


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    fix: bool = typer.Option(False, "--fix", help="repair what has drifted"),
    rate: float = typer.Option(1000, min=1, help="read capacity units a second"),
    segments: int = typer.Option(8, min=1, max=1000, help="parts of a table that are read at once"),
    pause: float = typer.Option(
        5, min=0, help="seconds between two looks at what is in doubt: longer than counting lags"
    ),
    as_json: bool = typer.Option(False, "--json", help="one JSON document a finding, then one with the verdict"),
) -> None:
    """Compare records, ledger and totals; exits 2 when users are left in drift."""
    system = deployed(stage)
    stream_arn = system.table(Table.RECORDS)["stream_arn"]
    with _snapshot(system, stream_arn, segments) as snapshot:
        verdict = _reconciliation(system, snapshot, stream_arn, rate, segments, pause).run(fix=fix)
        show: Callable[[Finding], None] = _show_json if as_json else _show
        for finding in snapshot.findings():
            show(finding)
    boto3.client("cloudwatch").put_metric_data(
        Namespace=_settings(system).metrics_namespace,
        MetricData=[
            {
                "MetricName": METRIC,
                "Dimensions": [{"Name": "Stage", "Value": stage}],
                "Value": verdict.left,
                "Unit": "Count",
            }
        ],
    )
    typer.echo(json.dumps(verdict._asdict()) if as_json else _told(verdict))
    if verdict.left:
        raise typer.Exit(DRIFT)


@contextmanager
def _snapshot(system: Deployed, stream_arn: str, segments: int) -> Iterator[Snapshot]:
    """What an interrupted run has read, unless it is too old or of other tables; forgotten once a run ends."""
    folder = system.stage.folder / "reconcile"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{system.stage.name}-{stream_arn.rpartition('/')[2].replace(':', '')}-{segments}.sqlite"
    try:
        with FileLock(folder / f"{system.stage.name}.lock", timeout=0):
            if file.exists() and time.time() - file.stat().st_mtime > _RESUMABLE_SECONDS:
                file.unlink()
            snapshot = Snapshot(file)
            try:
                yield snapshot
            finally:
                snapshot.close()
            file.unlink()
    except Timeout:
        raise UserError(f"Another reconcile of stage {system.stage.name} is running here. Wait for it") from None


def _reconciliation(
    system: Deployed, snapshot: Snapshot, stream_arn: str, rate: float, segments: int, pause: float
) -> Reconciliation:
    settings = _settings(system)
    connections = max(2 * segments, settings.concurrency)
    tombstone_seconds = settings.tombstone_days * 24 * 60 * 60
    config = Config(max_pool_connections=connections, retries={"mode": "standard", "total_max_attempts": 10})
    return Reconciliation(
        tables=DynamoDBScoreTables(
            boto3.client("dynamodb", config=config),
            {table: system.table(table)["name"] for table in Table},
            segments,
            Throttle(rate, time.monotonic, time.sleep),
            time.sleep,
        ),
        ledger=DynamoDBLedger(
            aws.client("dynamodb", connections),
            ledger_table=settings.ledger_table,
            totals_table=settings.totals_table,
            expires_at=lambda: int(time.time()) + tombstone_seconds,
        ),
        snapshot=snapshot,
        stream_arn=stream_arn,
        segments=segments,
        workers=Threads(connections),
        patience=_patience,
        pause=lambda: time.sleep(pause),
        tell=lambda line: typer.echo(line, err=True),
    )


def _settings(system: Deployed) -> Settings:
    """Those of the function, whose ledger this writes as the function does."""
    name = system.function("AggregateScoresByUser")["name"]
    configuration = boto3.client("lambda").get_function_configuration(FunctionName=name)
    return Settings.parse(configuration["Environment"]["Variables"])


def _patience() -> Patience:
    end = time.monotonic() + _ROUND_SECONDS
    return Patience(lambda: end - time.monotonic(), time.sleep, random.random)


def _show(finding: Finding) -> None:
    what = f"record {finding.record_id}" if finding.record_id else "total"
    done = ", repaired" if finding.repaired else ""
    typer.echo(f"{finding.username}: {what} {finding.cause} (is {finding.is_}, should be {finding.should_be}{done})")


def _show_json(finding: Finding) -> None:
    typer.echo(json.dumps(finding._asdict()))


def _told(verdict: Verdict) -> str:
    told = (
        f"Users in drift: {verdict.in_drift}" if verdict.in_drift else "No drift: every total is the sum of its records"
    )
    if verdict.in_drift:
        told += f", of whom {verdict.in_drift - verdict.left} are repaired"
    if verdict.unjudged:
        told += f". Not judged, as they never kept still: {verdict.unjudged}; try again at a quieter time"
    return f"{told}."


if __name__ == "__main__":
    run(main)
