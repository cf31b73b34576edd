"""What every Parking does, in memory or in S3."""

import pytest

from tests.contract.conftest import ParkingUnderTest


@pytest.fixture
def store(parking_under_test: ParkingUnderTest) -> ParkingUnderTest:
    """Each of them."""
    return parking_under_test


def test_what_is_parked_is_kept(store: ParkingUnderTest) -> None:
    store.parking.park("parked/f/2026-11-23/event:1.json", '{"reason":"ß"}')

    assert store.document("parked/f/2026-11-23/event:1.json") == '{"reason":"ß"}'


def test_parking_again_replaces_the_first(store: ParkingUnderTest) -> None:
    store.parking.park("key", "first")
    store.parking.park("key", "second")

    assert store.document("key") == "second"
