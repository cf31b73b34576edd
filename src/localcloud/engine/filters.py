"""Filter patterns of event source mappings: what is one, and which records match it.

The rules are those of Lambda's table, https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html,
and each compares as in https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html.
A rule that is not in Lambda's table is refused: our choice, since AWS lists no others for Lambda.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

Pattern = Mapping[str, Any]

_MOST_LEVELS = 100
"""How deeply a pattern may be nested: our choice, well within what Python's stack can hold when it is matched."""

_ABSENT = object()
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}


class FilterError(ValueError):
    """A text that is not a filter pattern. The message says why."""


def parse(text: str) -> Pattern:
    """Return the pattern that a text holds. Raises FilterError."""
    try:
        pattern = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FilterError(f"it is not JSON ({error})") from None
    _check_fields(pattern, _MOST_LEVELS)
    return dict(pattern)


def matches(pattern: Pattern, value: Any) -> bool:
    """Return whether a JSON value has all fields as the pattern asks for them."""
    return all(_field_matches(name, rule, value) for name, rule in pattern.items())


def _check_fields(pattern: Any, levels: int) -> None:
    if not levels:
        raise FilterError(f"it is nested in more than {_MOST_LEVELS} levels")
    if not isinstance(pattern, dict) or not pattern:
        raise FilterError("a pattern is a JSON object with at least one field")
    for name, rule in pattern.items():
        if name == "$or" and isinstance(rule, list):
            if len(rule) < 2:
                raise FilterError("$or takes at least two patterns")
            for each in rule:
                _check_fields(each, levels - 1)
        elif isinstance(rule, dict):
            _check_fields(rule, levels - 1)
        elif isinstance(rule, list) and rule:
            for each in rule:
                _check_rule(name, each)
        else:
            raise FilterError(f"{name} takes a list of at least one value or rule")


def _check_rule(field: str, rule: Any) -> None:
    if isinstance(rule, list):
        raise FilterError(f"{field} has a list within its list")
    if not isinstance(rule, dict):
        return
    if len(rule) != 1:
        raise FilterError(f"{field} has a rule with {len(rule)} operators instead of one")
    ((operator, operand),) = rule.items()
    valid: Callable[[Any], bool] = {
        "prefix": _is_text,
        "suffix": _is_text,
        "equals-ignore-case": _is_text,
        "exists": lambda value: isinstance(value, bool),
        "numeric": _is_range,
        "anything-but": _are_values,
    }.get(operator, lambda _: False)
    if not valid(operand):
        raise FilterError(f"{field} has the rule {json.dumps(rule)}, which Lambda does not know")


def _is_text(operand: Any) -> bool:
    return isinstance(operand, str)


def _is_range(operand: Any) -> bool:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        return False
    return all(
        isinstance(sign, str) and sign in _COMPARE and _is_number(limit)
        for sign, limit in zip(operand[::2], operand[1::2], strict=True)
    )


def _are_values(operand: Any) -> bool:
    values = operand if isinstance(operand, list) else [operand]
    return bool(values) and all(isinstance(value, str) or _is_number(value) for value in values)


def _field_matches(name: str, rule: Any, value: Any) -> bool:
    if name == "$or" and isinstance(rule, list):
        return any(matches(each, value) for each in rule)
    found = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    if isinstance(rule, dict):
        # Fields of an object that is not there are absent, which a rule may ask for.
        return any(matches(rule, each) for each in (found if isinstance(found, list) and found else [found]))
    values = found if isinstance(found, list) else [found]
    return any(_rule_matches(each, found, values) for each in rule)


def _rule_matches(rule: Any, found: Any, values: list[Any]) -> bool:
    if not isinstance(rule, dict):
        return any(_equal(rule, value) for value in values)
    ((operator, operand),) = rule.items()
    if operator == "exists":
        # It asks for a leaf: an object there is no value.
        return (found is not _ABSENT and not isinstance(found, dict)) is operand
    return any(_value_matches(operator, operand, value) for value in values if value is not _ABSENT)


def _value_matches(operator: str, operand: Any, value: Any) -> bool:
    if operator == "anything-but":
        return not any(_equal(each, value) for each in (operand if isinstance(operand, list) else [operand]))
    if operator == "numeric":
        limits = zip(operand[::2], operand[1::2], strict=True)
        return _is_number(value) and all(_COMPARE[sign](value, limit) for sign, limit in limits)
    if not isinstance(value, str):
        return False
    if operator == "equals-ignore-case":
        return value.lower() == str(operand).lower()
    return value.startswith(operand) if operator == "prefix" else value.endswith(operand)


def _equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are written alike: 300 is neither "300" nor 300.0, as EventBridge says."""
    return type(one) is type(other) and bool(one == other)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
