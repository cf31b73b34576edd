"""Fail unless a commit may go to prod: `make admit COMMIT=<sha>`, in a workflow on GitHub.

That is a commit of main for which the CI workflow succeeded, and which is what GitHub deployed to dev last.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from scripts.cli import UserError

_MAIN = "refs/heads/main"


@dataclass(frozen=True)
class GitHub:
    """A repository on GitHub, through its REST API."""

    api: str
    repository: str
    """`owner/name`."""
    token: str

    def get(self, path: str, **query: str) -> Any:
        """Return the answer to a GET below the repository. Raises UserError when GitHub refuses or does not answer."""
        url = f"{self.api}/repos/{self.repository}/{path}?{urllib.parse.urlencode(query)}"
        headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the address is GitHub's own)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                return json.load(answer)
        except (urllib.error.URLError, TimeoutError) as error:
            raise UserError(
                f"GitHub did not answer {url} ({error}). The job needs these permissions: actions: read, "
                "contents: read, deployments: read"
            ) from error


def admit(github: GitHub, commit: str, ref: str) -> None:
    """Raise UserError unless the commit may go to prod."""
    if ref != _MAIN:
        raise UserError(f"prod takes main alone, and this run is of {ref}. Start it from main.")
    # https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-workflow
    runs = github.get("actions/workflows/ci.yml/runs", head_sha=commit, event="push", branch="main")["workflow_runs"]
    if not any(each["conclusion"] == "success" for each in runs):
        now = ", ".join(str(each["conclusion"] or each["status"]) for each in runs) or "none"
        raise UserError(f"CI has not succeeded for {commit} on main (its runs: {now}). Wait for it, or mend it.")
    # https://docs.github.com/en/rest/deployments/deployments#list-deployments
    deployments = github.get("deployments", environment="dev", per_page="100")
    if not deployments:
        raise UserError("GitHub has deployed nothing to dev yet. Set DEV_DEPLOY_ROLE (docs/ci.md), and run CI on main.")
    last = max(deployments, key=lambda each: int(each["id"]))
    if last["sha"] != commit:
        raise UserError(f"dev has {last['sha']}, not {commit}. Deploy that to dev first: run CI on main again.")
    statuses = github.get(f"deployments/{last['id']}/statuses", per_page="100")
    state = max(statuses, key=lambda each: int(each["id"]))["state"] if statuses else "pending"
    if state != "success":
        raise UserError(f"The deployment of {commit} to dev is not a success but {state}. Mend it first.")


def from_environment(environ: Mapping[str, str]) -> GitHub:
    """The repository that a workflow runs in. Raises UserError elsewhere."""
    names = ("GITHUB_API_URL", "GITHUB_REPOSITORY", "GITHUB_TOKEN")
    if missing := [name for name in names if not environ.get(name)]:
        raise UserError(f"This is for a workflow on GitHub, which sets {', '.join(missing)}.")
    return GitHub(*(environ[name] for name in names))


def main(commit: str = typer.Option("", help="the commit's SHA")) -> None:
    """Fail unless a commit of main passed CI and is what dev has."""
    if not commit:
        raise UserError("Name the commit: make admit COMMIT=<sha>")
    admit(from_environment(os.environ), commit, os.environ.get("GITHUB_REF", ""))
    typer.echo(f"{commit} passed CI, and dev has it.")
