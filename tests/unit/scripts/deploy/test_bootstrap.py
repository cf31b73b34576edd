"""The inputs that a bootstrap gives Terraform: those of one stage, and all that were there before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from scripts.cli import UserError, agree
from scripts.deploy.bootstrap import Trust, inputs, what_next
from scripts.stage import Stage

DEV = Stage("dev", "eu-central-1", None, Path("unused"))
PROD = Stage("prod", "eu-central-1", None, Path("unused"))
DATA_KEY, ALARMS_KEY, FORMER_KEY, OTHER_KEY = (
    f"arn:aws:kms:eu-central-1:123456789012:key/{name}" for name in ("data", "alarms", "former", "other")
)


@dataclass(frozen=True)
class Configured(Stage):
    """A stage with other variables than its file has."""

    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Any]:
        """The stage's Terraform variables."""
        return dict(self.given)


def configured(**variables: Any) -> Stage:
    """Stage dev with these variables."""
    return Configured("dev", "eu-central-1", None, Path("unused"), given=variables)


def bootstrapped(stage: Stage, trust: Trust, before: dict[str, Any] | None = None) -> dict[str, Any]:
    """The outputs of terraform/bootstrap after a run."""
    asked = inputs(stage, f"{stage.name}-", trust, before or {})
    github = {"repository": asked["github_repository"], "oidc_provider_arn": asked["github_oidc_provider_arn"]}
    return {"github": github, "stages": asked["stages"]}


def test_without_a_repository_there_is_the_bucket_alone() -> None:
    assert bootstrapped(DEV, Trust())["stages"] == {}


def test_a_second_stage_leaves_the_first_as_it_is() -> None:
    first = bootstrapped(DEV, Trust("octo/scores", "arn:provider", pull_requests=True))

    second = bootstrapped(PROD, Trust(), first)

    assert second["github"] == {"repository": "octo/scores", "oidc_provider_arn": "arn:provider"}
    assert second["stages"]["dev"] == first["stages"]["dev"]
    assert second["stages"]["prod"] == {
        "name_prefix": "prod-",
        "state_key": "stream-processing/prod.tfstate",
        "plan_on_pull_requests": False,
        "kms_key_arns": [],
        "alarms_key_arns": [],
        "former_alarms_key_arns": [],
    }


@pytest.mark.parametrize(("asked", "expected"), [(None, True), (True, True), (False, False)])
def test_pull_requests_may_plan_until_they_may_not(asked: bool | None, expected: bool) -> None:
    before = bootstrapped(DEV, Trust("octo/scores", pull_requests=True))

    after = bootstrapped(DEV, Trust(pull_requests=asked), before)

    assert after["stages"]["dev"]["plan_on_pull_requests"] is expected


def test_a_stage_without_a_prefix_gets_no_roles() -> None:
    with pytest.raises(UserError, match="has no name_prefix"):
        inputs(DEV, "", Trust("octo/scores"), {})


def test_nothing_is_done_without_the_right_word() -> None:
    agree("123456789012", "123456789012", "All of it?")

    for given in ("", "210987654321"):  # the tests have no terminal to ask on
        with pytest.raises(UserError, match="CONFIRM=123456789012"):
            agree("123456789012", given, "All of it?")


def test_keys_of_data_and_keys_of_alarms_are_told_apart() -> None:
    stage = configured(kms_key_arn=DATA_KEY, alarms={"kms_key_arn": OTHER_KEY})

    settings = inputs(stage, "dev-", Trust("octo/scores"), {}, [FORMER_KEY])["stages"]["dev"]

    assert settings["kms_key_arns"] == [DATA_KEY]
    assert settings["alarms_key_arns"] == [OTHER_KEY]
    assert settings["former_alarms_key_arns"] == [FORMER_KEY]


def test_a_second_bootstrap_does_not_take_the_alarms_key_that_the_first_created_for_a_key_of_data() -> None:
    first = bootstrapped(DEV, Trust("octo/scores"))
    # As bootstrap asked in 2026 for it to be copied, and then counted it.
    first["stages"]["dev"]["kms_key_arns"] = [ALARMS_KEY]
    before = first | {"deployers": {"dev": {"alarms_key_arn": ALARMS_KEY}}}

    copied = inputs(configured(alarms={"kms_key_arn": ALARMS_KEY}), "dev-", Trust(), before)["stages"]
    of_another = inputs(PROD, "prod-", Trust(), before)["stages"]

    assert copied["dev"]["kms_key_arns"] == copied["dev"]["alarms_key_arns"] == []
    assert of_another["dev"]["kms_key_arns"] == []


def test_what_is_left_to_do_is_commands_for_github_and_nothing_in_tfvars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_BUCKET", "another-bucket")
    roles = {f"{role}_role_arn": f"arn:{role}" for role in ("deploy", "plan", "reconcile")}

    told = what_next(
        DEV, {"state_bucket": "bucket", "github": {"repository": "octo@1/scores@2"}, "deployers": {"dev": roles}}
    )

    assert "tfvars" not in told
    assert [line.strip() for line in told.splitlines() if "gh variable" in line] == [
        "gh variable set DEV_REGION --body eu-central-1",
        "gh variable set DEV_PLAN_ROLE --body arn:plan",
        "gh variable set DEV_DEPLOY_ROLE --body arn:deploy",
        "gh variable set DEV_RECONCILE_ROLE --body arn:reconcile",
        "gh variable set DEV_STATE_BUCKET --body another-bucket",
    ]
