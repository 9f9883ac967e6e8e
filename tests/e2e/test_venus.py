"""What systemcalc would see: one BMS whatever happens, under the same instance after every kind of restart."""

import re
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.house import SERVICE, House, dbus_value, house, until
from tests.venus_dbus.localsettings import running

CONFIG = """
batteries:
  - {name: one, driver: jbd, port: simulated}
  - {name: two, driver: jbd, port: simulated}
outputs:
  venus_dbus: {each_battery: true}
"""
ALL = [SERVICE, f"{SERVICE}_one", f"{SERVICE}_two"]


def ask(home: House, *words: str) -> str:
    """As any plain client does; "" where nobody answers."""
    command = ["dbus-send", "--session", "--print-reply", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=home.environment, timeout=10, check=False)
    return done.stdout if done.returncode == 0 else ""


def batteries(home: House) -> dict[str, dict[str, Any]]:
    """What a monitor knows of every battery service by GetItems: service -> path -> value."""
    bus = ("--dest=org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames")
    names = sorted(re.findall(r"com\.victronenergy\.battery\.\w+", ask(home, *bus)))
    found = {name: ask(home, f"--dest={name}", "/", "com.victronenergy.BusItem.GetItems") for name in names}
    return {name: items(text) for name, text in found.items() if text}


def items(text: str) -> dict[str, Any]:
    """GetItems as dbus-send prints it."""
    entries = re.split(r'string "(/[^"]+)"\n', text)[1:]
    return {
        path: dbus_value(entry.partition('"Text"')[0]) for path, entry in zip(entries[::2], entries[1::2], strict=True)
    }


def seen(home: House) -> tuple[list[str], list[str], dict[str, float]]:
    """The services, those of them that are a BMS by systemcalc's rule, and their instances."""
    found = batteries(home)
    bms = [name for name, values in found.items() if "/Info/MaxChargeVoltage" in values]  # whatever its value is
    usable = all(values["/Connected"] == 1 and values["/ProductName"] for values in found.values())
    assert usable
    return list(found), bms, {name: values["/DeviceInstance"] for name, values in found.items()}


def test_one_bms_under_the_same_instance_after_every_kind_of_restart(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.bus()
        address = home.environment["DBUS_SESSION_BUS_ADDRESS"]
        with running(address, "1"):
            home.gateway(CONFIG)
            until(lambda: seen(home)[0] == ALL, 10, "three services", tmp_path / "gateway.log")
            _, bms, instances = seen(home)
            assert bms == [SERVICE] and sorted(instances.values()) == [2, 3, 4]
            values = batteries(home)[SERVICE]
            assert (values["/Info/MaxChargeCurrent"], values["/System/NrOfModulesOnline"]) == (100, 2)

            home.processes["gateway"].kill()
            home.gateway(CONFIG)
            until(lambda: seen(home) == (ALL, [SERVICE], instances), 10, "the same after our restart")

            home.processes["dbus"].kill()
            home.processes["dbus"].wait(5)
        home.bus()
        until(lambda: seen(home)[:2] == (ALL, [SERVICE]), 10, "the same on a new bus")
        assert "Traceback" not in home.log("gateway")
