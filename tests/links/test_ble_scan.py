"""Who is asked in the air: those whose advertisement a driver may know, and nobody else."""

import asyncio
import re

import pytest

from bms_drivers.kit import registry
from bms_drivers.links import ble_scan
from bms_drivers.links.ble_manager import Manager
from bms_drivers.links.ble_scan import candidates, likely
from tests.links.air import Air, Peripheral

DRIVERS = [driver for name in registry.names() if (driver := registry.load(name)).ble is not None]


def uuid(short: str) -> str:
    return f"0000{short}-0000-1000-8000-00805f9b34fb"


@pytest.mark.parametrize(
    ("name", "services", "makers", "first"),
    [
        ("JK-B2A24S15P", ["ffe0"], [], "jk_ble"),
        ("renamed", ["ffe0"], [0x0B65], "jk_ble"),
        ("DP04S007L4S100A", ["ff00"], [], "jbd_ble"),
        ("ANT-BLE24BHUB", ["ffe0"], [], "ant_ble"),
        ("DL-40D63C10B2A4", ["fff0"], [], "daly_ble"),
        ("BT-TH-161E6FB1   ", [], [], "renogy_ble"),
        ("BP00", ["ff00"], [], "seplos_ble"),
        ("L-12100BNNA70", ["ffe0"], [0x585A], "litime_ble"),
        ("21-2400HLX+0013", ["ffe0"], [], "kilovault_ble"),
        ("XDZN_001_1234", ["fff0"], [], "xdzn_ble"),
        ("F07123456", [], [], "felicity_ble"),
    ],
)
def test_the_likeliest_driver_is_asked_first(name: str, services: list[str], makers: list[int], first: str) -> None:
    assert likely(name, [uuid(service) for service in services], makers, DRIVERS)[0] == first


@pytest.mark.parametrize("name", ["", "Pixel 8", "LE-Bose", "Forerunner 255", "my JK-BMS"])
def test_other_peoples_devices_are_left_alone(name: str) -> None:
    assert likely(name, [uuid("180f"), uuid("180d")], [0x004C], DRIVERS) == []


def test_a_service_alone_is_a_reason_to_ask_all_who_use_it() -> None:
    found = likely("somebody", [uuid("fff0")], [], DRIVERS)
    assert {"daly_ble", "jbd_ble", "renogy_ble", "seplos_v3_ble", "xdzn_ble"} == set(found)


def test_who_is_heard_is_told_with_port_and_strength(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ble_scan, "LISTEN", 0.1)

    async def work() -> list[ble_scan.Candidate]:
        air = Air(Peripheral("A4:C1:37:00:00:01"), Peripheral("A4:C1:37:00:00:02"))
        jbd = [driver for driver in DRIVERS if driver.name == "jbd_ble"]
        manager = Manager(scanner=air.scanner, client=air.client)
        assert await candidates(manager, "", jbd) == [], "SIM is no name of a JBD"
        air.peripherals["A4:C1:37:00:00:02"].name = "JBD-1"
        return await candidates(manager, "hci1", jbd)

    (found,) = asyncio.run(work())
    assert (found.port, found.name, found.signal) == ("ble:A4:C1:37:00:00:02@hci1", "JBD-1", -67)
    assert found.drivers == ("jbd_ble",)


def test_the_patterns_of_names_are_patterns() -> None:
    for driver in DRIVERS:
        assert driver.ble is not None
        re.compile(driver.ble.names)
