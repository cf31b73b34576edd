"""Prepare an AWS account for a stage: `make bootstrap STAGE=dev [GITHUB=<owner>/<name>]`.

terraform/bootstrap makes the bucket of Terraform's state safe and, when there is a repository to trust, the roles that
its workflows deploy with. It keeps its own state in that bucket, which scripts/state_bucket.py therefore makes first.
What is not given stays as it is: one account may hold several stages, each added by a run of its own.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from scripts import state_bucket
from scripts.command import UserError, agree, run
from scripts.deploy import start_local_cloud
from scripts.deployed import state_outputs
from scripts.stage import TERRAFORM, Stage, resolve
from scripts.terraform import Root, Terraform

STATE_KEY = "stream-processing/bootstrap.tfstate"


@dataclass(frozen=True)
class Trust:
    """Whom the stage's roles trust. None leaves a setting as it is."""

    repository: str | None = None
    """`owner/name`, as it stands in the sub claim of GitHub's tokens."""
    oidc_provider_arn: str | None = None
    """The account's identity provider for GitHub, where it is not ours to make."""
    pull_requests: bool | None = None
    """Whether pull requests may read the stage's settings, to plan."""


def bootstrap(stage: Stage, account: str, name_prefix: str, trust: Trust, confirm: str = "") -> Mapping[str, Any]:
    """Bring an account into order for a stage, after asking; returns the outputs of terraform/bootstrap."""
    bucket = state_bucket.ensure(stage, account)
    asked = inputs(stage, name_prefix, trust, state_outputs(bucket, STATE_KEY))
    folder = stage.folder / "terraform" / f"bootstrap-{stage.name}"
    folder.mkdir(parents=True, exist_ok=True)
    var_file = folder / "inputs.tfvars.json"
    var_file.write_text(json.dumps(asked | {"state_bucket": bucket}, indent=2))
    terraform = Terraform(stage, bucket, Root(TERRAFORM / "bootstrap", folder.name, STATE_KEY, var_file))
    terraform.init()
    if terraform.plan(show=not stage.is_local):
        if not stage.is_local:
            agree(account, confirm, f"All of the above will be done in account {account}.")
        terraform.apply()
    return state_outputs(bucket, STATE_KEY)


def inputs(stage: Stage, name_prefix: str, trust: Trust, before: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of terraform/bootstrap: what it had before, and what is new of this stage."""
    github: Mapping[str, Any] = before.get("github", {})
    stages: dict[str, Any] = dict(before.get("stages", {}))
    repository = trust.repository or github.get("repository")
    if repository:
        if not name_prefix:
            raise UserError(
                f"Stage {stage.name} has no name_prefix, so a role limited to it would reach the whole account. "
                f'Give it one in {stage.var_file}: name_prefix = "{stage.name}-"'
            )
        variables = stage.variables
        keys = {variables.get("kms_key_arn"), variables.get("alarms", {}).get("kms_key_arn")} - {None}
        may_plan = stages.get(stage.name, {}).get("plan_on_pull_requests", False)
        stages[stage.name] = {
            "name_prefix": name_prefix,
            "state_key": stage.state_key,
            "plan_on_pull_requests": may_plan if trust.pull_requests is None else trust.pull_requests,
            "kms_key_arns": sorted(keys),
        }
    return {
        "github_repository": repository,
        "github_oidc_provider_arn": trust.oidc_provider_arn or github.get("oidc_provider_arn"),
        "stages": stages,
        "allowed_account_ids": stage.variables.get("allowed_account_ids"),
    }


def main(
    stage: str = typer.Option("local", help="local, dev or prod"),
    github: str = typer.Option("", help="the repository whose workflows may deploy the stage: owner/name"),
    oidc_provider: str = typer.Option("", help="ARN of the account's identity provider for GitHub, if it has one"),
    pull_requests: str = typer.Option("", help="yes or no: whether pull requests may read the stage's settings"),
    confirm: str = typer.Option("", help="the account's id, to change it without being asked"),
) -> None:
    """Make the bucket of Terraform's state safe and, with a repository, the roles that it deploys the stage with."""
    if pull_requests not in ("", "yes", "no"):
        raise UserError(f"PULL_REQUESTS={pull_requests} is neither yes nor no.")
    target = resolve(stage, os.environ)
    name_prefix = str(target.variables.get("name_prefix", ""))
    trust = Trust(github or None, oidc_provider or None, {"yes": True, "no": False}.get(pull_requests))
    if target.is_local and github:
        raise UserError("GitHub cannot reach the local cloud. Choose a stage in AWS: make bootstrap STAGE=dev")
    target.activate()
    if target.is_local:
        start_local_cloud(target)
    account = target.account()
    target.check_account(account)
    typer.echo(f"Stage {target.name}: account {account}, region {target.region}, {target.endpoint or 'AWS'}")
    outputs = bootstrap(target, account, name_prefix, trust, confirm)
    typer.echo(_what_next(target, outputs))


def _what_next(stage: Stage, outputs: Mapping[str, Any]) -> str:
    ready = f"State bucket ready: {outputs['state_bucket']}"
    if stage.is_local:
        return f"{ready}\nThat was the local cloud, which needs none of this. For AWS: make bootstrap STAGE=dev"
    deployer = outputs["deployers"].get(stage.name)
    if deployer is None:
        return (
            f"{ready}\nGitHub may not deploy. So that it may: make bootstrap STAGE={stage.name} GITHUB=<owner>/<name>"
        )
    variable = stage.name.upper().replace("-", "_")
    return f"""{ready}
{outputs["github"]["repository"]} may deploy stage {stage.name}. What is left to do:

In terraform/stages/{stage.name}.tfvars, since the deploy role makes no role without the one, and no key at all:
  permissions_boundary = "{deployer["permissions_boundary"]}"
  alarms = {{ kms_key_arn = "{deployer["alarms_key_arn"]}" }}     # with what else stands in alarms

On GitHub, the environment {stage.name} (docs/ci.md), and these variables of the repository:
  {variable}_DEPLOY_ROLE  {deployer["deploy_role_arn"]}
  {variable}_PLAN_ROLE    {deployer["plan_role_arn"]}
  {variable}_REGION       {stage.region}"""


if __name__ == "__main__":
    run(main)
