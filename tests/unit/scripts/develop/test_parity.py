"""Every line of the parity report has a label, and a test that exists; `make check` sees that it is up to date."""

from dataclasses import replace
from typing import Any

import pytest

from scripts.cli import UserError
from scripts.develop import parity
from scripts.develop.parity import ROOT, SEMANTICS
from scripts.develop.semantics import CHOSEN, DIFFERS, SAME
from tests import sources
from tests.simulation.cases import CASES
from tests.sources import Documented, Ours, Recorded, each


def test_every_semantic_names_a_test_that_is_there() -> None:
    for semantic in SEMANTICS:
        file, test = semantic.shown_by.split("::")

        assert f"def {test}(" in (ROOT / file).read_text(), semantic


def test_a_line_is_named_once() -> None:
    names = [semantic.what for semantic in SEMANTICS] + [case.name for case in CASES]

    assert sorted(names) == sorted(set(names))


def test_a_line_that_differs_says_why() -> None:
    assert {semantic.status for semantic in SEMANTICS} <= {SAME, CHOSEN, DIFFERS}
    assert [semantic.what for semantic in SEMANTICS if semantic.status == DIFFERS and not semantic.note] == []


def test_the_report_has_every_line_once() -> None:
    report = parity.report()

    assert [each.what for each in SEMANTICS if report.count(f"\n| {each.what} |") != 1] == []


def test_a_line_that_is_our_choice_is_labelled_ours() -> None:
    for semantic in SEMANTICS:
        if semantic.status == CHOSEN:
            assert any(isinstance(source, Ours) for source in each(semantic.sources)), semantic.what


@pytest.mark.parametrize(
    "label",
    [
        (),
        Documented("https://example.com/kinesis.html"),
        Recorded("", "https://example.com"),
        Recorded("us", ""),
        Ours(""),
    ],
    ids=str,
)
@pytest.mark.parametrize("part", ["SEMANTICS", "CASES"])
def test_the_docs_check_names_a_line_without_a_label(part: str, label: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = getattr(parity, part)
    monkeypatch.setattr(parity, part, [replace(first, sources=label), *others])
    name = first.what if part == "SEMANTICS" else first.name

    with pytest.raises(UserError, match=f"lines without a label.*\n  {name}: "):
        parity.report()


def test_each_kind_of_label_says_what_it_is_and_where_to_read_it() -> None:
    assert str(sources.KINESIS) == (
        "documented: [with-kinesis](https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html)"
    )
    assert str(Recorded("a trace", "https://example.com/trace")) == "recorded: [a trace](https://example.com/trace)"
    assert str(Ours("as null")) == "ours: as null"
