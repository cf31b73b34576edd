"""The meaning of a function's response to a batch. The engine and redrive share it.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html, the same page for DynamoDB
(services-ddb-batchfailurereporting.html) and, where these say nothing, traces of AWS recorded by LocalStack
(test_kinesis_report_batch_item_success_scenarios, test_dynamodb_report_batch_item_failure_scenarios and others).
"""

import json
from collections.abc import Sequence
from typing import Any


def accepted(payload: bytes, error: str | None, sequences: Sequence[str | None]) -> int | None:
    """Return how many leading records of the batch the function accepted; None when the whole batch failed.

    `error` is FunctionError. `sequences` are the sequence numbers of the batch; a record without one cannot be
    reported. Our choice, where AWS documents and no trace shows anything: a response that is neither one of the
    documented successes nor a partial batch response fails the whole batch, so that no record is skipped on the word
    of a response that says nothing. It may be text, a list, or an object without `batchItemFailures`.
    """
    if error:
        return None
    try:
        response = json.loads(payload) if payload else None
    except (ValueError, RecursionError):
        return None
    if response is None or response in ("", [], {}):
        return len(sequences)
    if not isinstance(response, dict) or "batchItemFailures" not in response:
        return None
    failures = response["batchItemFailures"]
    if failures is None:
        return len(sequences)
    if not isinstance(failures, list):
        return None
    positions = {sequence: position for position, sequence in reversed([*enumerate(sequences)])}
    failed = [positions.get(_identifier(failure)) for failure in failures]
    if None in failed:
        return None
    return min((position for position in failed if position is not None), default=len(sequences))


def _identifier(failure: Any) -> str:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    return identifier if isinstance(identifier, str) else ""
