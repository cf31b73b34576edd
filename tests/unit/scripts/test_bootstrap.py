"""What a bootstrap asks of Terraform: what is new of one stage, and all that was there before."""

from pathlib import Path
from typing import Any

import pytest

from scripts.bootstrap import Trust, inputs
from scripts.command import UserError, agree
from scripts.stage import Stage

DEV = Stage("dev", "eu-central-1", None, Path("unused"))
PROD = Stage("prod", "eu-central-1", None, Path("unused"))


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
