"""Prepare an AWS account for a stage: `make bootstrap STAGE=dev [GITHUB=<repository>]`.

terraform/bootstrap secures the bucket of Terraform's state and, when there is a repository to trust, creates the roles
that its workflows deploy with. Its own state is kept in that bucket, so state_bucket.py creates the bucket first.
Settings that are not given stay as they are: one account may hold several stages, each added by its own run.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import typer

from scripts.cli import UserError, agree
from scripts.deploy import state_bucket
from scripts.deploy.deploy import start_local_cloud
from scripts.deploy.terraform import Root, Terraform
from scripts.deployment import outputs_of, state
from scripts.stage import LOCAL, TERRAFORM, Stage, StageName, resolve

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

STATE_KEY = "stream-processing/bootstrap.tfstate"
_GITHUB = "token.actions.githubusercontent.com"


@dataclass(frozen=True)
class Trust:
    """Whom the stage's roles trust. None leaves a setting as it is."""

    repository: str | None = None
    """`owner/name` or `owner@<id>/name@<id>`, as it stands in the sub claim of GitHub's tokens."""
    oidc_provider_arn: str | None = None
    """The account's identity provider for GitHub, where it is not ours to make."""
    pull_requests: bool | None = None
    """Whether pull requests may read the stage's settings, to plan."""


def bootstrap(stage: Stage, account: str, name_prefix: str, trust: Trust, confirm: str = "") -> Mapping[str, Any]:
    """Bring an account into order for a stage, after asking; returns the outputs of terraform/bootstrap."""
    bucket = state_bucket.ensure(stage, account)
    s3 = stage.session.client("s3")
    bootstrapped = state(s3, bucket, STATE_KEY)
    if not (trust.oidc_provider_arn or _arns(bootstrapped, "aws_iam_openid_connect_provider")):
        trust = replace(trust, oidc_provider_arn=_oidc_provider(stage.session.client("iam")))
    # A stage that was deployed before it is bootstrapped has created a key for its alarms.
    former_keys = _arns(state(s3, bucket, stage.state_key), "aws_kms_key")
    asked = inputs(stage, name_prefix, trust, outputs_of(bootstrapped), former_keys)
    folder = stage.folder / "terraform" / f"bootstrap-{stage.name}"
    folder.mkdir(parents=True, exist_ok=True)
    var_file = folder / "inputs.tfvars.json"
    var_file.write_text(json.dumps(asked | {"state_bucket": bucket}, indent=2))
    root = Root(TERRAFORM / "bootstrap", folder.name, STATE_KEY, var_file)
    with closing(Terraform(stage, bucket, root)) as terraform:
        terraform.init()
        if terraform.plan(show=not stage.is_local):
            if not stage.is_local:
                agree(account, confirm, f"All of the above will be done in account {account}.")
            terraform.apply()
    return outputs_of(state(s3, bucket, STATE_KEY))


def inputs(
    stage: Stage, name_prefix: str, trust: Trust, before: Mapping[str, Any], former_alarms_keys: Sequence[str] = ()
) -> dict[str, Any]:
    """The inputs of terraform/bootstrap: those of its last run (`before` has its outputs), and what this stage changes.

    `former_alarms_keys` are the ARNs of keys in the stage's own state. Raises UserError for a stage without a prefix.
    """
    github: Mapping[str, Any] = before.get("github", {})
    created = {deployer["alarms_key_arn"] for deployer in before.get("deployers", {}).values()}
    # Until November 2026 a second run counted the key that the first had created for alarms among those for data.
    stages: dict[str, Any] = {
        name: {**settings, "kms_key_arns": sorted(set(settings["kms_key_arns"]) - created)}
        for name, settings in before.get("stages", {}).items()
    }
    repository = trust.repository or github.get("repository")
    if repository:
        if not name_prefix:
            raise UserError(
                f"Stage {stage.name} has no name_prefix, so a role limited to it would reach the whole account. "
                f'Give it one in {stage.var_file}: name_prefix = "{stage.name}-"'
            )
        variables = stage.variables
        may_plan = stages.get(stage.name, {}).get("plan_on_pull_requests", False)
        stages[stage.name] = {
            "name_prefix": name_prefix,
            "state_key": stage.state_key,
            "plan_on_pull_requests": may_plan if trust.pull_requests is None else trust.pull_requests,
            "kms_key_arns": sorted({variables.get("kms_key_arn")} - {None}),
            "alarms_key_arns": sorted({variables.get("alarms", {}).get("kms_key_arn")} - {None} - created),
            "former_alarms_key_arns": sorted(former_alarms_keys),
        }
    return {
        "github_repository": repository,
        "github_oidc_provider_arn": trust.oidc_provider_arn or github.get("oidc_provider_arn"),
        "stages": stages,
        "allowed_account_ids": stage.variables.get("allowed_account_ids"),
    }


def _arns(stored: Mapping[str, Any], kind: str) -> list[str]:
    """The ARNs of a kind of resource in a Terraform state."""
    return [
        instance["attributes"]["arn"]
        for resource in stored.get("resources", [])
        if resource["mode"] == "managed" and resource["type"] == kind
        for instance in resource["instances"]
        if instance["attributes"].get("arn")  # an interrupted deploy may have left a key without one
    ]


def _oidc_provider(iam: "IAMClient") -> str | None:
    """The ARN of the account's identity provider for GitHub; None when it has none. An account has one for a URL."""
    providers = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    return next((each["Arn"] for each in providers if each["Arn"].endswith(f":oidc-provider/{_GITHUB}")), None)


def main(
    stage: StageName = LOCAL,
    github: str = typer.Option("", help="the repository whose workflows may deploy the stage, as its tokens name it"),
    oidc_provider: str = typer.Option(
        "", help="ARN of an identity provider for GitHub, if not the account's usual one"
    ),
    pull_requests: str = typer.Option("", help="yes or no: whether pull requests may read the stage's settings"),
    confirm: str = typer.Option("", help="the account's id, to change it without being asked"),
) -> None:
    """Secure the bucket of Terraform's state and, with a repository, create the roles that it deploys with."""
    if pull_requests not in ("", "yes", "no"):
        raise UserError(f"PULL_REQUESTS={pull_requests} is neither yes nor no.")
    target = resolve(stage, os.environ)
    name_prefix = str(target.variables.get("name_prefix", ""))
    trust = Trust(
        github.removeprefix("repo:") or None, oidc_provider or None, {"yes": True, "no": False}.get(pull_requests)
    )
    if target.is_local and github:
        raise UserError("GitHub cannot reach the local cloud. Choose a stage in AWS: make bootstrap STAGE=dev")
    if target.is_local:
        start_local_cloud(target)
    account = target.account()
    target.check_account(account)
    typer.echo(f"Stage {target.name}: account {account}, region {target.region}, {target.endpoint or 'AWS'}")
    outputs = bootstrap(target, account, name_prefix, trust, confirm)
    typer.echo(what_next(target, outputs))


def what_next(stage: Stage, outputs: Mapping[str, Any]) -> str:
    """Return what is left to do after a bootstrap, given the outputs of terraform/bootstrap."""
    ready = f"State bucket ready: {outputs['state_bucket']}"
    if stage.is_local:
        return f"{ready}\nThat was the local cloud, which needs none of this. For AWS: make bootstrap STAGE=dev"
    deployer = outputs["deployers"].get(stage.name)
    if deployer is None:
        return (
            f"{ready}\nGitHub may not deploy yet. Ask it how its tokens name the repository, and trust that:\n"
            f"  gh api repos/<owner>/<name>/actions/oidc/customization/sub --jq .sub_claim_prefix\n"
            f"  make bootstrap STAGE={stage.name} GITHUB=<what that printed>"
        )
    variable = stage.name.upper().replace("-", "_")
    return f"""{ready}
{outputs["github"]["repository"]} may deploy stage {stage.name}. Left to do on GitHub (docs/ci.md):
create the environment {stage.name}, and set these variables of the repository:

  gh variable set {variable}_REGION --body {stage.region}
  gh variable set {variable}_PLAN_ROLE --body {deployer["plan_role_arn"]}
  gh variable set {variable}_DEPLOY_ROLE --body {deployer["deploy_role_arn"]}
  gh variable set {variable}_RECONCILE_ROLE --body {deployer["reconcile_role_arn"]}{_other_bucket(variable)}"""


def _other_bucket(variable: str) -> str:
    bucket = os.environ.get("STATE_BUCKET")
    return f"\n  gh variable set {variable}_STATE_BUCKET --body {bucket}" if bucket else ""
