"""A switch on D-Bus: it is there because the BMS has one, it works, and a refusal leads back to the path."""

import subprocess
from pathlib import Path

from tests.e2e.house import SERVICE, House, house, until

CONFIG = """
batteries:
  - {{name: rack, driver: jbd, port: {port}}}
outputs: {{venus_dbus: {{min_interval: 0.2}}}}
"""
CHARGE = "/Settings/ForceChargingOff"


def write(home: House, path: str, wanted: str) -> None:
    subprocess.run(
        ["dbus-send", "--session", "--print-reply", f"--dest={SERVICE}", path, "com.victronenergy.BusItem.SetValue",
         f"variant:{wanted}"],
        env=home.environment, check=True, capture_output=True, timeout=20,
    )  # fmt: skip


def test_a_switch_on_d_bus_works_and_says_what_became_of_it(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.bus()
        port = home.pack("pack", "jbd", "--seed", "3")
        home.gateway(CONFIG.format(port=port))
        until(lambda: home.dbus("/Soc"), 20, "a SoC on D-Bus", home.folder / "gateway.log")
        assert home.dbus(CHARGE) == 0
        write(home, CHARGE, "int32:1")
        until(lambda: "charge off confirmed" in str(home.dbus("/Settings/Outcome")), 10, "the outcome")
        assert (home.dbus(CHARGE), home.dbus("/Io/AllowToCharge")) == (1, 0)
        assert home.dbus("/Info/MaxChargeCurrent") == 0
        write(home, CHARGE, "int32:0")
        until(lambda: "charge on confirmed" in str(home.dbus("/Settings/Outcome")), 10, "the outcome")
        assert home.dbus(CHARGE) == 0
