"""What a function's answer says about its batch.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html and, for what that
page leaves open, LocalStack's traces of AWS (test_kinesis_report_batch_item_success_scenarios and its like).
"""

import json
from collections.abc import Sequence
from typing import Any


def accepted(payload: bytes, sequences: Sequence[str]) -> int | None:
    """How many records from the batch's start the answer accepts; None when it fails the batch as a whole.

    An answer that is neither empty nor an object is undocumented; it fails the batch, so nothing is skipped.
    """
    try:
        answer = json.loads(payload) if payload else None
    except ValueError:
        return None
    if answer in (None, "", [], {}):
        return len(sequences)
    if not isinstance(answer, dict):
        return None
    failures = answer.get("batchItemFailures") or []
    if not isinstance(failures, list):
        return None
    positions = {sequence: position for position, sequence in enumerate(sequences)}
    failed = [positions.get(_identifier(failure)) for failure in failures]
    if None in failed:
        return None
    return min((position for position in failed if position is not None), default=len(sequences))


def _identifier(failure: Any) -> str:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return identifier if isinstance(identifier, str) else ""
