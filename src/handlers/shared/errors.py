"""The project's errors, sorted by what happens next, not by where they arose."""


class RetryableError(Exception):
    """The same call may succeed later: a throttle, a conflict, a timeout, a service fault."""


class RefusedError(Exception):
    """The same call is refused until a person acts, whatever the record: a missing grant, a missing table.

    No record is at fault, so none is parked; the batch is delivered again.
    """


class PoisonRecordError(Exception):
    """This record can never succeed, however often it is delivered; its neighbours can."""
