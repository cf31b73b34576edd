"""A proxy before the local cloud that fails requests as AWS would."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.integration.deployment import System, release
from tests.waiting import eventually, free_port

Rule = dict[str, Any]
"""One of https://github.com/pingedbrain/microburst#rules"""

# Each in its turn: a rule fails one request that reaches it, and lets the next ones pass.
FAULTS: list[Rule] = [
    {"error": {"code": "ProvisionedThroughputExceededException"}, "sequence": {"fail": 1, "pass": 5}},
    {"error": {"code": "InternalServerError", "status": 500}, "sequence": {"fail": 1, "pass": 6}},
    {"response": {"abort_frac": 0.0}, "sequence": {"fail": 1, "pass": 3}},  # done, and the acknowledgement lost
    {"reset": True, "sequence": {"fail": 1, "pass": 7}},
    {"timeout_ms": 5000, "sequence": {"fail": 1, "pass": 20}},
]


@contextmanager
def faults_before_dynamodb(system: System, folder: Path) -> Iterator[str]:
    """AggregateScoresByUser reaches DynamoDB through a proxy that fails it; gives the proxy's URL."""
    rules = [{"service": "dynamodb", "operation": "TransactWriteItems", **fault} for fault in FAULTS]
    functions, name = boto3.client("lambda"), system.function("AggregateScoresByUser")
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    with proxy(system, folder, rules) as url:
        try:
            through_proxy = {**environment, "AWS_ENDPOINT_URL_DYNAMODB": url}
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": through_proxy})
            release(name)
            yield url
        finally:
            functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})
            release(name)


@contextmanager
def proxy(system: System, folder: Path, rules: Sequence[Rule]) -> Iterator[str]:
    """A proxy with these rules; gives its URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    config = folder / "microburst.json"
    config.write_text(json.dumps({"upstream": system.stage.endpoint, "port": port, "rules": rules}))
    with (folder / "microburst.log").open("wb") as log:
        process = subprocess.Popen(
            # Signed anew, as root: the caller's own signature is of another host.
            [str(Path(sys.executable).with_name("microburst")), "--config", str(config), "--resign"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: get(f"{url}/_microburst/health"), what="the proxy")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()  # it waits for requests that it still delays
            process.wait()


def fired(proxy: str) -> set[str]:
    """The kinds of faults that have happened."""
    return {each["action"].split(":")[0] for each in get(f"{proxy}/_microburst/fired")}


def get(url: str) -> Any:
    """The JSON at a URL; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return json.loads(response.read())
    except OSError:
        return None


def set_rules(url: str, rules: Sequence[Rule]) -> None:
    """Replace the rules of a proxy."""
    request = urllib.request.Request(f"{url}/_microburst/rules", json.dumps(rules).encode(), method="POST")  # noqa: S310
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
