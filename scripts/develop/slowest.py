"""Write the slowest tests of the last `make test` into CONTRIBUTING.md: `make slowest`."""

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import typer

from scripts.cli import UserError
from scripts.stage import ROOT

RESULTS, CONTRIBUTING = ROOT / ".local/tests.xml", ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- made by make slowest -->", "<!-- end of what make slowest made -->"
_MOST = 20


def main() -> None:
    """Write the table, and print it."""
    if not RESULTS.exists():
        raise UserError(f"{RESULTS.relative_to(ROOT)} is missing. Run the tests first: make test")
    made = table(slowest(RESULTS))
    CONTRIBUTING.write_text(re.sub(f"{BEGIN}\n.*?{END}", f"{BEGIN}\n{made}{END}", CONTRIBUTING.read_text(), flags=re.S))
    typer.echo(made, nl=False)


def slowest(results: Path, most: int = _MOST) -> list[tuple[float, str]]:
    """Return the slowest tests of pytest's JUnit XML: seconds, with setup and teardown, and the name."""
    cases = [
        (float(case.get("time", 0)), f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '')}")
        for case in ElementTree.parse(results).iter("testcase")  # noqa: S314 - written by our own pytest
    ]
    return sorted(cases, reverse=True)[:most]


def table(tests: Iterable[tuple[float, str]]) -> str:
    """Return the tests as Markdown."""
    rows = [f"| {seconds:.0f} | `{name}` |\n" for seconds, name in tests]
    return "| seconds | test |\n| --- | --- |\n" + "".join(rows)
