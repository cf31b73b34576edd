"""What is deployed in a stage: real names and ARNs, by their names in the lab."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3

from scripts import state_bucket
from scripts.command import UserError
from scripts.stage import Stage, resolve


class NotDeployedError(UserError):
    """The stage is known, but nothing is there."""


@dataclass(frozen=True)
class Deployed:
    """A deployed stage, at which this process is pointed."""

    stage: Stage
    account: str
    outputs: Mapping[str, Any]
    """Terraform's outputs; terraform/outputs.tf describes them."""

    def function(self, name: str) -> Mapping[str, str]:
        """A function's name, arn, live_arn, log_group and mapping_uuid.

        Raises UserError for a name that is not the lab's.
        """
        return self._named("functions", "function", name)

    def table(self, name: str) -> Mapping[str, str]:
        """A table's name, arn and stream_arn. Raises UserError for a name that is not the lab's."""
        return self._named("tables", "table", name)

    def _named(self, output: str, kind: str, name: str) -> Mapping[str, str]:
        known: Mapping[str, Mapping[str, str]] = self.outputs[output]
        if name not in known:
            raise UserError(f"There is no {kind} {name!r}. Choose one of {', '.join(sorted(known))}")
        return known[name]


def deployed(stage_name: str, ambient: Mapping[str, str] = os.environ) -> Deployed:
    """Point this process at a stage, and read what is deployed there from Terraform's state.

    The state is read from its bucket, which takes a moment, where `terraform init` and `output` take seconds.
    Raises NotDeployedError, or another UserError when the stage cannot be reached.
    """
    stage = resolve(stage_name, ambient)
    stage.activate()
    not_deployed = NotDeployedError(f"Stage {stage.name} is not deployed. Deploy it: make deploy STAGE={stage.name}")
    if stage.is_local and stage.local_cloud.port() is None:
        raise not_deployed
    account = stage.account()
    outputs = state_outputs(state_bucket.name(stage, account), stage.state_key)
    if not outputs:
        raise not_deployed
    return Deployed(stage, account, outputs)


def state_outputs(bucket: str, key: str) -> dict[str, Any]:
    """The outputs in a Terraform state; empty when there is no such state, or nothing in it."""
    s3 = boto3.client("s3")
    try:
        state = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (s3.exceptions.NoSuchBucket, s3.exceptions.NoSuchKey):
        return {}
    return {name: output["value"] for name, output in json.loads(state)["outputs"].items()}
