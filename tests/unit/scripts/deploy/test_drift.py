"""Drift is what somebody changed and a deploy would change back, and nothing else.

`plans/` holds real plans, as `terraform show -json` printed them for a stage on the local cloud, trimmed to what
`drifted` looks at: what differs, and what is unknown.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.deploy.drift import drifted

AGGREGATE, PROCESS = 'module.function["AggregateScoresByUser"]', 'module.function["ProcessKinesisRecords"]'


def plan(name: str) -> dict[str, Any]:
    return dict(json.loads((Path(__file__).parent / "plans" / f"{name}.json").read_text()))


def resource(
    address: str, before: dict[str, Any] | None, after: dict[str, Any] | None, unknown: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {"address": address, "change": {"before": before, "after": after, "after_unknown": unknown or {}}}


def code(**attributes: dict[str, Any]) -> dict[str, Any]:
    """The configuration of one resource, `f.this`, that sets these attributes."""
    return {"root_module": {"resources": [{"type": "f", "name": "this", "expressions": attributes}]}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing", []),
        ("undeployed", []),
        ("tainted", []),
        ("environment", [f"{AGGREGATE}.aws_lambda_function.this: environment"]),
        (
            "by-hand",
            [
                'module.event_source_mapping["ProcessKinesisRecords"].aws_lambda_event_source_mapping.this: batch_size',
                f"{AGGREGATE}.aws_cloudwatch_log_group.this: retention_in_days",
                f"{AGGREGATE}.aws_lambda_function.this: environment",
                f"{PROCESS}.aws_lambda_function.this: memory_size",
                "module.on_failure_bucket.module.private.aws_s3_bucket_lifecycle_configuration.this: rule",
                'module.table["GameScoreLedger"].aws_dynamodb_table.this: ttl',
            ],
        ),
    ],
)
def test_a_real_plan_shows_what_was_changed_by_hand_and_nothing_else(name: str, expected: list[str]) -> None:
    assert drifted(plan(name)) == expected


def test_every_change_that_a_real_plan_would_undo_is_drift_wherever_its_block_is() -> None:
    by_hand = plan("by-hand")
    moved = {each["address"] for each in by_hand["resource_drift"]}
    undone = {
        each["address"]
        for each in by_hand["resource_changes"]
        if each["address"] in moved and each["change"]["actions"] != ["no-op"]
    }

    assert {each.partition(": ")[0] for each in drifted(by_hand)} == undone


def test_what_was_changed_by_hand_is_drift() -> None:
    by_hand = resource("f.this", {"memory": 256, "name": "f"}, {"memory": 512, "name": "f"})
    back = resource("f.this", {"memory": 512, "name": "f"}, {"memory": 256, "name": "f"})

    assert drifted({"resource_drift": [by_hand], "resource_changes": [back]}) == ["f.this: memory"]


def test_what_was_deleted_by_hand_is_drift() -> None:
    deleted = resource("f.this", {"memory": 256}, None)
    made_anew = resource("f.this", None, {"memory": 256})

    assert drifted({"resource_drift": [deleted], "resource_changes": [made_anew]}) == ["f.this: all of it"]


@pytest.mark.parametrize(
    "unknown",
    [
        {"environment": [{"variables": {}}]},
        {"environment": [{}]},
        {"environment": []},
        {"environment": False},
        {"environment": [{"variables": {"TABLE": True}}]},
    ],
)
def test_a_value_is_unknown_only_where_the_plan_says_true(unknown: dict[str, Any]) -> None:
    def environment(days: str) -> dict[str, Any]:
        return {"environment": [{"variables": {"DAYS": days, "TABLE": "scores"}}]}

    by_hand = resource("f.this", environment("14"), environment("1"))
    back = resource("f.this", environment("1"), environment("14"), unknown)

    assert drifted({"resource_drift": [by_hand], "resource_changes": [back]}) == ["f.this: environment"]


@pytest.mark.parametrize("unknown", [True, [{"variables": True}], [{"variables": {"DAYS": True}}]])
def test_what_the_code_sets_is_drift_also_when_its_value_is_not_known_yet(unknown: Any) -> None:
    by_hand = resource(
        "f.this",
        {"alias": [{"variables": {"DAYS": "14"}}], "changed": "yesterday"},
        {"alias": [{"variables": {"DAYS": "1"}}], "changed": "today"},
    )
    back = copy.deepcopy(by_hand)
    back["change"] = {
        "before": by_hand["change"]["after"],
        "after": {"alias": [{"variables": {}}]},
        "after_unknown": {"alias": unknown, "changed": True},
    }
    seen = {"resource_drift": [by_hand], "resource_changes": [back]}

    assert drifted({**seen, "configuration": code(alias={})}) == ["f.this: alias"]


def test_what_is_not_deployed_yet_is_no_drift() -> None:
    new_code = resource("f.this", {"hash": "old"}, {"hash": "new"})
    new_resource = resource("g.this", None, {"name": "g"})

    assert drifted({"resource_changes": [new_code, new_resource]}) == []


def test_what_the_world_changes_by_itself_is_no_drift() -> None:
    moved = resource("m.this", {"last_result": None, "batch": 100}, {"last_result": "OK", "batch": 100})
    unchanged = resource("m.this", {"last_result": "OK", "batch": 100}, {"last_result": "OK", "batch": 100})
    new_batch = resource("m.this", {"last_result": "OK", "batch": 100}, {"last_result": "OK", "batch": 200})

    assert drifted({"resource_drift": [moved], "resource_changes": [unchanged]}) == []
    assert drifted({"resource_drift": [moved], "resource_changes": [new_batch]}) == []


def test_code_that_was_uploaded_by_hand_is_drift_though_a_deploy_would_not_change_it_back() -> None:
    ours, theirs = {"code_sha256": "ours", "version": "3"}, {"code_sha256": "theirs", "version": "4"}

    found = drifted(
        {
            "resource_drift": [resource("f.this", ours, theirs)],
            "resource_changes": [resource("f.this", theirs, theirs)],
            "configuration": code(),
        }
    )

    assert found == ["f.this: code_sha256"]
