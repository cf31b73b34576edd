"""What the Makefile hands to the commands."""

import os
import subprocess

from scripts.stage import ROOT


def dry_run(*arguments: str, **environment: str) -> str:
    """Return the commands that make would run."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--dry-run", *arguments], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True
    )
    return " ".join(done.stdout.split())


def test_a_commands_options_come_from_the_command_line() -> None:
    assert 'scripts reconcile --stage "dev" --rate "5" --fix' in dry_run("reconcile", "STAGE=dev", "RATE=5", "FIX=1")


def test_a_variable_of_the_environment_is_no_option() -> None:
    commands = dry_run("reconcile", "console", "destroy", FIX="1", PORT="80", CONFIRM="local", STAGE="prod", RATE="5")

    assert 'scripts reconcile --stage "local"' in commands
    assert not any(option in commands for option in ("--fix", "--port", "--confirm", "--rate", "prod"))


def test_a_flag_of_zero_is_off() -> None:
    assert "--fix" not in dry_run("reconcile", "FIX=0")


def test_commands_keep_the_bytecode_of_what_they_import_and_leave_terraform_room_for_garbage() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "GOGC"))}

    done = subprocess.run(
        ["make", "--eval", "environment:; @env", "environment"],
        cwd=ROOT,
        env=clean | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "PYTHONDONTWRITEBYTECODE" not in done.stdout
    assert "GOGC=400" in done.stdout.splitlines()
