"""What a report of the acceptance tests says of each line of the parity report."""

import json
from pathlib import Path

import pytest

from scripts.develop.parity import SEMANTICS
from tests.acceptance.evidence import LINES, Evidence, Outcome, Record, write
from tests.simulation.cases import CASES

DOCUMENTED = "BatchSize 1..10,000, default 100"
RECORDED = "progress restarts the retry count"
OURS = "no response is a success"


def seen(*outcomes: str, line: str) -> Record:
    """A record of tests of one line, which ended so."""
    return Record(outcomes=[Outcome(f"test_{number}", [line], each) for number, each in enumerate(outcomes)])


def test_every_line_of_the_parity_report_has_a_verdict() -> None:
    verdicts = Record().verdicts()

    assert len(verdicts) == len(SEMANTICS) + len(CASES)
    assert {verdict for verdict, _ in verdicts.values()} == {"not observed"}


@pytest.mark.parametrize(
    ("line", "verdict"), [(DOCUMENTED, "as documented"), (RECORDED, "as recorded"), (OURS, "as we chose")]
)
def test_a_line_that_was_observed_is_as_its_label_says(line: str, verdict: str) -> None:
    assert seen("passed", line=line).verdicts()[line][0] == verdict


def test_a_line_differs_when_any_of_its_tests_failed() -> None:
    assert seen("passed", "failed", line=DOCUMENTED).verdicts()[DOCUMENTED][0] == "differs"


def test_a_line_whose_tests_did_not_run_to_their_end_is_not_observed() -> None:
    assert seen("skipped", line=DOCUMENTED).verdicts()[DOCUMENTED][0] == "not observed"


def test_a_report_has_the_verdicts_the_failures_and_the_raw_samples(tmp_path: Path) -> None:
    test = "tests/acceptance/test_cases.py::test_a[b]"
    record = Record(outcomes=[Outcome(test, [DOCUMENTED], "failed", "assert 1 == 2")])
    Evidence(record, test).keep("mapping reply", {"BatchSize": 7})
    where = {"stage": "dev-test", "account": "111122223333", "endpoint": "AWS"}

    write(record, where, tmp_path)

    document = json.loads((tmp_path / "report.json").read_text())
    assert document["account"] == "111122223333"
    assert [each["verdict"] for each in document["verdicts"] if each["line"] == DOCUMENTED] == ["differs"]
    assert len(document["verdicts"]) == len(LINES)
    assert document["samples"][0]["sample"] == {"BatchSize": 7}
    text = (tmp_path / "report.md").read_text()
    assert "This is what AWS did." in text
    assert f"- {test}: assert 1 == 2" in text
    assert '"BatchSize": 7' in text
    assert "1 differs" in text


def test_a_report_of_a_local_cloud_says_that_it_says_nothing_of_aws(tmp_path: Path) -> None:
    write(Record(), {"stage": "local", "endpoint": "http://127.0.0.1:4566"}, tmp_path)

    assert "It says nothing of AWS" in (tmp_path / "report.md").read_text()
