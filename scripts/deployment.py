"""What is deployed in a stage: real names and ARNs, by their names in the lab."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from scripts.cli import UserError
from scripts.deploy import state_bucket
from scripts.stage import Stage, resolve

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class NotDeployedError(UserError):
    """The stage is known, but not deployed."""


class PartlyDeployedError(NotDeployedError):
    """Only a part of the stage is deployed: a deploy or destroy failed, was interrupted, or is still at work."""


@dataclass(frozen=True)
class Deployed:
    """A deployed stage."""

    stage: Stage
    account: str
    outputs: Mapping[str, Any]
    """Terraform's outputs; terraform/outputs.tf describes them."""

    @property
    def session(self) -> boto3.Session:
        """The stage's session, for everything that calls AWS."""
        return self.stage.session

    def function(self, name: str) -> Mapping[str, str]:
        """A function's name, arn, live_arn, log_group, mapping_uuid and event_source_arn.

        Raises UserError for a name that is not the lab's.
        """
        return self._named("functions", "function", name)

    def table(self, name: str) -> Mapping[str, str]:
        """A table's name, arn and stream_arn; its key, which is no text, is in `outputs`.

        Raises UserError for a name that is not the lab's.
        """
        return self._named("tables", "table", name)

    def _named(self, output: str, kind: str, name: str) -> Mapping[str, Any]:
        known: Mapping[str, Mapping[str, Any]] = self.outputs[output]
        if name not in known:
            raise UserError(f"There is no {kind} {name!r}. Choose one of {', '.join(sorted(known))}")
        return known[name]


def deployed(stage_name: str, environ: Mapping[str, str] = os.environ) -> Deployed:
    """Return what is deployed in the stage of that name. Raises what `resolve` and `deployed_in` do."""
    return deployed_in(resolve(stage_name, environ))


def deployed_in(stage: Stage) -> Deployed:
    """Return what is deployed in a stage, from Terraform's state.

    The state is read from its bucket, which takes a moment, where `terraform init` and `output` take seconds.
    Raises NotDeployedError, PartlyDeployedError, or another UserError when the stage cannot be reached.
    """
    not_deployed = NotDeployedError(f"Stage {stage.name} is not deployed. Deploy it: make deploy STAGE={stage.name}")
    if stage.is_local and stage.local_cloud.port() is None:
        raise not_deployed
    account = stage.account()
    stored = state(stage.session.client("s3"), state_bucket.name(stage, account), stage.state_key)
    outputs = outputs_of(stored)
    if not outputs and not stored.get("resources"):
        raise not_deployed
    missing = sorted(tainted(stored) | incomplete(outputs))
    if missing:
        raise PartlyDeployedError(
            f"Stage {stage.name} is only partly deployed: a deploy or destroy of it failed, was interrupted, or is "
            f"still running (missing: {', '.join(missing)}). Complete it: make deploy STAGE={stage.name}. "
            f"Or remove it: make destroy STAGE={stage.name}"
        )
    return Deployed(stage, account, outputs)


def incomplete(outputs: Mapping[str, Any]) -> set[str]:
    """The outputs that are missing, or that lack a part: what terraform/outputs.tf promises is checked here, once.

    Terraform records an output once all that it depends on has been made. `functions` depends on everything.
    """
    return {name for name, is_complete in _OUTPUTS.items() if not is_complete(outputs.get(name))}


def tainted(state: Mapping[str, Any]) -> set[str]:
    """The modules in a Terraform state with a resource whose creation did not finish."""
    return {
        resource.get("module", resource["type"])
        for resource in state.get("resources", [])
        if any(instance.get("status") == "tainted" for instance in resource.get("instances", []))
    }


def state(s3: "S3Client", bucket: str, key: str) -> dict[str, Any]:
    """The Terraform state of that key in a bucket; empty when there is none."""
    try:
        return dict(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    except (s3.exceptions.NoSuchBucket, s3.exceptions.NoSuchKey):
        return {}


def outputs_of(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs in a Terraform state, by name."""
    return {name: output["value"] for name, output in stored.get("outputs", {}).items()}


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _has(*names: str) -> Callable[[Any], bool]:
    """Whether a value is an object with these strings."""
    return lambda value: isinstance(value, dict) and all(_is_text(value.get(name)) for name in names)


def _is_table(value: Any) -> bool:
    return _has("name", "arn")(value) and _has("name", "type")(value.get("hash_key"))


def _are(lab_names: Iterable[str], is_complete: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether a value is a map that has these keys, and of which each value is complete."""
    return lambda value: (
        isinstance(value, dict) and value.keys() >= set(lab_names) and all(map(is_complete, value.values()))
    )


_OUTPUTS: Mapping[str, Callable[[Any], bool]] = {
    "region": _is_text,
    "stream": _has("name", "arn"),
    "tables": _are(("GameScoreRecords", "GameScoreLedger", "GameScoresByUser"), _is_table),
    "functions": _are(
        ("ProcessKinesisRecords", "AggregateScoresByUser"),
        _has("name", "arn", "live_arn", "log_group", "mapping_uuid", "event_source_arn"),
    ),
    "failure_bucket": _is_text,
    "alarms": _are((), _is_text),
    "alarm_topic_arn": _is_text,
    "dashboard": _is_text,
}
