import json
from collections.abc import Callable
from typing import Any

import pytest

from handlers.shared import batch
from handlers.shared.errors import RetryableError
from handlers.shared.lambda_types import BatchResponse, LambdaContext
from handlers.shared.log import BatchLog
from handlers.shared.response import batch_response
from tests.unit.conftest import Context

Process = Callable[[list[Any], LambdaContext, BatchLog], BatchResponse]


def all_done(records: list[Any], context: LambdaContext, log: BatchLog) -> BatchResponse:
    log.info(f"Processed {len(records)}")
    return batch_response()


def test_a_batchs_records_are_processed_and_its_log_is_written(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.respond({"Records": [1, 2]}, context, all_done) == {"batchItemFailures": []}

    [line] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["message"], line["requestId"]) == ("Processed 2", "request-1")


@pytest.mark.parametrize("event", [None, [], "text", {}, {"Records": None}, {"Records": {}}])
def test_what_is_no_batch_fails_as_a_whole(
    event: Any, context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch.respond(event, context, all_done) == {"batchItemFailures": [{"itemIdentifier": ""}]}

    assert "The event is not a batch of records" in capsys.readouterr().out


def test_the_log_is_written_although_processing_fails(
    context: LambdaContext, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(records: list[Any], context: LambdaContext, log: BatchLog) -> BatchResponse:
        log.error("Before the end")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        batch.respond({"Records": []}, context, fail)

    assert "Before the end" in capsys.readouterr().out


def test_patience_ends_before_the_invocation_does(context: LambdaContext) -> None:
    patience = batch.patience_of(context, 5)

    assert patience.remaining() == context.get_remaining_time_in_millis() / 1000 - 5
    assert patience.call(lambda: "done") == "done"


def test_patience_sees_the_invocations_time_pass(context: Context) -> None:
    patience = batch.patience_of(context, 5)
    assert patience.remaining() == 55

    context.remaining_ms = 5_000

    assert patience.remaining() == 0


def test_tries_are_apart_by_pauses_drawn_at_random(context: LambdaContext, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    left = iter(range(5))

    def act() -> None:
        for number in left:
            raise RetryableError(f"{number}")

    batch.patience_of(context, 5).call(act)

    longest = (0.05, 0.1, 0.2, 0.4, 0.8)
    assert all(0 <= pause < bound for pause, bound in zip(pauses, longest, strict=True))
    assert len({pause / bound for pause, bound in zip(pauses, longest, strict=True)}) > 1
