"""What no linter asks of the workflows.

They call Make alone, end in time, ask for a token only to use it, and pass on what a stage needs; prod takes what dev
has, and a deploy applies the plan that was approved.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from scripts.deploy import github_stages
from scripts.stage import ROOT

GITHUB = Path(__file__).parents[2] / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MAKEFILE = (GITHUB.parent / "Makefile").read_text()
ALLOWED = {"actions": "read", "contents": "read", "deployments": "read", "id-token": "write"}
# Shell that shows something, and decides nothing but that prod was typed.
SHOWS = ("echo ", '[ "$CONFIRM" = prod ]', "[ -s verdict.json ]", 'tee -a "$GITHUB_STEP_SUMMARY"')


def workflow(name: str) -> dict[str, Any]:
    """A workflow of that name."""
    content: dict[str, Any] = YAML(typ="safe").load(GITHUB / "workflows" / f"{name}.yml")
    return content


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
    assert job.get("permissions", {}).items() <= ALLOWED.items()
    if "uses" not in job and "id-token" in job.get("permissions", {}):
        assert any(step.get("with", {}).get("role") for step in job["steps"]), "a token that nothing uses"


@pytest.mark.parametrize("job", jobs())
def test_what_a_job_runs_is_make(job: dict[str, Any]) -> None:
    for step in job.get("steps", []):
        for line in step.get("run", "").splitlines():
            assert line.startswith(("make ", *SHOWS)), line
            target = line.removeprefix("make ").removeprefix("--silent ").split()[0]
            if line.startswith("make ") and not target.startswith('"$'):
                assert f"\n{target}: " in MAKEFILE, f"make has no target {target}"


def test_a_stage_is_told_its_region_and_its_states_bucket() -> None:
    for caller in ("ci", "deploy-prod", "nightly"):
        for job in workflow(caller)["jobs"].values():
            if "uses" not in job:
                continue
            stage = job["with"]["stage"].upper()
            of_stage = "vars[format('{{0}}_{}', matrix.stage.variable)]" if "strategy" in job else f"vars.{stage}_{{}}"
            for name in ("region", "state_bucket"):
                assert job["with"][name] == f"${{{{ {of_stage.format(name.upper())} }}}}"


@pytest.mark.parametrize("name", ["look", "deploy", "reconcile"])
def test_make_is_told_the_states_bucket(name: str) -> None:
    jobs = [job for job in workflow(name)["jobs"].values() if "steps" in job]

    assert jobs
    assert all(job["env"]["STATE_BUCKET"] == "${{ inputs.state_bucket }}" for job in jobs)


def test_a_deploy_applies_the_plan_that_was_approved() -> None:
    plan, deploy = (workflow("deploy")["jobs"][name] for name in ("plan", "deploy"))
    kept = plan["with"]["plan"]
    fetched = [step for step in deploy["steps"] if "download-artifact" in step.get("uses", "")]
    uploaded = [step for step in workflow("look")["jobs"]["look"]["steps"] if "upload-artifact" in step.get("uses", "")]

    assert deploy["needs"] == "plan"
    assert deploy["environment"] == "${{ inputs.stage }}"
    assert [step["with"]["name"] for step in fetched] == [deploy["env"]["PLAN"]] == [kept]
    assert [step["with"]["path"] for step in uploaded] == ["${{ inputs.plan }}"]
    assert 'make deploy STAGE="$STAGE" PLAN="$PLAN"' in [step.get("run") for step in deploy["steps"]]


def test_prod_takes_only_what_passed_ci_and_what_dev_has() -> None:
    jobs = workflow("deploy-prod")["jobs"]

    assert jobs["deploy"]["needs"] == "admit"
    assert 'make admit COMMIT="$GITHUB_SHA"' in [step.get("run") for step in jobs["admit"]["steps"]]
    assert workflow("ci")["jobs"]["deploy-dev"]["needs"] == "ci"


def test_every_night_each_stage_with_roles_is_looked_at_for_drift_and_reconciled() -> None:
    jobs = workflow("nightly")["jobs"]

    assert workflow("nightly")["on"]["schedule"]
    for name, file in (("drift", "look.yml"), ("reconcile", "reconcile.yml")):
        assert jobs[name]["uses"].rpartition("/")[2] == file
        assert jobs[name]["strategy"]["matrix"]["stage"] == f"${{{{ fromJSON(needs.stages.outputs.{name}) }}}}"
        assert jobs[name]["strategy"]["fail-fast"] is False, "one stage's drift must not hide another's"
        assert jobs[name]["if"] == f"needs.stages.outputs.{name} != '[]'"
        assert jobs[name]["with"]["stage"] == "${{ matrix.stage.name }}"
    assert jobs["drift"]["with"]["role"] == "${{ vars[format('{0}_PLAN_ROLE', matrix.stage.variable)] }}"
    assert jobs["reconcile"]["with"]["role"] == "${{ vars[format('{0}_RECONCILE_ROLE', matrix.stage.variable)] }}"


def test_a_stage_without_a_role_is_left_out_of_the_nightly_job_that_needs_it() -> None:
    variables = {"DEV_PLAN_ROLE": "p", "DEV_RECONCILE_ROLE": "r", "LOAD_TEST_PLAN_ROLE": "p", "PROD_PLAN_ROLE": ""}

    dev, load_test = {"name": "dev", "variable": "DEV"}, {"name": "load-test", "variable": "LOAD_TEST"}
    assert github_stages.matrices(["prod", "load-test", "dev"], variables) == {
        "drift": [dev, load_test],
        "reconcile": [dev],
    }


def test_the_nightly_workflow_is_told_its_stages_as_outputs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.deploy.github_stages"],
        cwd=ROOT,
        env={"VARIABLES": json.dumps({"PROD_PLAN_ROLE": "p"})},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == 'drift=[{"name": "prod", "variable": "PROD"}]\nreconcile=[]\n'


def test_a_reconcile_shows_its_verdict_and_no_finding() -> None:
    steps = workflow("reconcile")["jobs"]["reconcile"]["steps"]
    runs = [step.get("run", "") for step in steps]

    # Findings name users, and the log of a public repository is public.
    [reconcile] = [run for run in runs if run.startswith("make ")]
    assert reconcile.strip() == 'make --silent reconcile STAGE="$STAGE" JSON=1 | tail -n 1 > verdict.json'
    assert [step["shell"] for step in steps if step.get("run") == reconcile] == ["bash"]  # with pipefail
    assert any("GITHUB_STEP_SUMMARY" in run for run in runs)
    assert [step["if"] for step in steps if "::error" in step.get("run", "")] == ["failure()"]


def test_ci_tries_the_newest_provider_on_validation_module_tests_and_the_local_cloud() -> None:
    job = workflow("ci")["jobs"]["newest-provider"]
    made = [step["run"] for step in job["steps"] if "run" in step]

    assert made[0] == "make upgrade-provider"
    assert {"make validate", "make test-terraform", "make deploy"} <= set(made[1:])
