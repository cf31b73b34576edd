"""Find what `make bootstrap` has created for a stage, by the names that it derives from the stage.

Nobody has to copy them into the stage's tfvars, so a stage may be deployed before it is bootstrapped and after.
"""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.cli import UserError
from scripts.stage import Stage

_MISSING = {"NoSuchEntity", "NotFoundException"}


def boundary_name(stage: Stage) -> str:
    """The name of the policy that bounds the stage's roles; terraform/modules/deployer creates it."""
    return f"stream-processing-{stage.name}-boundary-{stage.region}"


def alarms_key_alias(stage: Stage) -> str:
    """The alias of the key that encrypts the stage's alarms; terraform/modules/deployer creates it."""
    return f"alias/stream-processing-{stage.name}-alarms"


def variables(stage: Stage, account: str) -> dict[str, str]:
    """What the system's Terraform gets of it, as environment variables; empty for a stage that is not bootstrapped.

    The stage's tfvars win over these. Raises UserError when AWS does not say whether something is there.
    """
    given = stage.variables
    found = {}
    if "permissions_boundary" not in given and _boundary(stage, account):
        found["TF_VAR_permissions_boundary"] = boundary_name(stage)
    if "kms_key_arn" not in given.get("alarms", {}) and (key := _alarms_key(stage)):
        found["TF_VAR_alarms_key_arn"] = key
    return found


def _boundary(stage: Stage, account: str) -> bool:
    partition = stage.session.get_partition_for_region(stage.region)
    arn = f"arn:{partition}:iam::{account}:policy/{boundary_name(stage)}"
    return bool(_ask(stage, "iam:GetPolicy", lambda: stage.session.client("iam").get_policy(PolicyArn=arn)))


def _alarms_key(stage: Stage) -> str:
    alias = alarms_key_alias(stage)
    answer = _ask(stage, "kms:DescribeKey", lambda: stage.session.client("kms").describe_key(KeyId=alias))
    return str(answer["KeyMetadata"]["Arn"]) if answer else ""


def _ask(stage: Stage, action: str, ask: Callable[[], Any]) -> Mapping[str, Any] | None:
    """An answer of AWS; None when the thing that is asked for is not there."""
    try:
        return dict(ask())
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            return None
        raise UserError(
            f"Cannot tell whether stage {stage.name} is bootstrapped ({error}). Allow {action}, or, if these are the "
            f"workflows' roles, bootstrap it again: make bootstrap STAGE={stage.name}"
        ) from error
