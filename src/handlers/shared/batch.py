"""What every function that reads a stream does with a batch, whatever the batch is for."""

from collections.abc import Callable

from handlers.shared.log import BatchLog
from handlers.shared.response import complete_failure

TYPE_CHECKING = False  # see process_kinesis_records.payload
if TYPE_CHECKING:
    from typing import Any

    from handlers.shared.lambda_types import BatchResponse, LambdaContext
    from handlers.shared.retrying import Patience


def respond(
    event: "Any",
    context: "LambdaContext",
    process: "Callable[[list[Any], LambdaContext, BatchLog], BatchResponse]",
) -> "BatchResponse":
    """Process an event's records, with one log for all of them, which is written whatever happens.

    An event that is no batch fails as a whole: the event may be anything, whatever its type says.
    """
    log = BatchLog(context.aws_request_id)
    try:
        records = event.get("Records") if isinstance(event, dict) else None
        if not isinstance(records, list):
            log.error("The event is not a batch of records: it has no list of Records. Nothing was processed.")
            return complete_failure()
        return process(records, context, log)
    finally:
        log.write()


def patience_of(context: "LambdaContext", margin_seconds: float) -> "Patience":
    """Retries for as long as the invocation lasts, less a margin in which calls under way may end."""
    # Imported here: a batch that is only logged needs none of it.
    import random
    import time

    from handlers.shared.retrying import Patience

    return Patience(lambda: context.get_remaining_time_in_millis() / 1000 - margin_seconds, time.sleep, random.random)
