"""The modules, against a mocked provider: terraform/tests and terraform/bootstrap/tests."""

import os
import re
import subprocess

from scripts.stage import ROOT


def test_every_test_of_the_terraform_modules_passes() -> None:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MAKE", "MFLAGS", "TF_VAR_"))
    }

    done = subprocess.run(["make", "test-terraform"], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=900)

    assert done.returncode == 0, done.stdout + done.stderr
    passed = [int(count) for count in re.findall(r"^Success! (\d+) passed, 0 failed", done.stdout, re.MULTILINE)]
    assert len(passed) == 2, "those of terraform/ and those of terraform/bootstrap/"
    assert min(passed) > 0
