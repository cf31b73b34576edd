"""The parity report names tests that are there; `make check` sees that the report is what its script writes."""

from scripts.develop.parity import ROOT, SEMANTICS


def test_every_semantic_names_a_test_that_is_there() -> None:
    for semantic in SEMANTICS:
        file, test = semantic.shown_by.split("::")

        assert f"def {test}(" in (ROOT / file).read_text(), semantic
