"""Find what was changed by hand: `make drift [STAGE=<stage>]`."""

import os
import re
import sys
from collections.abc import Mapping
from typing import Any

import typer

from scripts.deploy.deploy import look
from scripts.stage import LOCAL, StageName, resolve

_DRIFT = 2
_CODE = "code_sha256"
"""Lambda's hash of a function's code: https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html"""


def main(stage: StageName = LOCAL) -> None:
    """Find settings and code that were changed by hand; exit code 2 when there are some.

    A setting is named when a deploy would change it back. What is in the code but not deployed yet is no drift:
    `make plan` shows it. Nothing is written.
    """
    target = resolve(stage, os.environ)
    terraform = look(target)
    found = drifted(terraform.planned())
    if not found:
        typer.echo("No drift: nothing that is deployed was changed by hand.")
        return
    typer.echo("Changed by hand:")
    for each in found:
        typer.echo(f"  {each}")
    typer.echo(f"Put it into the code, or take it back: make deploy STAGE={target.name}")
    if any(_CODE in each for each in found):
        typer.echo(
            "Terraform uploads a function's code only when its package has changed. "
            f"To run an earlier version meanwhile: make rollback STAGE={target.name} FUNCTION=<name>"
        )
    sys.exit(_DRIFT)


def drifted(plan: Mapping[str, Any]) -> list[str]:
    """The drift in a plan, as Terraform's JSON has it: `<address>: <attribute>, ...` for each resource.

    An attribute has drifted when it is not what the last apply left and a deploy would change it: to another value,
    or to one that is known only after the apply and that the code sets. A plan also shows what is not deployed yet,
    and attributes that the code does not set change by themselves. A function's code has drifted in any case, though a
    deploy puts it back only with a changed package: the provider compares packages with the last one that it uploaded.
    """
    changes = {change["address"]: change for change in plan.get("resource_changes", [])}
    found = {}
    for moved in plan.get("resource_drift", []):
        address = moved["address"]
        if address in changes:
            would_change = _changed(changes[address]) | _unknown(changes[address]) & _set_by_code(plan, address)
            found[address] = _changed(moved) & would_change | _changed(moved) & {_CODE}
    return [f"{address}: {', '.join(sorted(names))}" for address, names in sorted(found.items()) if names]


def _changed(resource: Mapping[str, Any]) -> set[str]:
    """The attributes that a change of a resource is about; "all of it" where it was or would be deleted or made."""
    before, after = resource["change"]["before"], resource["change"]["after"]
    if before is None or after is None:
        return {"all of it"} if before != after else set()
    unknown = resource["change"].get("after_unknown", {})
    return {name for name in before | after if _differs(before.get(name), after.get(name), unknown.get(name, False))}


def _differs(before: Any, after: Any, unknown: Any) -> bool:
    """Whether a value changes for certain. `unknown` has its structure, with `true` for what is not known yet."""
    if unknown is True:
        return False
    if isinstance(after, dict) and isinstance(before, dict):
        marks = unknown if isinstance(unknown, dict) else {}
        return any(_differs(before.get(key), after.get(key), marks.get(key, False)) for key in before | after)
    if isinstance(after, list) and isinstance(before, list) and len(before) == len(after):
        each = unknown if isinstance(unknown, list) and len(unknown) == len(after) else [False] * len(after)
        return any(map(_differs, before, after, each))
    return bool(before != after)


def _unknown(resource: Mapping[str, Any]) -> set[str]:
    """The attributes that a change would set to something that is known only once it is applied."""

    def has_true(mark: Any) -> bool:
        if isinstance(mark, dict | list):
            return any(map(has_true, mark.values() if isinstance(mark, dict) else mark))
        return mark is True

    return {name for name, mark in resource["change"].get("after_unknown", {}).items() if has_true(mark)}


def _set_by_code(plan: Mapping[str, Any], address: str) -> set[str]:
    """The attributes that the configuration in a plan sets on a resource."""
    # module.<name>.module.<name>["<key>"].<type>.<name>[<index>]
    *path, kind, name = re.sub(r"\[.*?\](?=\.|$)", "", address).split(".")
    module = plan.get("configuration", {}).get("root_module", {})
    for each in path[1::2]:
        module = module.get("module_calls", {}).get(each, {}).get("module", {})
    for resource in module.get("resources", []):
        if (resource["type"], resource["name"]) == (kind, name):
            return set(resource.get("expressions", {}))
    return set()
