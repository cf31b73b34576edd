"""Reading a function's settings from its environment variables."""

from collections.abc import Mapping


class SettingsError(Exception):
    """The environment is not what the function needs; the message lists every problem."""


class Environment:
    """Environment variables that collect what is wrong with them, until `check`."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._problems: list[str] = []

    def text(self, name: str) -> str:
        """A variable that must be there."""
        value = self._variables.get(name, "")
        if not value:
            self._problems.append(f"{name} is missing")
        return value

    def number(self, name: str, *, default: int, least: int) -> int:
        """A whole number of at least `least`."""
        value = self._variables.get(name, str(default))
        if not (value.isascii() and value.isdigit() and int(value) >= least):
            self._problems.append(f"{name} is {value!r}, not a whole number of at least {least}")
            return default
        return int(value)

    def margin_seconds(self) -> int:
        """Of an invocation's time, what is kept for calls under way to end: no new one is begun in it.

        At least CONNECT_SECONDS and READ_SECONDS of `handlers.shared.aws`, which say what that covers.
        """
        return self.number("MARGIN_SECONDS", default=5, least=4)

    def metrics_namespace(self) -> str:
        """Where in CloudWatch the function's own metrics are."""
        return self._variables.get("METRICS_NAMESPACE", "GameScores")

    def check(self) -> None:
        """Raise SettingsError when any variable that was read is wrong."""
        if self._problems:
            raise SettingsError("; ".join(self._problems))
