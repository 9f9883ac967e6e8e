"""Recordings of real devices decide whether a driver is right: every file is one test."""

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from tests.vectors import Case, cases, differences, is_write

READINGS = [case for name in registry.names() for case in cases(name) if not is_write(case)]


@pytest.mark.parametrize("case", READINGS, ids=lambda case: f"{case.data['driver']}-{case}")
def test_recorded_exchange(case: Case) -> None:
    driver = registry.load(case.data["driver"])
    found = decode(driver, case.data)
    assert found.errors == []
    expected = case.data["expected"]
    readings = list(found.readings.values())
    assert differences(readings[0], expected) == []
    packs = expected.get("packs", [expected])
    assert [differences(reading, pack) for reading, pack in zip(readings, packs, strict=True)] == [[]] * len(packs)
