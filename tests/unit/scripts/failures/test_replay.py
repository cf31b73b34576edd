"""How records are replayed through a function, and what its responses mean."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import pytest

from localcloud.engine.delivery import PAYLOAD_BYTES
from scripts.failures.redrive import invoke
from scripts.failures.replay import Answer, event, interpret, replay
from scripts.failures.store import Record
from tests.simulation.behaviour import behave
from tests.simulation.cases import RESPONSES, Case
from tests.simulation.stream import dynamodb_record, kinesis_record, sequences, texts
from tests.unit.scripts.failures.conftest import fail, record

REPORTED = "The function reported it as failed; its log says why"


def test_progress_is_kept_and_the_rest_is_tried_again() -> None:
    records = [record(number) for number in range(4)]
    calls: list[int] = []

    def one_at_a_time(records: Sequence[Record]) -> Answer:
        calls.append(len(records))
        return Answer(1, "slow") if len(records) > 1 else Answer(1)

    assert replay(records, one_at_a_time, batch_size=3) == [None] * 4
    assert calls == [3, 2, 1, 1]


def test_no_progress_ends_a_batch_but_not_the_next() -> None:
    records = [record(number) for number in range(4)]

    assert replay(records, fail, batch_size=2) == ["throttled"] * 4
    assert replay([], fail, batch_size=2) == []


def test_a_batch_is_cut_to_what_an_invocation_takes() -> None:
    large = [{"data": "x" * 2_500_000} for _ in range(3)]
    sizes: list[int] = []

    def invoke(records: Sequence[Record]) -> Answer:
        assert len(event(records)) <= PAYLOAD_BYTES
        sizes.append(len(records))
        return Answer(len(records))

    replay(large, invoke, batch_size=100)

    assert sizes == [2, 1]


class Lambda:
    """Invoke, of a function that behaves as it is told."""

    def __init__(self, case: Case) -> None:
        self._behaviour = asdict(case.function)
        self.invoked: list[list[str]] = []

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803, ARG002  boto3's names
        """Behave, and answer as Lambda does."""
        event = json.loads(Payload)
        self.invoked.append(texts(event))
        try:
            answer = behave(texts(event), sequences(event), self._behaviour)
        except ValueError as error:
            error_payload = json.dumps({"errorType": "ValueError", "errorMessage": str(error)})
            return {"Payload": io.BytesIO(error_payload.encode()), "FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(answer if isinstance(answer, bytes) else json.dumps(answer).encode())}


@pytest.mark.parametrize("service", ["kinesis", "dynamodb"])
@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_a_response_means_to_a_redrive_what_it_means_to_a_mapping(case: Case, service: str) -> None:
    client: Any = Lambda(case)
    written = [text for _, text in case.writes]
    records = [
        kinesis_record("arn:aws:kinesis:us-east-1:1:stream/s", "a", text, str(number), "shardId-0", 0)
        if service == "kinesis"
        else dynamodb_record("arn:aws:dynamodb:r:1:t", "INSERT", {}, {"Text": {"S": text}}, str(number), 0)
        for number, text in enumerate(written, start=1001)
    ]

    reasons = replay(records, partial(invoke, client, "function"), batch_size=100)

    discarded = [text for _, _, batch in case.discarded for text in batch]
    assert client.invoked == case.invoked
    assert [text for text, reason in zip(written, reasons, strict=True) if reason is not None] == discarded
    assert all(reason != "" for reason in reasons)


@pytest.mark.parametrize(
    ("payload", "error", "answer"),
    [
        (b'{"batchItemFailures": [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]}', None, Answer(1, REPORTED)),
        (b'{"foo": 1}', None, Answer(None, 'The function\'s response fails the whole batch: {"foo": 1}')),
        (b"\xff" * 500, None, Answer(None, "The function's response fails the whole batch: " + "\ufffd" * 200)),
        (b'{"errorType": "KeyError", "errorMessage": "x"}', "Unhandled", Answer(None, "KeyError: x")),
        (b"Killed", "Unhandled", Answer(None, "Unhandled: ")),
        (b"null", "Unhandled", Answer(None, "Unhandled: ")),
        (b"[" * 100_000, "Unhandled", Answer(None, "Unhandled: ")),
    ],
)
def test_a_reason_says_what_the_function_answered(payload: bytes, error: str | None, answer: Answer) -> None:
    assert interpret(payload, error, [record(1), record(2), record(3)]) == answer


def test_a_record_that_is_there_twice_is_failed_where_it_is_first() -> None:
    answer = interpret(b'{"batchItemFailures": [{"itemIdentifier": "2"}]}', None, [record(1), record(2), record(2)])

    assert answer.accepted == 1


@pytest.mark.parametrize("text", ["\ud800", "ü", "\x00"])
def test_a_record_with_any_text_is_replayed_as_it_is(text: str) -> None:
    delivered: list[Any] = []

    def function(records: Sequence[Record]) -> Answer:
        delivered.extend(json.loads(event(records))["Records"])
        return Answer(len(records), "")

    strange = {"eventID": "e", "text": text}
    assert replay([strange], function, 10) == [None]
    assert delivered == [strange]
