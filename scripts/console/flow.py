"""What the page shows of the pipeline: counts over its arrows, the state of its nodes, and the verdict."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from scripts.console import counts
from scripts.console.counts import Counts
from scripts.console.problems import unreachable
from scripts.console.single_flight import SingleFlight
from scripts.console.verdict import Facts, Function, verdict
from scripts.deployment import Deployed
from scripts.observe.status import Status, status

PROCESS, AGGREGATE = "ProcessKinesisRecords", "AggregateScoresByUser"
_ARROWS = {
    "read": (PROCESS, "Delivered"),
    "stored": (PROCESS, "Stored"),
    "changes": (AGGREGATE, "Records"),
    "counted": (AGGREGATE, "Applied"),
    "parked-process": (PROCESS, "Parked"),
    "parked-aggregate": (AGGREGATE, "Parked"),
}
"""The arrows of the diagram: the function at one end, and the metric that counts what goes over it."""
_DONE = {PROCESS: ("Done",), AGGREGATE: ("Applied", "Duplicates", "Folded", "Parked")}
_DELIVERED = {PROCESS: ("Done", "Failed"), AGGREGATE: ("Records",)}
_ARRIVED = {PROCESS: "Delivered", AGGREGATE: "Stored"}
"""What the first function counts of what comes into each one's stream."""
_SPARK_SECONDS = 15 * 60
_WAIT = 4
"""Times what a look took before the next: looking must not become the load."""
_EVERY, _EVERY_AWS = 2.0, 15.0
"""Seconds between two looks, at least."""
_RESOURCES_EVERY, _RESOURCES_EVERY_AWS = 6.0, 30.0
"""The same for what rarely changes: resources, mappings, alarms, and the number of failures."""
_PATIENCE_SECONDS, _MOMENT_SECONDS = 5.0, 1.5
"""How long a page waits for the first look, and for another one."""

Look = Callable[[Deployed], dict[str, Any]]


class Flow:
    """The last look at a stage, which all pages share, repeated no sooner than is good for the stage."""

    def __init__(self, look: Look | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._look = look or Observer().look
        self._clock = clock
        self._looking: SingleFlight[None] = SingleFlight()
        self._known: tuple[Deployed, dict[str, Any], float, float] | None = None
        """Of which deployment, what was seen, when it was over, and when to look again."""

    def of(self, system: Deployed) -> dict[str, Any]:
        """Return the last look with its `age` in seconds and the seconds `every` which it is repeated.

        A look that does not end in a moment leaves an answer that grows old. Raises RefusedError when there is none.
        """
        known = self._of(system)
        if known is None or self._clock() >= known[3]:
            seconds = _PATIENCE_SECONDS if known is None else _MOMENT_SECONDS
            with suppress(TimeoutError):
                self._looking.run(lambda: self._renew(system), seconds)
            known = self._of(system)
        if known is None:
            raise unreachable(system.stage)
        _, seen, ended, again = known
        return {**seen, "age": round(self._clock() - ended, 1), "every": round(again - ended, 1)}

    def _of(self, system: Deployed) -> tuple[Deployed, dict[str, Any], float, float] | None:
        return self._known if self._known and self._known[0] == system else None

    def _renew(self, system: Deployed) -> None:
        started = self._clock()
        seen = self._look(system)
        ended = self._clock()
        shortest = _EVERY if system.stage.endpoint else _EVERY_AWS
        self._known = system, seen, ended, ended + max(shortest, _WAIT * (ended - started))


class Observer:
    """Looks at one stage after another, and remembers what it need not ask again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._status: tuple[float, Deployed, Status] | None = None
        self._history: dict[str, dict[int, float]] = defaultdict(dict)
        self._of: Deployed | None = None
        self._counter = counts.Counter(clock)

    def look(self, system: Deployed) -> dict[str, Any]:
        """Return how the pipeline is now."""
        now = datetime.now(UTC)
        if self._of != system:
            self._of = system
            self._history.clear()
        found = self._resources(system, now)
        counted = self._counter.count(system, now)
        facts = gather(system, found, counted, now)
        judged = verdict(facts)
        return {
            "state": judged.state,
            "reasons": [asdict(reason) for reason in judged.reasons],
            "resources": {resource.name: asdict(resource) for resource in found.resources},
            "functions": {function.lab: asdict(function) for function in facts.functions},
            "failures": {"parked": found.failures.parked, "discarded": found.failures.discarded},
            "alarms": [asdict(alarm) for alarm in found.alarms],
            "arrows": {name: self._arrow(name, counted, now) for name in _ARROWS},
            "window": counted.window,
            "delayed": counted.is_delayed,
            "at": now.timestamp(),
        }

    def _resources(self, system: Deployed, now: datetime) -> Status:
        every = _RESOURCES_EVERY if system.stage.endpoint else _RESOURCES_EVERY_AWS
        if self._status is None or self._status[1] != system or self._clock() - self._status[0] > every:
            self._status = self._clock(), system, status(system, now, with_lag=False)
        return self._status[2]

    def _arrow(self, name: str, counted: Counts, now: datetime) -> dict[str, Any]:
        function, metric = _ARROWS[name]
        series = counted.of(function, metric)
        history = self._history[name]
        history.update(series)
        earliest = now.timestamp() - _SPARK_SECONDS
        for at in [at for at in history if at < earliest]:
            del history[at]
        last = counted.last_period(now)
        return {
            "count": sum(series.values()),
            "per_second": series.get(last, 0.0) / counted.period,
            "spark": sorted(history.items()),
            "period": counted.period,
        }


def gather(system: Deployed, found: Status, counted: Counts, now: datetime) -> Facts:
    """Return the facts for a verdict."""
    nodes = {system.outputs["stream"]["name"]: "stream"}
    for output in ("tables", "functions"):
        nodes |= {each["name"]: lab for lab, each in system.outputs[output].items()}
    mappings = {mapping.function: mapping for mapping in found.mappings}
    firing = {alarm.name for alarm in found.alarms if alarm.state == "ALARM"}
    alarms: Mapping[str, str] = system.outputs.get("alarms", {})
    functions = []
    for lab, each in system.outputs["functions"].items():
        mapping = mappings[each["name"]]
        # What no mapping delivered is a test event, and no flow.
        real = counted.is_delivered(lab)
        functions.append(
            Function(
                lab=lab,
                name=each["name"],
                arrived=_arrived(lab, counted, now),
                delivered=counted.total(lab, _DELIVERED.get(lab, ("Records",))) if real else 0,
                done=counted.total(lab, _DONE.get(lab, ("Done",))) if real else 0,
                failed=counted.total(lab, ("Failed",)) if real else 0,
                errors=counted.total(lab, ("Errors",)),
                failed_last=counted.failed_last(lab),
                waiting=counted.waiting(lab),
                backlog=counted.backlog(lab, now),
                lag_ms=counted.lag_ms(lab),
                mapping=mapping.state,
                last_result=mapping.last_result,
            )
        )
    return Facts(
        resources={nodes[each.name]: (each.name, each.state) for each in found.resources},
        functions=functions,
        parked=found.failures.parked,
        discarded=found.failures.discarded,
        alarms=[(key, name) for key, name in alarms.items() if name in firing],
    )


def _arrived(lab: str, counted: Counts, now: datetime) -> float | None:
    # A local cloud does not measure IncomingRecords: its Delivered is what was logged, test events included.
    if lab not in _ARRIVED or (lab == PROCESS and not counted.is_delayed):
        return None
    return counted.settled(PROCESS, _ARRIVED[lab], now)
