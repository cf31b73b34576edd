"""What a function of the documented cases does. Its source is also packaged for the local cloud."""

from typing import Any


def behave(texts: list[str], sequences: list[str], behaviour: dict[str, Any]) -> Any:
    """Raise, report or answer, as `cases.Behaviour` says."""
    raises, reports = behaviour["raises"], behaviour["reports"]
    if any(text in raises for text in texts):
        raise ValueError(f"poison in {texts}")
    known = dict(zip(texts, sequences, strict=True))
    if not reports:
        return _with_sequences(behaviour["answers"], known)
    return {"batchItemFailures": [{"itemIdentifier": known[text]} for text in texts if text in reports]}


def _with_sequences(answer: Any, sequences: dict[str, str]) -> Any:
    """Return the answer with each text of the batch replaced by the sequence number of its record."""
    if isinstance(answer, dict):
        return {key: _with_sequences(value, sequences) for key, value in answer.items()}
    if isinstance(answer, list):
        return [_with_sequences(value, sequences) for value in answer]
    return sequences.get(answer, answer) if isinstance(answer, str) else answer
