"""What a function answers."""

TYPE_CHECKING = False  # see process_kinesis_records.payload
if TYPE_CHECKING:
    from handlers.shared.lambda_types import BatchResponse


def batch_response(first_failed: str | None = None) -> "BatchResponse":
    """The response of a batch that is done up to `first_failed`, or wholly when that is None.

    Only the lowest failed sequence number matters to a stream mapping, so that is all we report.
    """
    return {"batchItemFailures": [{"itemIdentifier": first_failed}] if first_failed is not None else []}


def complete_failure() -> "BatchResponse":
    """Return the response that fails a batch as a whole: an empty identifier, which names none of its records.

    https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    return batch_response("")


def reportable(sequence_number: object) -> str:
    """Return what a response may name a record by: its sequence number, or "" for none, which fails the whole batch."""
    is_number = isinstance(sequence_number, str) and sequence_number.isascii() and sequence_number.isdigit()
    return str(sequence_number) if is_number else ""
