"""Whoever calls AWS in scripts/ is handed a session or a client: nothing there steers boto3 for the whole process."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stage import ROOT

MODULES = sorted((ROOT / "scripts").rglob("*.py"))
MAKES_SESSIONS = {"scripts/session.py", "scripts/stage.py"}
WRITES_ENVIRONMENT = {"scripts/develop/mutants.py"}
"""HISTORIES, by which the tests that its forks run are told how many to try."""

DEFAULT_SESSION = {"client", "resource", "setup_default_session", "DEFAULT_SESSION", "_get_default_session"}
MAKERS = {"boto3", "boto3.session", "botocore.session"}
WRITES = {"clear", "pop", "popitem", "setdefault", "update"}


def steering(source: str) -> Iterator[str]:
    """Yield what a module does that steers boto3 for the whole process, or lets itself be steered."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(ast.Name("boto3"), name) if name in DEFAULT_SESSION:
                yield f"boto3.{name}"
            case ast.ImportFrom("boto3", names):
                yield from (f"boto3.{each.name}" for each in names)
            case ast.Call(ast.Attribute(module, "Session" | "get_session")) if ast.unparse(module) in MAKERS:
                yield "boto3.Session()"
            case ast.Attribute(ast.Name("aws"), "client"):
                yield "aws.client, whose session is its own"
            case ast.ImportFrom("os", names):
                yield from ("os.environ = " for each in names if each.name in ("environ", "putenv", "unsetenv"))
            case ast.Attribute(ast.Name("os"), "putenv" | "unsetenv"):
                yield "os.environ = "
            case ast.Call(ast.Attribute(environ, name)) if name in WRITES and is_environment(environ):
                yield "os.environ = "
            case ast.Subscript(environ, _, ast.Store() | ast.Del()) if is_environment(environ):
                yield "os.environ = "
            case ast.Attribute(_, _, ast.Store() | ast.Del()) if is_environment(node):
                yield "os.environ = "


def is_environment(node: ast.AST) -> bool:
    return ast.unparse(node) == "os.environ"


@pytest.mark.parametrize(
    "source",
    [
        'boto3.client("s3")',
        'boto3.resource("s3")',
        "boto3.DEFAULT_SESSION = None",
        "boto3.setup_default_session()",
        "from boto3 import client",
        "boto3.Session()",
        "botocore.session.get_session()",
        'aws.client("dynamodb", 10)',
        'os.environ["AWS_REGION"] = "x"',
        'del os.environ["AWS_REGION"]',
        'os.environ |= {"AWS_REGION": "x"}',
        'os.environ.update(AWS_REGION="x")',
        'os.environ.pop("AWS_REGION")',
        'os.putenv("AWS_REGION", "x")',
        "from os import environ",
    ],
)
def test_steering_is_recognised(source: str) -> None:
    assert list(steering(source))


def test_a_session_that_was_handed_over_and_a_reading_of_the_environment_are_fine() -> None:
    assert not list(steering('system.session.client("s3"); os.environ.get("X"); {**os.environ, "A": "b"}'))


@pytest.mark.parametrize("module", MODULES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_module_steers_boto3_for_the_whole_process(module: Path) -> None:
    name = str(module.relative_to(ROOT))
    allowed = {"boto3.Session()"} if name in MAKES_SESSIONS else set()
    allowed |= {"os.environ = "} if name in WRITES_ENVIRONMENT else set()

    assert set(steering(module.read_text())) <= allowed, "take the session of the stage as an argument"
