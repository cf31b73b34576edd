"""The AWS provider: which versions the Terraform code allows, and which one is locked."""

import re
from pathlib import Path

import hcl2
import pytest
from hcl2.utils import SerializationOptions

from scripts.stage import TERRAFORM

MODULES = sorted({file.parent for file in TERRAFORM.rglob("*.tf") if ".terraform" not in file.parts})
ROOTS = [module for module in MODULES if (module / ".terraform.lock.hcl").exists()]


def identify(module: Path) -> str:
    return str(module.relative_to(TERRAFORM.parent))


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_every_module_allows_majors_5_and_6(module: Path) -> None:
    plain = SerializationOptions(with_comments=False, strip_string_quotes=True)
    with (module / "versions.tf").open() as file:
        [settings] = hcl2.load(file, serialization_options=plain)["terraform"]

    [required] = settings["required_providers"]
    assert required["aws"]["version"] == ">= 5.100, < 7"


@pytest.mark.parametrize("module", MODULES, ids=identify)
def test_no_module_reads_an_attribute_that_only_one_major_has(module: Path) -> None:
    # https://registry.terraform.io/providers/hashicorp/aws/latest/docs/guides/version-6-upgrade: of what we use,
    # aws_region alone changed. 6 deprecates `name`; 5 does not have `region`; both have `id`.
    code = "\n".join(file.read_text() for file in sorted(module.glob("*.tf")))

    assert set(re.findall(r"data\.aws_region\.current\.(\w+)", code)) <= {"id"}


@pytest.mark.parametrize("root", ROOTS, ids=identify)
def test_the_lock_holds_5_100_within_what_the_code_allows(root: Path) -> None:
    lock = (root / ".terraform.lock.hcl").read_text()

    assert re.search(r'version\s+= "5\.100\.0"', lock)
    assert re.search(r'constraints = ">= 5\.100\.0, < 7\.0\.0"', lock)


def test_both_roots_are_locked() -> None:
    assert [identify(root) for root in ROOTS] == ["terraform", "terraform/bootstrap"]
