"""The lean client asks what botocore's own would ask, in every partition."""

from typing import Any

import botocore.session
import pytest

from handlers.shared import aws

_SESSION = botocore.session.Session()
REGIONS = [
    region
    for partition in _SESSION.get_available_partitions()
    for region in _SESSION.get_available_regions("dynamodb", partition)[::7]
]


class _StopError(Exception):
    """Raised in place of sending."""


def request(client: Any) -> tuple[str, str]:
    """Where the client would send a request, and for which region and service it signs."""
    seen = {}

    def stop(request: Any, **_: Any) -> None:
        seen["url"], seen["signed"] = request.url, request.headers["Authorization"].decode().split(",")[0]
        raise _StopError

    client.meta.events.register_first("before-send", stop)
    with pytest.raises(_StopError):
        client.list_tables()
    return seen["url"], seen["signed"]


@pytest.mark.parametrize("region", REGIONS)
def test_a_client_finds_and_signs_for_the_same_endpoint_as_botocores_own(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", region)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    lean, usual = aws.client("dynamodb", 1), botocore.session.Session().create_client("dynamodb")

    assert request(lean) == request(usual)
    assert lean.meta.partition == usual.meta.partition
