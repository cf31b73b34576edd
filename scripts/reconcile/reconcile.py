"""Check that totals are the sums over the records: `make reconcile [FIX=1] [RATE=1000] [SEGMENTS=8] [JSON=1]`."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import typer
from botocore.config import Config
from filelock import FileLock, Timeout

from handlers.aggregate_scores_by_user.dynamodb import DynamoDBLedger
from handlers.aggregate_scores_by_user.ledger import TOMBSTONE_SECONDS
from handlers.aggregate_scores_by_user.settings import Settings
from handlers.shared import aws
from handlers.shared.retrying import Patience
from handlers.shared.workers import Threads
from scripts.cli import UserError
from scripts.deployment import Deployed, deployed
from scripts.reconcile.judgement import Judgement, Summary
from scripts.reconcile.reconciliation import Reconciliation
from scripts.reconcile.snapshot import Finding, Snapshot
from scripts.reconcile.tables import DynamoDBScoreTables, Table, Throttle
from scripts.stage import LOCAL, StageName

EXIT_CODES = {Judgement.EXACT: 0, Judgement.WRONG: 2, Judgement.NOT_JUDGED: 3}
"""1 is for what could not be run at all. make turns every one but 0 into 2."""

DRIFT, NOT_JUDGED = "Drift", "NotJudged"
"""The metrics, by Stage: users left in drift, and records and totals that could not be judged."""

RATE, SEGMENTS, PAUSE = 1000.0, 8, 5.0
"""Read capacity units a second, parts of a table read at once, and seconds between looks, unless told otherwise."""

_ROUND_SECONDS = 60
_RESUMABLE_SECONDS = 24 * 60 * 60


def main(
    stage: StageName = LOCAL,
    fix: bool = typer.Option(False, "--fix", help="repair what has drifted"),
    rate: float = typer.Option(RATE, min=1, help="read capacity units a second"),
    segments: int = typer.Option(SEGMENTS, min=1, max=1000, help="parts of a table that are read at once"),
    pause: float = typer.Option(
        5, min=0, help="seconds between two looks at what is in doubt: longer than counting lags"
    ),
    as_json: bool = typer.Option(False, "--json", help="one JSON document a finding, then one with the summary"),
) -> None:
    """Compare records, ledger and totals. Exit codes: 0 exact, 2 wrong, 3 not judged, 1 an error."""
    system = deployed(stage)
    summary = reconcile(system, show_json if as_json else show, fix=fix, rate=rate, segments=segments, pause=pause)
    typer.echo(json.dumps(summary.as_json()) if as_json else describe(summary))
    publish(system, summary)
    raise typer.Exit(EXIT_CODES[summary.judgement])


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def reconcile(
    system: Deployed,
    on_finding: Callable[[Finding], None],
    *,
    fix: bool = False,
    rate: float = RATE,
    segments: int = SEGMENTS,
    pause: float = PAUSE,
    tell: Callable[[str], None] = _tell,
) -> Summary:
    """Reconcile a deployed system, and report each finding. `tell` gets a line at each step."""
    settings = _settings(system)
    stream_arn = _stream_arn(system)
    ended = threading.Event()
    throttle = Throttle(rate, time.monotonic, ended.wait)
    with _snapshot(system, stream_arn, segments) as snapshot:
        try:
            summary = _reconciliation(system, settings, snapshot, stream_arn, throttle, segments, pause, tell).run(
                fix=fix
            )
        finally:
            ended.set()  # or an interrupt would wait for threads that wait for the throttle
        for finding in snapshot.findings():
            on_finding(finding)
    return summary


def metrics(summary: Summary) -> dict[str, int]:
    """Return what to publish of a summary.

    Drift is left out when it is not known to be 0: published, it would end the alarm that an earlier run has raised.
    """
    known = {} if summary.judgement is Judgement.NOT_JUDGED else {DRIFT: summary.left}
    return {**known, NOT_JUDGED: summary.unjudged}


def publish(system: Deployed, summary: Summary) -> None:
    """Publish a summary as metrics of the stage."""
    system.session.client("cloudwatch").put_metric_data(
        Namespace=_settings(system).metrics_namespace,
        MetricData=[
            {
                "MetricName": name,
                "Dimensions": [{"Name": "Stage", "Value": system.stage.name}],
                "Value": value,
                "Unit": "Count",
            }
            for name, value in metrics(summary).items()
        ],
    )


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
    system: Deployed,
    settings: Settings,
    snapshot: Snapshot,
    stream_arn: str,
    throttle: Throttle,
    segments: int,
    pause: float,
    tell: Callable[[str], None],
) -> Reconciliation:
    connections = max(2 * segments, settings.concurrency)

    def expires_at() -> int:
        return int(time.time()) + TOMBSTONE_SECONDS

    config = Config(max_pool_connections=connections, retries={"mode": "standard", "total_max_attempts": 10})
    return Reconciliation(
        tables=DynamoDBScoreTables(
            system.session.client("dynamodb", config=config),
            {table: system.table(table)["name"] for table in Table},
            segments,
            throttle,
            time.sleep,
            expires_at,
        ),
        ledger=DynamoDBLedger(
            system.session.client("dynamodb", config=aws.config(connections)),
            ledger_table=settings.ledger_table,
            totals_table=settings.totals_table,
            expires_at=expires_at,
        ),
        snapshot=snapshot,
        stream_arn=stream_arn,
        segments=segments,
        workers=Threads(connections),
        patience=_patience,
        pause=lambda: time.sleep(pause),
        tell=tell,
        new_id=lambda: uuid4().hex,
    )


def _settings(system: Deployed) -> Settings:
    """Those of the function, whose ledger this writes as the function does."""
    name = system.function("AggregateScoresByUser")["name"]
    configuration = system.session.client("lambda").get_function_configuration(FunctionName=name)
    return Settings.parse(configuration["Environment"]["Variables"])


def _stream_arn(system: Deployed) -> str:
    """Return the ARN of the present stream of GameScoreRecords: not Terraform's, which may be of one before it."""
    table = system.table(Table.RECORDS)
    described = system.session.client("dynamodb").describe_table(TableName=table["name"])["Table"]
    return described.get("LatestStreamArn") or table["stream_arn"]


def _patience() -> Patience:
    end = time.monotonic() + _ROUND_SECONDS
    return Patience(lambda: end - time.monotonic(), time.sleep, random.random)


def show(finding: Finding) -> None:
    """Print a finding for a person."""
    what = f"record {finding.record_id}" if finding.record_id else "total"
    if finding.is_test:
        done, left = ", taken back", ""
    else:
        done, left = ", repaired", f", should be {finding.expected}"
    user = finding.username or "(user unknown)"
    typer.echo(f"{user}: {what} {finding.cause} (is {finding.present}{left}{done if finding.repaired else ''})")


def show_json(finding: Finding) -> None:
    """Print a finding for a script."""
    typer.echo(json.dumps(finding._asdict()))


def describe(summary: Summary) -> str:
    """Return the summary in a few sentences, of which the first gives it."""
    in_drift, left, unjudged, tests = summary
    drift = f"{_users(in_drift)} in drift, {in_drift - left} repaired."
    match summary.judgement:
        case Judgement.EXACT:
            sentence = f"Exact now: {drift}" if in_drift else "No drift: every total is the sum over its records."
        case Judgement.WRONG:
            sentence = f"Wrong: {drift}"
        case Judgement.NOT_JUDGED:
            sentence = f"Not judged: whether every total is exact is not known.{f' {drift}' if in_drift else ''}"
    if unjudged:
        sentence += f" Records and totals that never kept still: {unjudged}. Try again at a quieter time."
    if tests:
        sentence += (
            f" Test events counted, with no record behind them: {tests}. To take them back: make reconcile FIX=1."
        )
    return sentence


def _users(number: int) -> str:
    return f"{number} user" if number == 1 else f"{number} users"
