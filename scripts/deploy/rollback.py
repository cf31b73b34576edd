"""Go back to an older version of a function: `make rollback FUNCTION=... [VERSION=...] [STAGE=<stage>]`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from scripts.cli import UserError
from scripts.deployment import deployed
from scripts.stage import LOCAL, StageName

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

ALIAS = "live"
"""What the mappings invoke: terraform/modules/function."""


@dataclass(frozen=True, slots=True)
class Releases:
    """The versions of a function, and which of them is in use."""

    live: int
    versions: Sequence[int]
    """Ascending."""

    @property
    def previous(self) -> int | None:
        """The version before the one in use; None when that is the oldest."""
        return max((version for version in self.versions if version < self.live), default=None)


def releases(client: "LambdaClient", function: str) -> Releases:
    """The published versions of a function, by its real name."""
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
    versions = sorted(
        int(version["Version"]) for page in pages for version in page["Versions"] if version["Version"] != "$LATEST"
    )
    return Releases(int(client.get_alias(FunctionName=function, Name=ALIAS)["FunctionVersion"]), versions)


def rollback(client: "LambdaClient", function: str, version: int | None) -> tuple[int, int]:
    """Point the alias to a version, by default the one before; returns the versions left and taken up.

    Raises UserError when there is no such version.
    """
    found = releases(client, function)
    target = found.previous if version is None else version
    known = ", ".join(map(str, found.versions))
    if target is None:
        raise UserError(f"{function} has no version before {found.live} to go back to. It has {known}.")
    if target not in found.versions:
        raise UserError(f"{function} has no version {target}. It has {known}: VERSION={found.previous or found.live}")
    if target == found.live:
        raise UserError(f"{function} is at version {target} already. It has {known}.")
    client.update_alias(FunctionName=function, Name=ALIAS, FunctionVersion=str(target))
    return found.live, target


def main(
    function: str = typer.Option("", help="its name in the lab"),
    version: int | None = typer.Option(None, help="the version to go to; by default the one before"),
    stage: StageName = LOCAL,
    as_json: bool = typer.Option(False, "--json", help="print it as JSON"),
) -> None:
    """Let the mapping invoke an older version of a function, from the next batch on."""
    system = deployed(stage)
    if not function:
        raise UserError(
            f"Say which function to roll back: FUNCTION={' or FUNCTION='.join(system.outputs['functions'])}"
        )
    name = system.function(function)["name"]
    before, after = rollback(system.session.client("lambda"), name, version)
    if as_json:
        typer.echo(json.dumps({"function": name, "before": before, "after": after}))
        return
    typer.echo(
        f"{name} is back at version {after}, from {before}. The next make deploy puts out what the source says: "
        f"revert the change there first.\nSee that it flows: make smoke STAGE={stage}"
    )
