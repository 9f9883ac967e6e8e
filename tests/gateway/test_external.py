"""A shunt on a real D-Bus: there, without a value, silent, gone, and back.  Sheet: limits.md 5.5."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.external import RANGES, STALE_AFTER, ExternalSensor
from gateway.watched import Wanted, Watched
from tests.gateway.shunt import Shunt, daemon

SERVICE = "com.victronenergy.battery.ttyUSB9"
PATHS = {"current": "/Dc/0/Current", "soc": "/Soc"}


class Clock:
    """Time that a test may move."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with daemon(tmp_path) as found:
        yield found


def until(holds: Callable[[], bool], seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_values_are_read_while_the_service_is_there(
    address: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.external.RANGES", {name: (*RANGES[name][:2], 0.0) for name in RANGES})
    sensor = ExternalSensor(SERVICE, PATHS, address)
    assert "has not answered yet" in sensor.values().fault
    sensor.start()
    until(lambda: "is not there" in sensor.values().fault)
    assert (sensor.values().current, sensor.values().soc) == (None, None)
    with Shunt(address, SERVICE, {"/Dc/0/Current": -12.5, "/Soc": 71.0}) as shunt:
        until(lambda: sensor.values().current == -12.5 and sensor.values().soc == 71.0)
        assert sensor.values().fault == ""
        shunt.say("/Soc", None)
        until(lambda: sensor.values().soc is None)
        assert sensor.values().current == -12.5, "the other value is as good as before"
        assert "/Soc says no number, expected 0..100" in sensor.values().fault
        shunt.say("/Soc", 171.0)
        until(lambda: "/Soc says 171, expected 0..100" in sensor.values().fault)
        shunt.say("/Soc", 70.0)
        until(lambda: sensor.values().soc == 70.0)
    until(lambda: sensor.values().current is None and sensor.values().soc is None)
    sensor.stop()
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 3, "one line each time it goes"


def test_what_changes_slowly_is_asked_rarely_and_all_is_gone_with_the_service(address: str) -> None:
    wanted = {"quick": Wanted("/Quick", 0, 100), "slow": Wanted("/Slow", 0, 100, every=60.0)}
    watched = Watched(SERVICE, wanted, address, every=0.05, stale_after=60.0)
    with Shunt(address, SERVICE, {"/Quick": 1.0, "/Slow": 1.0}) as shunt:
        watched.start()
        until(lambda: watched.values() == {"quick": 1.0, "slow": 1.0})
        shunt.say("/Slow", 2.0)
        shunt.say("/Quick", 2.0)
        until(lambda: watched.values() == {"quick": 2.0, "slow": 1.0})
    until(lambda: watched.values() == {})
    with Shunt(address, SERVICE, {"/Quick": 1.0, "/Slow": 3.0}):
        until(lambda: watched.values() == {"quick": 1.0, "slow": 3.0})
    watched.stop()


def test_a_service_that_hangs_counts_until_its_values_are_stale(address: str) -> None:
    clock = Clock()
    sensor = ExternalSensor(SERVICE, {"current": "/Dc/0/Current"}, address, clock)
    with Shunt(address, SERVICE, {"/Dc/0/Current": 5.0}) as shunt:
        sensor.start()
        until(lambda: sensor.values().current == 5.0)
        shunt.hang()
        clock.ahead = STALE_AFTER - 10
        time.sleep(1.2)
        assert sensor.values().current == 5.0
        clock.ahead = STALE_AFTER + 1
        assert sensor.values().current is None
        assert "does not answer" in sensor.values().fault
        shunt.go_on()
        until(lambda: sensor.values().current == 5.0)
    sensor.stop()


def test_no_daemon_is_a_fault_and_no_crash(tmp_path: Path) -> None:
    sensor = ExternalSensor(SERVICE, PATHS, f"unix:path={tmp_path}/nothing")
    sensor.start()
    until(lambda: "cannot be asked" in sensor.values().fault)
    sensor.stop()


@pytest.mark.parametrize("service", ["com.victronenergy.battery.größe", "com.example"])
def test_a_question_that_fails_with_anything_is_a_fault_and_the_next_one_is_asked(
    address: str, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No such name, or a name that D-Bus cannot have: ValueError, and the thread goes on."""
    sensor = ExternalSensor(service, {"current": "/Dc/0/Current"}, address)
    watched = sensor._watched
    rounds: list[str] = []
    watched._every = 0.05
    watched.start(lambda: rounds.append(sensor.values().fault))
    until(lambda: len(rounds) >= 3)
    sensor.stop()
    assert sensor.values().current is None
    what = "cannot be asked" if "ö" in service else "is not there"
    assert all(f"/Dc/0/Current {what}" in fault for fault in rounds)
    assert sum("a defect" in record.message for record in caplog.records) == (1 if "ö" in service else 0)


def test_a_defect_in_what_is_done_with_the_values_does_not_end_the_asking(address: str) -> None:
    watched = Watched(SERVICE, {"soc": Wanted("/Soc", 0, 100)}, address, every=0.05, stale_after=60.0)
    rounds: list[int] = []

    def defect() -> None:
        rounds.append(1)
        raise ZeroDivisionError("division by zero")

    watched.start(defect)
    until(lambda: len(rounds) >= 3)
    watched.stop()
