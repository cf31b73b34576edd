"""The parity report is what its script writes, and names tests that are there."""

from scripts.parity_report import REPORT, ROOT, SEMANTICS, report


def test_the_report_is_up_to_date() -> None:
    assert REPORT.read_text() == report()


def test_every_semantic_names_a_test_that_is_there() -> None:
    for semantic in SEMANTICS:
        file, test = semantic.shown_by.split("::")

        assert f"def {test}(" in (ROOT / file).read_text(), semantic
