"""Run a command: `python -m scripts <command> [options]`, as the Makefile does.

A command is a module of an area that defines `main`: `put-scores` is scripts/traffic/put_scores.py.
"""

import ast
import importlib
import sys
from pathlib import Path

from scripts import cli

SCRIPTS = Path(__file__).parent


def commands() -> dict[str, str]:
    """Map each command's name to its module. Nothing is imported."""
    return {
        file.stem.replace("_", "-"): f"scripts.{file.parent.name}.{file.stem}"
        for file in sorted(SCRIPTS.glob("*/*.py"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(file.read_text()).body)
    }


def main() -> None:
    """Import and run the command that the first argument names; its own options follow."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    command = name.replace("-", "_")
    # The usual case reads no source: a command is found by its file's name.
    for file in SCRIPTS.glob(f"*/{command}.py") if command.isidentifier() else ():
        module = importlib.import_module(f"scripts.{file.parent.name}.{command}")
        if hasattr(module, "main"):
            cli.run(module.main, f"python -m scripts {name}", sys.argv[2:])
    print(f"error: {name!r} is not a command. Commands: {', '.join(commands())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
