"""What no linter asks of the workflows: they call Make alone, end in time, and ask for a token only to use it."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (GITHUB.parent / "Makefile").read_text()


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{workflow.stem}-{name}")
        for workflow in WORKFLOWS
        for name, job in YAML(typ="safe").load(workflow)["jobs"].items()
    ]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_a_workflow_itself_may_nothing(workflow: Path) -> None:
    assert YAML(typ="safe").load(workflow)["permissions"] == {}


@pytest.mark.parametrize("job", jobs())
def test_a_job_ends_in_time_and_asks_for_no_more_than_a_token(job: dict[str, Any]) -> None:
    assert "uses" in job or job["timeout-minutes"] <= 45
    assert job.get("permissions", {}).items() <= {"contents": "read", "id-token": "write"}.items()
    if "uses" not in job and "id-token" in job.get("permissions", {}):
        assert any(step.get("with", {}).get("role") for step in job["steps"]), "a token that nothing uses"


@pytest.mark.parametrize("job", jobs())
def test_what_a_job_runs_is_make(job: dict[str, Any]) -> None:
    for step in job.get("steps", []):
        for line in step.get("run", "").splitlines():
            assert line.startswith(("make ", "echo '```'", '[ "$CONFIRM" = prod ]')), line
            target = line.removeprefix("make ").removeprefix("--silent ").split()[0]
            if line.startswith("make ") and not target.startswith('"$'):
                assert f"\n{target}: " in MAKEFILE, f"make has no target {target}"
