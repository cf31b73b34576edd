"""Drift is what somebody changed and a deploy would change back, and nothing else."""

from typing import Any

from scripts.terraform import drifted


def resource(address: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> dict[str, Any]:
    return {"address": address, "change": {"before": before, "after": after, "after_unknown": {}}}


def test_what_was_changed_by_hand_is_drift() -> None:
    by_hand = resource("f", {"memory": 256, "name": "f"}, {"memory": 512, "name": "f"})
    back = resource("f", {"memory": 512, "name": "f"}, {"memory": 256, "name": "f"})

    assert drifted({"resource_drift": [by_hand], "resource_changes": [back]}) == ["f: memory"]


def test_what_was_deleted_by_hand_is_drift() -> None:
    deleted = resource("f", {"memory": 256}, None)
    made_anew = resource("f", None, {"memory": 256})

    assert drifted({"resource_drift": [deleted], "resource_changes": [made_anew]}) == ["f: all of it"]


def test_what_is_not_deployed_yet_is_no_drift() -> None:
    new_code = resource("f", {"hash": "old"}, {"hash": "new"})
    new_resource = resource("g", None, {"name": "g"})

    assert drifted({"resource_changes": [new_code, new_resource]}) == []


def test_what_the_world_changes_by_itself_is_no_drift() -> None:
    moved = resource("m", {"last_result": None, "batch": 100}, {"last_result": "OK", "batch": 100})
    unchanged = resource("m", {"last_result": "OK", "batch": 100}, {"last_result": "OK", "batch": 100})
    new_batch = resource("m", {"last_result": "OK", "batch": 100}, {"last_result": "OK", "batch": 200})

    assert drifted({"resource_drift": [moved], "resource_changes": [unchanged]}) == []
    assert drifted({"resource_drift": [moved], "resource_changes": [new_batch]}) == []
