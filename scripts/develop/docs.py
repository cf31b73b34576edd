"""Write what the docs have from the code: `make docs`.

The input and output tables in the READMEs of terraform/ and the costs in docs/sizing.md, between their markers, and
docs/local-cloud-parity.md.
`--check` writes nothing, and fails when something is out of date: `make check` does that.
"""

import html
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import hcl2
import typer
from hcl2.utils import SerializationOptions

from bench import costs
from scripts.cli import UserError
from scripts.develop import parity as parity_report
from scripts.stage import ROOT, TERRAFORM

BEGIN, END = "<!-- made by make docs -->", "<!-- end of what make docs made -->"
SIZING = ROOT / "docs/sizing.md"
_HEREDOC = re.compile(r"<<-?(\w+)\n(.*)\n\s*\1", re.DOTALL)


def main(check: bool = typer.Option(False, help="fail when something is out of date, and write nothing")) -> None:
    """Write the generated parts of the docs, where they are out of date."""
    stale = {path: text for path, text in _generated() if not path.exists() or path.read_text() != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text)
        typer.echo(f"{'Out of date' if check else 'Written'}: {path.relative_to(ROOT)}")
    if check and stale:
        raise UserError("The docs do not say what the code does. Write them: make docs")


def _generated() -> Iterator[tuple[Path, str]]:
    yield parity_report.REPORT, parity_report.report()
    yield SIZING, with_tables(SIZING, costs.month_table())
    for variables in sorted(TERRAFORM.rglob("variables.tf")):
        readme = variables.with_name("README.md")
        if not readme.exists():
            raise UserError(
                f"{readme.relative_to(ROOT)} is missing. Write what the module is, an example, {BEGIN} and {END}."
            )
        yield readme, with_tables(readme, tables(variables.parent))


def with_tables(readme: Path, made: str) -> str:
    """The text of a README with these tables between its markers. Raises UserError when it has no markers."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{readme.relative_to(ROOT)} lacks the markers that the tables go between: {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{made}{END}{after}"


def tables(module: Path) -> str:
    """A module's inputs and outputs, as Markdown."""
    inputs = [
        (f"`{name}`", _prose(block), _code(_source(block, "type")), _code(_source(block, "default")) or "required")
        for name, block in _blocks(module / "variables.tf", "variable")
    ]
    outputs = [(f"`{name}`", _prose(block)) for name, block in _blocks(module / "outputs.tf", "output")]
    return (
        f"## Inputs\n\n{_table(('name', 'what it is', 'type', 'default'), inputs)}\n"
        f"## Outputs\n\n{_table(('name', 'what it is'), outputs)}"
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *rows))


@dataclass(frozen=True)
class Block:
    """A variable or an output, as its file has it."""

    description: str
    lines: Sequence[str]


def _blocks(file: Path, kind: str) -> list[tuple[str, Block]]:
    """The file's blocks of a kind, by name, in order. Types are laid out as terraform fmt did, not the parser."""
    text = file.read_text()
    written = dict(re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL))
    parsed = hcl2.loads(text, serialization_options=SerializationOptions(explicit_blocks=False)).get(kind, [])
    blocks = {
        quoted.strip('"'): Block(body["description"], written[quoted.strip('"')].splitlines())
        for block in parsed
        for quoted, body in block.items()
    }
    return [(name, blocks[name]) for name in sorted(blocks)]


def _prose(block: Block) -> str:
    """A block's description in one cell of a table; what it says of an attribute begins a line."""
    heredoc = _HEREDOC.fullmatch(block.description.strip('"'))
    plain = textwrap.dedent(heredoc.group(2)).strip() if heredoc else block.description[1:-1].replace('\\"', '"')
    lines = re.sub(r"\n(?!\w+: )", " ", plain).splitlines()
    return "<br>".join(re.sub(r"^(\w+): ", r"`\1`: ", line) for line in lines).replace("|", "\\|")


def _source(block: Block, attribute: str) -> str:
    """An attribute's value as it is written, from its line until what it opens is closed; empty where it is not set."""
    value: list[str] = []
    for line in block.lines:
        if value or re.match(rf"  {attribute} +=", line):
            value.append(line)
            text = "\n".join(value)
            if all(text.count(opening) == text.count(closing) for opening, closing in ("()", "[]", "{}")):
                return textwrap.dedent("  " + text.partition("=")[2].strip())
    return ""


def _code(text: str) -> str:
    """Code in one cell of a table, which has no lines of its own but in HTML."""
    if "\n" not in text:
        return f"`{text}`" if text else ""
    return f"<pre>{html.escape(text, quote=False)}</pre>".replace("|", "&#124;").replace("\n", "<br>")
