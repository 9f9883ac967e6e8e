"""A shunt on the bus, the history, and its clearing, as the GX sees them."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.house import ITEM, PROGRAM, SERVICE, House, house
from tests.gateway.shunt import Shunt

SHUNT = "com.victronenergy.battery.ttyUSB9"
CONFIG = """
batteries:
  - {{name: pack, driver: jbd, port: {port}}}
bank:
  external_sensor: {{service: com.victronenergy.battery.ttyUSB9, current: /Dc/0/Current, soc: /Soc}}
limits:
  time_to_go: {{points: [20, 90], every: 5}}
outputs:
  venus_dbus: {{slow_interval: 1}}
"""


def set_value(home: House, path: str, value: str) -> None:
    """As the GX's menu does."""
    words = [
        "dbus-send",
        "--session",
        "--print-reply",
        f"--dest={SERVICE}",
        path,
        f"{ITEM}.SetValue",
        f"variant:{value}",
    ]
    subprocess.run(words, check=True, capture_output=True, env=home.environment, timeout=10)


def test_a_shunt_measures_for_the_house_while_it_is_there(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.bus()
        port = home.pack("pack0", "jbd", "--soc", "60", "--current", "5")
        address = home.environment["DBUS_SESSION_BUS_ADDRESS"]
        with Shunt(address, SHUNT, {"/Dc/0/Current": -30.0, "/Soc": 55.0}):
            home.gateway(CONFIG.format(port=port))
            home.wait(lambda s: home.dbus("/Soc") == 55.0, 15, "the shunt's SoC")
            assert home.dbus("/Dc/0/Current") == -30.0
            assert home.dbus("/Dc/0/Power") == pytest.approx(-30.0 * home.dbus("/Dc/0/Voltage"), abs=5)
            assert home.dbus("/SocBms") == pytest.approx(60.0, abs=0.5)
            home.wait(lambda s: (home.dbus("/TimeToSoC/20") or 0) > 3600, 8, "the time to 20 %")
            assert home.dbus("/TimeToSoC/90") is None, "not on the way"
            home.wait(lambda s: (home.dbus("/History/DischargedEnergy") or 0) >= 0, 5, "the history")
            lowest = home.dbus("/History/MinimumVoltage")
            assert lowest == pytest.approx(home.dbus("/Dc/0/Voltage"), abs=0.5)
        home.wait(lambda s: home.dbus("/Soc") == home.dbus("/SocBms"), 5, "the BMS's own SoC again")
        assert home.dbus("/Dc/0/Current") == pytest.approx(5.0, abs=0.3)
        status = subprocess.run([PROGRAM, "status"], capture_output=True, text=True, env=home.environment, check=True)
        assert f"external sensor: {SHUNT}: /Dc/0/Current is not there" in status.stdout
        assert home.log("gateway").count("the BMSs' own values are used") == 1
        home.tell("pack0", "current -50")
        home.wait(lambda s: s["history"]["minimum_voltage"] < lowest - 0.05, 10, "a lower voltage in the history")
        home.tell("pack0", "current 5")
        home.wait(lambda s: s["bank"]["voltage"] > lowest - 0.04, 10, "the voltage to come back")
        set_value(home, "/History/Clear", "int32:3")
        home.wait(lambda s: s["history"]["minimum_voltage"] > lowest - 0.05, 5, "cleared voltages")
        done = subprocess.run(
            [PROGRAM, "command", "clear-history", "all"],
            capture_output=True,
            text=True,
            env=home.environment,
            check=True,
        )
        assert done.stdout == "history: all cleared\n"
        assert "Traceback" not in home.log("gateway")
