"""Which commits may go to prod, by what a GitHub of our own answers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from scripts.cli import UserError
from scripts.deploy.admit import GitHub, admit, from_environment

COMMIT, OLDER = "a" * 40, "b" * 40
MAIN = "refs/heads/main"


def passed(conclusion: str | None = "success", status: str = "completed") -> dict[str, Any]:
    """A run of CI."""
    return {"conclusion": conclusion, "status": status, "head_sha": COMMIT, "event": "push", "head_branch": "main"}


@contextmanager
def github(
    *, runs: list[dict[str, Any]], deployments: list[dict[str, Any]], states: list[str], user: str = "workflow"
) -> Iterator[GitHub]:
    """A GitHub with these runs of CI, these deployments to dev, and these statuses of the newest, oldest first."""
    newest = max((each["id"] for each in deployments), default=0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            answers: dict[str, Any] = {
                "/repos/octo/scores/actions/workflows/ci.yml/runs": {
                    "workflow_runs": [
                        run
                        for run in runs
                        if (run["head_sha"], run["event"], run["head_branch"])
                        == (query.get("head_sha"), query.get("event"), query.get("branch"))
                    ]
                },
                "/repos/octo/scores/deployments": deployments if query.get("environment") == "dev" else [],
                f"/repos/octo/scores/deployments/{newest}/statuses": [
                    {"id": number, "state": state} for number, state in enumerate(states)
                ],
            }
            known = self.headers["Authorization"] == "Bearer workflow"
            self.send_response(404 if url.path not in answers else 200 if known else 401)
            self.end_headers()
            if known:
                self.wfile.write(json.dumps(answers.get(url.path)).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield GitHub(f"http://127.0.0.1:{server.server_port}", "octo/scores", user)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


DEV_HAS_IT = [{"id": 7, "sha": OLDER}, {"id": 8, "sha": COMMIT}]


def test_a_commit_that_passed_ci_and_that_dev_has_is_admitted() -> None:
    with github(
        runs=[passed("failure"), passed()], deployments=DEV_HAS_IT, states=["in_progress", "success"]
    ) as repository:
        admit(repository, COMMIT, MAIN)


@pytest.mark.parametrize(
    ("runs", "deployments", "states", "ref", "refusal"),
    [
        ([passed()], DEV_HAS_IT, ["success"], "refs/heads/other", "prod takes main alone"),
        ([], DEV_HAS_IT, ["success"], MAIN, "its runs: none"),
        ([passed("failure")], DEV_HAS_IT, ["success"], MAIN, "its runs: failure"),
        ([passed(None, "in_progress")], DEV_HAS_IT, ["success"], MAIN, "its runs: in_progress"),
        ([{**passed(), "event": "pull_request"}], DEV_HAS_IT, ["success"], MAIN, "its runs: none"),
        ([{**passed(), "head_sha": OLDER}], DEV_HAS_IT, ["success"], MAIN, "its runs: none"),
        ([passed()], [], [], MAIN, "deployed nothing to dev"),
        ([passed()], [{"id": 9, "sha": OLDER}, *DEV_HAS_IT], ["success"], MAIN, f"dev has {OLDER}"),
        ([passed()], DEV_HAS_IT, ["in_progress", "failure"], MAIN, "not a success but failure"),
        ([passed()], DEV_HAS_IT, ["success", "inactive"], MAIN, "not a success but inactive"),
        ([passed()], DEV_HAS_IT, [], MAIN, "not a success but pending"),
    ],
)
def test_no_other_commit_is(
    runs: list[dict[str, Any]], deployments: list[dict[str, Any]], states: list[str], ref: str, refusal: str
) -> None:
    with (
        github(runs=runs, deployments=deployments, states=states) as repository,
        pytest.raises(UserError, match=refusal),
    ):
        admit(repository, COMMIT, ref)


def test_a_token_without_rights_is_told_which_it_needs() -> None:
    with (
        github(runs=[passed()], deployments=DEV_HAS_IT, states=["success"], user="stranger") as repository,
        pytest.raises(UserError, match="deployments: read"),
    ):
        admit(repository, COMMIT, MAIN)


def test_outside_a_workflow_it_says_what_is_missing() -> None:
    with pytest.raises(UserError, match="GITHUB_REPOSITORY, GITHUB_TOKEN"):
        from_environment({"GITHUB_API_URL": "https://api.github.com"})
