"""How the engine's boto3 clients are set."""

from botocore.config import Config


def config(pool: int, read_timeout: float = 30) -> Config:
    """Client settings: one attempt, since botocore's own retries would invoke a function unseen.

    Parameters are not validated: polls are all that an idle engine does, and that takes a tenth of each.
    """
    return Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        connect_timeout=5,
        read_timeout=read_timeout,
        max_pool_connections=pool,
    )
