"""What goes wrong between AggregateScoresByUser and DynamoDB: a proxy that throttles, fails and loses answers."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from tests.integration.deployment import System
from tests.waiting import eventually, free_port

# Each in its turn: a rule fails one request that reaches it, and lets the next ones pass.
FAULTS: list[dict[str, Any]] = [
    {"error": {"code": "ProvisionedThroughputExceededException"}, "sequence": {"fail": 1, "pass": 5}},
    {"error": {"code": "InternalServerError", "status": 500}, "sequence": {"fail": 1, "pass": 6}},
    {"response": {"abort_frac": 0.0}, "sequence": {"fail": 1, "pass": 3}},  # done, and the acknowledgement lost
    {"reset": True, "sequence": {"fail": 1, "pass": 7}},
    {"timeout_ms": 5000, "sequence": {"fail": 1, "pass": 20}},
]


@contextmanager
def faults_before_dynamodb(system: System, folder: Path) -> Iterator[str]:
    """AggregateScoresByUser reaches DynamoDB through a proxy that fails it; gives the proxy's URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    config = folder / "microburst.json"
    rules = [{"service": "dynamodb", "operation": "TransactWriteItems", **fault} for fault in FAULTS]
    config.write_text(json.dumps({"upstream": system.stage.endpoint, "port": port, "rules": rules}))
    functions, name = boto3.client("lambda"), system.function("AggregateScoresByUser")
    environment = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    with (folder / "microburst.log").open("wb") as log:
        proxy = subprocess.Popen(
            # Signed anew, as root: the function's own signature is of another host.
            [str(Path(sys.executable).with_name("microburst")), "--config", str(config), "--resign"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        through_proxy = {**environment, "AWS_ENDPOINT_URL_DYNAMODB": url}
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": through_proxy})
        eventually(lambda: get(f"{url}/_microburst/rules"), what="the proxy")
        yield url
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})
        proxy.terminate()
        proxy.wait(timeout=10)


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
