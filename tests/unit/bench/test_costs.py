"""What a stage costs is counted from Terraform and from what the functions publish."""

import json
import shutil
from pathlib import Path

import pytest

from bench import costs
from handlers.process_kinesis_records.ingestion import Outcome
from scripts.develop.docs import BEGIN, SIZING
from scripts.develop.package import functions
from scripts.reconcile import reconcile
from scripts.stage import TERRAFORM
from tests.fakes.invocation import Function, InMemoryParking
from tests.fakes.ledger import InMemoryLedger
from tests.fakes.stream import insert


@pytest.fixture
def terraform(tmp_path: Path) -> Path:
    """A copy of terraform/, to be changed."""
    return Path(shutil.copytree(TERRAFORM, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform")))


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_the_stages_that_are_compared_are_there() -> None:
    assert all((TERRAFORM / "stages" / f"{stage}.tfvars").is_file() for stage in costs.STAGES)


def test_the_document_has_the_costs_of_the_stages_as_they_are() -> None:
    assert BEGIN + "\n" + costs.month_table() in SIZING.read_text(), "Write it: make docs"


def test_alarms_are_counted_by_function_mapping_table_and_operation(terraform: Path) -> None:
    before = costs.alarms(None, terraform)

    replace(terraform / "main.tf", 'operations       = ["PutItem"]', 'operations       = ["PutItem", "UpdateItem"]')

    assert costs.alarms(None, terraform) == before + 1
    assert costs.alarms(["function-errors", "batches-given-up"], terraform) == 2 * len(functions())
    assert costs.alarms(["stream-write-throttled", "drift"], terraform) == 2
    assert costs.alarms(["table-read-throttled"], terraform) >= 3
    assert costs.alarms([], terraform) == 0


def test_an_alarm_on_something_else_is_not_left_out_silently(terraform: Path) -> None:
    replace(
        terraform / "modules/monitoring/alarms.tf",
        "dimensions = local.operation_dimensions",
        "dimensions = local.bucket_dimensions",
    )

    with pytest.raises(LookupError, match="bucket_dimensions"):
        costs.alarms(None, terraform)


def test_a_stages_settings_change_what_it_costs(terraform: Path) -> None:
    file = terraform / "stages/dev.tfvars"
    before, _ = costs.month("dev", terraform)

    replace(file, "alarms = {", 'stream = { shard_count = 3, retention_hours = 48 }\nalarms = { kms_key_arn = "arn",')
    after, _ = costs.month("dev", terraform)

    assert after["Shards"][1] == pytest.approx(3 * before["Shards"][1])
    assert after["Shards, records kept for more than a day"][1] == pytest.approx(3 * 730 * 0.02)
    assert after["KMS keys, for alarms"] == (0, 0.0)


def test_a_stream_on_demand_is_paid_by_the_hour(terraform: Path) -> None:
    replace(terraform / "stages/prod.tfvars", "stream = {", "stream = { shard_count = 0,")

    idle, _ = costs.month("prod", terraform)

    assert idle["Shards"][1] == pytest.approx(29.20)
    assert idle["Shards, records kept for more than a day"] == (0, 0.0)


def test_own_metrics_are_those_that_functions_and_reconcile_publish() -> None:
    function = Function(InMemoryLedger(), InMemoryParking())
    function.invoke([insert(1, 1, "jane", "1")])
    (line,) = [json.loads(each) for each in function.log.getvalue().splitlines() if '"_aws"' in each]
    (published,) = line["_aws"]["CloudWatchMetrics"]

    assert len([*Outcome().metrics, *published["Metrics"], reconcile.DRIFT, reconcile.NOT_JUDGED]) == costs.OWN_METRICS
