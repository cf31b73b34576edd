"""The modules' READMEs say what the HCL does."""

from pathlib import Path

import pytest

from scripts.cli import UserError
from scripts.develop import docs
from scripts.develop import parity as parity_report

VARIABLES = """
variable "name" {
  description = "Name of the \\"thing\\": a | b."
  type        = string
  nullable    = false
}

variable "mapping" {
  description = <<-EOT
    How records become
    invocations.
    batch_size: records in one.
  EOT
  type = object({
    batch_size = optional(number, 100)
    filter     = optional(object({ name = optional(string) }), {})
  })
  default  = {}
  nullable = false
}

variable "key" {
  description = "A key; null for none."
  type        = string
  default     = null

  validation {
    condition     = var.key != ""
    error_message = "type = {"
  }
}
"""
OUTPUTS = """
output "arn" {
  description = "ARN of the thing."
  value       = "arn"
}
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "variables.tf").write_text(VARIABLES)
    (tmp_path / "outputs.tf").write_text(OUTPUTS)
    return tmp_path


def test_a_modules_inputs_and_outputs_are_tables_in_order(module: Path) -> None:
    assert docs.tables(module) == (
        "## Inputs\n\n"
        "| name | what it is | type | default |\n| --- | --- | --- | --- |\n"
        "| `key` | A key; null for none. | `string` | `null` |\n"
        "| `mapping` | How records become invocations.<br>`batch_size`: records in one. | "
        "<pre>object({<br>  batch_size = optional(number, 100)<br>"
        "  filter     = optional(object({ name = optional(string) }), {})<br>})</pre> | `{}` |\n"
        '| `name` | Name of the "thing": a \\| b. | `string` | required |\n\n'
        "## Outputs\n\n| name | what it is |\n| --- | --- |\n| `arn` | ARN of the thing. |\n"
    )


def test_what_is_written_by_hand_around_the_tables_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Thing\n\n{docs.BEGIN}\nold\n{docs.END}\nafter\n")

    assert docs.with_tables(readme, "new\n") == f"# Thing\n\n{docs.BEGIN}\nnew\n{docs.END}\nafter\n"


def test_a_readme_without_markers_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text("# Thing\n")

    with pytest.raises(UserError, match=r"README\.md lacks the markers"):
        docs.with_tables(readme, "new\n")


def test_check_fails_and_names_what_writes_them(
    module: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "ROOT", module)
    monkeypatch.setattr(docs, "TERRAFORM", module)
    monkeypatch.setattr(parity_report, "REPORT", module / "parity.md")
    readme = module / "README.md"
    readme.write_text(f"# Thing\n\n{docs.BEGIN}\n{docs.END}\n")

    with pytest.raises(UserError, match="make docs"):
        docs.main(check=True)
    assert "Out of date: README.md" in capsys.readouterr().out
    docs.main(check=False)
    docs.main(check=True)
