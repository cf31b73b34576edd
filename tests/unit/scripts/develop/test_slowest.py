"""The slowest tests are listed by their cost."""

from pathlib import Path

from scripts.develop.slowest import slowest, table


def test_the_slowest_tests_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    results = tmp_path / "tests.xml"
    results.write_text(
        "<testsuites><testsuite>"
        '<testcase classname="tests.unit.test_a" name="test_quick" time="0.01"/>'
        '<testcase classname="tests.integration.test_b" name="test_slow[x]" time="71.6"/>'
        '<testcase classname="tests.unit.test_a" name="test_middling" time="3.2"/>'
        "</testsuite></testsuites>"
    )

    found = slowest(results, most=2)

    assert found == [(71.6, "test_b::test_slow[x]"), (3.2, "test_a::test_middling")]
    assert table(found).splitlines()[2] == "| 72 | `test_b::test_slow[x]` |"
