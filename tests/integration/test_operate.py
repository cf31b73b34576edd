"""The commands of an operator, on the deployed system."""

import json

from tests.integration.deployment import System


def test_commands_find_the_system_that_the_tests_deployed(system: System) -> None:
    output = system.command("output")

    assert output.returncode == 0, output.stderr
    assert json.loads(output.stdout) == system.outputs
