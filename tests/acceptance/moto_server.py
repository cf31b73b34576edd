"""moto's server as a second opinion on the system, and what it does otherwise than AWS documents.

moto runs functions in Docker alone. Here they run in a process of their own, from the package that was deployed; all
else is moto's.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from moto.awslambda.models import LambdaFunction
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from localcloud.cloud import HOST
from tests.sources import LAMBDA, Documented
from tests.waiting import free_port

_RUNNER = """
import importlib, json, sys
package, handler, function, result = sys.argv[1:]
sys.path.insert(0, package)
module, _, name = handler.rpartition(".")

class Context:
    aws_request_id = "11111111-2222-4333-8444-555555555555"
    function_name = function
    def get_remaining_time_in_millis(self):
        return 60_000

event = json.load(sys.stdin)
answer = getattr(importlib.import_module(module), name)(event, Context())
with open(result, "w") as file:
    json.dump(answer, file)
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that moto does otherwise than AWS documents. A test fails once moto no longer does it."""

    name: str
    moto: str
    aws: Documented
    plans: Mapping[str, str] | None = None
    """What a second plan changes because of it: attributes, by the type of resource."""
    lab: tuple[str, ...] = ()
    """What the lab's guide says one should see, and is not seen because of it."""
    is_still_so: Callable[[], bool] | None = None
    """Whether moto still does it, where neither a plan nor the lab shows it."""


def _is_run_in_docker() -> bool:
    return hasattr(LambdaFunction, "ensure_image_exists")


DIFFERENCES = (
    Difference(
        "functions run in Docker alone",
        "pulls an image and runs the function in a container; without Docker a put into a mapped stream ends in a 500. "
        "These tests run it in a process of their own, which prints no REPORT line",
        Documented(f"{LAMBDA}lambda-runtimes.html"),
        lab=("Details: duration, resources, maximum memory used",),
        is_still_so=_is_run_in_docker,
    ),
    Difference(
        "LoggingConfig is lost",
        "forgets the function's log format and group: each plan would set them again, and publish a version",
        Documented("https://docs.aws.amazon.com/lambda/latest/api/API_LoggingConfig.html"),
        plans={
            "aws_lambda_function": "logging_config qualified_arn qualified_invoke_arn version",
            "aws_lambda_alias": "function_version",
        },
    ),
    Difference(
        "a mapping of an alias is one of a version",
        "replies with the ARN of the version that the alias pointed to when the mapping was created",
        Documented("https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"),
        plans={"aws_lambda_event_source_mapping": "function_name"},
    ),
    Difference(
        "a stream's tags are lost",
        "forgets the tags of CreateStream: each plan would add them, and look again at policies that name the stream",
        Documented("https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html"),
        plans={"aws_kinesis_stream": "tags_all", "aws_iam_role_policy": "policy"},
    ),
    Difference(
        "invocations publish no metrics",
        "CloudWatch has no metric of a function that was invoked",
        Documented(f"{LAMBDA}monitoring-metrics-types.html"),
        lab=("the metric Invocations after four invocations", "the metric Duration after four invocations"),
    ),
)


@contextmanager
def moto_server() -> Iterator[str]:
    """Run moto's server in this process; gives its URL."""
    server = ThreadedMotoServer(HOST, free_port(), verbose=False)
    with patch.object(LambdaFunction, "_invoke_lambda", _run_here):
        server.start()
        try:
            host, port = server.get_host_and_port()
            yield f"http://{host}:{port}"
        finally:
            server.stop()


def _run_here(function: LambdaFunction, event: Any = None) -> tuple[str, bool, str]:
    """Run a function; return its answer, whether it failed, and what it logged."""
    handler = str(function.handler)
    with TemporaryDirectory() as folder:
        package, result = Path(folder) / "package.zip", Path(folder) / "result"
        package.write_bytes(function.code_bytes)
        done = subprocess.run(
            [sys.executable, "-c", _RUNNER, str(package), handler, function.function_name, str(result)],
            input=json.dumps(event),
            env={**os.environ, **function.environment_vars},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        function.save_logs(done.stdout)
        answer = result.read_text() if result.exists() else json.dumps({"errorMessage": done.stdout})
        return answer, done.returncode != 0, done.stdout
