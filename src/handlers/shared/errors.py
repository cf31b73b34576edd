"""The project's errors, sorted by what happens next, not by where they arose."""


class RetryableError(Exception):
    """The same call may succeed later: a throttle, a conflict, a timeout, a service fault."""


class PoisonRecordError(Exception):
    """This record can never succeed, however often it is delivered; its neighbours can."""
