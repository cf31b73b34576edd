"""The verdict on a pipeline, from facts alone: Blocked, Failing, Behind, Flowing or Idle, and the reasons for it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

_BEHIND_MS = 60_000


class State(StrEnum):
    """What a pipeline does, worst first."""

    BLOCKED = "blocked"
    FAILING = "failing"
    BEHIND = "behind"
    FLOWING = "flowing"
    IDLE = "idle"


class Panel(StrEnum):
    """Where the page shows more about a reason."""

    FUNCTIONS = "functions"
    TABLES = "tables"
    STREAM = "stream"
    FAILURES = "failures"
    RECONCILE = "reconcile"


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that needs attention."""

    node: str
    """What it is about: the name in the lab of a function or table, `stream` or `failures`."""
    state: State | None
    """What it makes of the pipeline; None when records flow all the same."""
    text: str
    panel: Panel
    runbook: str
    """The section of docs/runbook.md."""


@dataclass(frozen=True, slots=True)
class Function:
    """What is known of a function. Counts are of records, of the window that is looked at."""

    lab: str
    name: str
    arrived: float | None
    """Records that came into its stream so long ago that they should have been delivered; None where not known."""
    delivered: float
    """Records in batches that the event source mapping delivered; a batch that failed counts at each attempt."""
    done: float
    """Records that were stored or counted, that were known already, or that were parked."""
    failed: float
    """Records that the function reported as failed."""
    errors: float
    """Invocations that raised an error or timed out."""
    failed_last: bool
    """Whether the last batch that was delivered failed."""
    waiting: int
    """Records of the last batch that wait to be delivered again: the least that the backlog can be."""
    backlog: int | None
    """Records that arrived after those of the newest batch, by the lag and the rate; None where these are not known."""
    lag_ms: float | None
    """Age of the last record of the newest batch; None when none was delivered lately."""
    mapping: str
    """State of the event source mapping."""
    last_result: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a pipeline."""

    resources: Mapping[str, tuple[str, str]]
    """Name and state of what is deployed, by node."""
    functions: Sequence[Function]
    parked: int
    """Parked records in the failure bucket."""
    discarded: int
    """Discarded batches in the failure bucket."""
    alarms: Sequence[tuple[str, str]]
    """Key and name of each alarm that fires; a key is a kind and a subject: `function-errors-AggregateScoresByUser`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the page says at a glance."""

    state: State
    reasons: Sequence[Reason]


def verdict(facts: Facts) -> Verdict:
    """Judge a pipeline. The worst of the reasons decides; without any it flows or is idle."""
    reasons = [*_resources(facts), *_of_functions(facts.functions), *map(_alarm, facts.alarms), *_failures(facts)]
    order = list(State)
    states = [reason.state for reason in reasons if reason.state is not None]
    flowing = State.FLOWING if any(function.done for function in facts.functions) else State.IDLE
    worst = min(states, key=order.index, default=flowing)
    ranked = sorted(reasons, key=lambda reason: order.index(reason.state) if reason.state else len(order))
    return Verdict(worst, ranked)


def _resources(facts: Facts) -> Iterator[Reason]:
    for node, (name, state) in facts.resources.items():
        if state.upper() != "ACTIVE":
            panel = {"stream": Panel.STREAM}.get(node, Panel.TABLES)
            if any(function.lab == node for function in facts.functions):
                panel = Panel.FUNCTIONS
            yield Reason(node, State.BLOCKED, f"{name} is {state}", panel, "alarms")


def _of_functions(functions: Sequence[Function]) -> Iterator[Reason]:
    for function in functions:
        yield from _function(function)


def _function(function: Function) -> Iterator[Reason]:
    def reason(state: State | None, text: str, runbook: str) -> Reason:
        return Reason(function.lab, state, f"{function.name}: {text}", Panel.FUNCTIONS, runbook)

    if function.mapping != "Enabled":
        yield reason(State.BLOCKED, f"its event source mapping is {function.mapping}", "iterator-age")
    problem = function.last_result.startswith("PROBLEM")
    if problem:
        yield reason(State.FAILING, function.last_result, "function-errors")
    if function.failed:
        nothing = not function.done
        state = State.FAILING if function.failed_last or nothing else None
        text = f"{function.failed:,.0f} records failed and are delivered again"
        if nothing:
            text += f"; none of {function.delivered:,.0f} delivered records was finished"
        yield reason(state, text, "records-failed")
    elif function.delivered and not function.done:
        text = f"none of {function.delivered:,.0f} delivered records was finished"
        yield reason(State.FAILING, text, "records-failed")
    if function.errors and not problem:
        # An invocation by hand raises errors as well, and stops nothing.
        text = f"{function.errors:,.0f} invocations raised an error, which may be test events"
        yield reason(None, text, "function-errors")
    if function.arrived and not function.delivered:
        text = f"{function.arrived:,.0f} records arrived, and no delivery was measured"
        yield reason(State.BEHIND, text, "iterator-age")
    if function.lag_ms is not None and function.lag_ms > _BEHIND_MS:
        yield reason(State.BEHIND, f"{function.lag_ms / 1000:,.0f} s behind its stream", "iterator-age")


_ALARMS: Mapping[str, tuple[State | None, Panel]] = {
    "function-errors": (State.FAILING, Panel.FUNCTIONS),
    "function-throttles": (State.BEHIND, Panel.FUNCTIONS),
    "function-duration": (None, Panel.FUNCTIONS),
    "iterator-age": (State.BEHIND, Panel.FUNCTIONS),
    "records-parked": (None, Panel.FAILURES),
    "records-failed": (State.FAILING, Panel.FUNCTIONS),
    "batches-given-up": (State.FAILING, Panel.FAILURES),
    "records-lost": (State.FAILING, Panel.FAILURES),
    "stream-write-throttled": (State.BEHIND, Panel.STREAM),
    "table-read-throttled": (State.BEHIND, Panel.TABLES),
    "table-write-throttled": (State.BEHIND, Panel.TABLES),
    "table-system-errors": (State.BEHIND, Panel.TABLES),
    "drift": (State.FAILING, Panel.RECONCILE),
    "not-judged": (None, Panel.RECONCILE),
}
"""By the kind of an alarm: what it makes of the pipeline, and where the page shows more."""


def _alarm(alarm: tuple[str, str]) -> Reason:
    key, name = alarm
    kind = next((kind for kind in sorted(_ALARMS, key=len, reverse=True) if key.startswith(kind)), None)
    # An alarm that this module does not know is not taken for harmless.
    state, panel = _ALARMS[kind] if kind else (State.FAILING, Panel.FUNCTIONS)
    subject = key.removeprefix(kind or "").strip("-").split("-")[0]
    node = "stream" if panel is Panel.STREAM else subject
    return Reason(node, state, f"Alarm {name}", panel, kind or "alarms")


def _failures(facts: Facts) -> Iterator[Reason]:
    if facts.parked or facts.discarded:
        text = f"{facts.parked:,} parked records and {facts.discarded:,} discarded batches wait in the failure bucket"
        section = "batches-given-up" if facts.discarded else "records-parked"
        yield Reason("failures", None, text, Panel.FAILURES, section)
