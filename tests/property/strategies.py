"""Strategies of hypothesis for input that may be anything at all: text, JSON, DynamoDB attributes."""

import json
from typing import Any

from hypothesis import strategies as st

any_text = st.text(st.one_of(st.characters(), st.characters(categories=["Cs"])), max_size=20)
"""Text of any code points, with lone surrogates: json.loads makes them of escapes such as `\\ud800`."""

long_digits = st.builds(lambda digit, n: digit * n, st.sampled_from("019"), st.sampled_from([38, 39, 400, 401, 5000]))

numerals = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.builds(
        "{}{}e{}{}".format, st.sampled_from(["", "-"]), st.integers(0, 99), st.sampled_from(["", "-"]), long_digits
    ),
    st.builds("{}e{}".format, st.integers(0, 99), st.integers(-(10**20), 10**20)),
    st.builds("0.{}1".format, long_digits),
    long_digits,
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "-0", "1e126", "1e-131", "1e999999999999999999", "1e9999999999999999999"]
    ),
)
"""Numbers as JSON spells them, and as Python's json reads them besides, of any size."""


def nested(depth: int) -> Any:
    """A list in a list, and so on."""
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.builds(lambda digits: int(digits[:4000]), long_digits),
    st.floats(),
    any_text,
    st.builds(nested, st.sampled_from([50, 950, 980, 990, 2000])),
)

any_json = st.recursive(
    _scalars,
    lambda values: st.one_of(st.lists(values, max_size=4), st.dictionaries(any_text, values, max_size=4)),
    max_leaves=10,
)
"""What json.loads may return, lists too deep to be written again among it."""


json_text = st.one_of(
    numerals,
    any_text.map(json.dumps),
    st.builds(lambda depth: "[" * depth + "]" * depth, st.sampled_from([1, 900, 990, 2000, 100_000])),
    st.sampled_from(["null", "true", "{}", '{"N": "1"}', '"\\ud800"', '""', '"7"', "[", ""]),
)
"""A JSON value as text, hardly ever wrong, with numbers of any size and lists of any depth."""


def object_of(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of which each key may be absent, and each value may be anything else."""
    return st.fixed_dictionaries({}, optional={name: st.one_of(value, any_json) for name, value in values.items()})


any_attribute = st.one_of(
    any_json,
    object_of(S=any_text),
    object_of(N=st.one_of(numerals, any_text)),
    object_of(B=any_text, BOOL=st.booleans(), NULL=st.booleans(), L=any_json, M=any_json, NS=any_json, SS=any_json),
)
"""A DynamoDB attribute value in its wire form, right or wrong."""
