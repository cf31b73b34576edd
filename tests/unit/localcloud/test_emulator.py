"""The repairs of the emulator end it loudly when it is no longer the one they were made for."""

from types import ModuleType

import pytest

from localcloud import emulator


def test_a_version_that_renames_its_pollers_does_not_start() -> None:
    renamed = ModuleType("lambda_svc")

    with pytest.raises(SystemExit) as end:
        emulator.stop_stream_pollers(renamed)

    assert "has no _poll_kinesis, _poll_dynamodb_streams in lambda_svc" in str(end.value)
    assert emulator.PINNED in str(end.value)


@pytest.mark.parametrize(
    "repair", [emulator.keep_stream_settings, emulator.keep_closed_shards, emulator.expire_from_the_front]
)
def test_every_repair_asks_for_what_it_is_built_on(repair: object) -> None:
    assert callable(repair)

    with pytest.raises(SystemExit):
        repair(ModuleType("renamed"))
