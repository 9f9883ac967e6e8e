"""Recordings of real devices decide whether a driver is right: every file is one test."""

from collections.abc import Iterator

import pytest

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from bms_drivers.kit.decode import Decoded, decode
from gateway.model import Reading
from tests.vectors import UNRECORDED, Case, cases, differences, is_write

CASES = [case for name in registry.names() for case in cases(name)]
READINGS = [case for case in CASES if not is_write(case)]


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


@pytest.mark.parametrize("name", [name for name in registry.names() if name not in UNRECORDED])
def test_every_driver_has_a_recording(name: str) -> None:
    assert cases(name), f"none in tests/vectors/{name}/: make one with bms-gateway record --driver {name} (or --raw)"


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.data['driver']}-{case}")
def test_recording_expects_values_or_holds_writes(case: Case) -> None:
    file = f"tests/vectors/{case.data['driver']}/{case}.json"
    writes = decode(registry.load(case.data["driver"]), case.data).writes
    assert case.data["expected"] or writes, f'{file}: "expected" is empty: fill in what is certain of what decode shows'


def captured(driver: Driver) -> list[Decoded]:
    """What comes out of the recordings of real devices."""
    return [decode(driver, case.data) for case in cases(driver.name) if case.data["kind"] == "captured"]


def not_shown(driver: Driver, found: list[Decoded]) -> Iterator[str]:
    """Values that the plan gives, and commands, that are in none of these; alarms are, once one was raised."""
    readings = [reading for decoded in found for reading in decoded.readings.values()]
    for name in sorted({name for poll in driver.plan for name in poll.gives}):
        if not any(shows(reading, name) for reading in readings):
            yield name
    accepted = {write.split()[0] for decoded in found for write, was in decoded.writes.items() if was}
    yield from (f"set {control}" for control in sorted(driver.controls) if control not in accepted)


def shows(reading: Reading, name: str) -> bool:
    """The value is there."""
    value = getattr(reading, name)
    return any(value.values()) if name == "alarms" else value is not None and value != ()


@pytest.mark.parametrize("name", registry.names())
def test_standing_says_what_no_capture_has_shown(name: str) -> None:
    driver = registry.load(name)
    found = captured(driver)
    assert ("captures" in driver.standing) is bool(found), "recordings of a real device decide what the standing says"
    names = {*Reading.__dataclass_fields__, *(f"set {control}" for control in driver.controls)}
    said = {word for word in driver.unseen if word in names}
    assert said == (set(not_shown(driver, found)) if found else set()), "unseen= of the driver"
