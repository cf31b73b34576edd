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
    """Return the response of a batch that failed as a whole: an empty identifier says so.

    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    return batch_response("")
