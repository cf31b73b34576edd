"""What a function of the documented cases does. Its source is also packaged for the local cloud."""

from typing import Any


def behave(texts: list[str], sequences: list[str], behaviour: dict[str, Any]) -> Any:
    """Raise, report or answer, as `cases.Behaviour` says."""
    raises, reports = behaviour["raises"], behaviour["reports"]
    if any(text in raises for text in texts):
        raise ValueError(f"poison in {texts}")
    if not reports:
        return behaviour["answers"]
    failed = [sequence for text, sequence in zip(texts, sequences, strict=True) if text in reports]
    return {"batchItemFailures": [{"itemIdentifier": sequence} for sequence in failed]}
