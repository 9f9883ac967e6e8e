"""Pull the plug, by the clock: a stopped device leads to stale, to 0 A on both outputs, and back."""

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.house import house, until

CONFIG = """
batteries:
  - {{name: pack, driver: jbd, port: {port}}}
limits:
  on_loss: {{block: true}}
outputs:
  can_bms: {{interface: virtual, channel: can0}}
  venus_dbus: {{}}
"""


def frame(state: dict, identifier: str) -> str:  # type: ignore[type-arg]
    """The data of the last frame with this id that the CAN output sent, in hex."""
    for line in state["outputs"]["can_bms"]["last_frames"]:
        if f"{identifier}#" in line:
            return str(line.split("#")[1])
    return ""


def test_a_stopped_device_leads_to_zero_limits_on_both_outputs_and_back(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.bus()
        port = home.pack("pack0", "jbd", "--soc", "60", "--current", "5")
        home.gateway(CONFIG.format(port=port))
        before = home.wait(
            lambda s: frame(s, "351") and home.dbus("/Soc") not in ("", None), 15, "both outputs to speak"
        )
        assert home.dbus("/Soc") == pytest.approx(before["bank"]["soc"], abs=0.2)
        assert home.dbus("/Dc/0/Voltage") == pytest.approx(before["bank"]["voltage"], abs=0.1)
        assert home.dbus("/Info/MaxChargeCurrent") > 0
        assert home.dbus("/Info/MaxDischargeCurrent") > 0
        assert frame(before, "35C")[:2] == "C0"

        stopped = time.monotonic()
        home.signal("pack0", signal.SIGSTOP)
        time.sleep(6)
        assert home.state()["batteries"][0]["health"] == "online"
        assert home.dbus("/Info/MaxChargeCurrent") > 0, "limits hold while the last values are young"

        home.wait(lambda s: s["batteries"][0]["health"] == "stale", 8, "stale")
        assert 9.0 < time.monotonic() - stopped < 13.0
        dead = home.wait(lambda s: frame(s, "351")[4:12] == "00000000", 4, "0 A on CAN")
        assert frame(dead, "35C")[:2] == "00"
        assert home.dbus("/Info/MaxChargeCurrent") == 0
        assert home.dbus("/Info/MaxDischargeCurrent") == 0
        assert home.dbus("/Info/MaxChargeVoltage") > 40, "chargers stop in a controlled way"
        assert home.dbus("/Dc/0/Voltage") is None
        assert home.dbus("/Io/AllowToCharge") == 0

        home.signal("pack0", signal.SIGCONT)
        home.wait(lambda s: s["batteries"][0]["health"] == "online", 5, "online again")
        back = home.wait(lambda s: s["decision"]["ccl"] > 0 and s["decision"]["dcl"] > 0, 60, "the limits to return")
        assert back["decision"]["allow_charge"]
        home.wait(lambda s: frame(s, "35C")[:2] == "C0", 3, "the enable bits to return")
        home.wait(lambda s: (home.dbus("/Info/MaxChargeCurrent") or 0) > 0, 3, "the D-Bus limit to return")
        assert "online -> stale" in home.log("gateway")
        assert "Traceback" not in home.log("gateway")


def test_the_bus_daemon_may_die_and_come_back(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        home.bus()
        port = home.pack("pack0", "jbd")
        home.gateway(CONFIG.format(port=port))
        home.wait(lambda s: home.dbus("/Soc") not in ("", None), 15, "the D-Bus service")
        sent = home.state()["outputs"]["can_bms"]["frames_sent"]
        home.signal("dbus", signal.SIGKILL)
        home.processes["dbus"].wait(5)
        home.wait(lambda s: not s["outputs"]["venus_dbus"]["connected"], 5, "the loss to be seen")
        home.wait(lambda s: s["outputs"]["can_bms"]["frames_sent"] >= sent + 12, 5, "CAN to go on")
        home.bus()
        home.wait(lambda s: home.dbus("/Soc") not in ("", None), 15, "the D-Bus service to return")
        assert "Traceback" not in home.log("gateway")


def test_with_nothing_there_it_runs_says_so_once_and_works_when_things_appear(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        config = CONFIG.format(port=tmp_path / "pack0").replace("virtual, channel: can0", "socketcan, channel: nocan9")
        process = home.gateway(config)
        missing = ("pack0: no such device", "socketcan nocan9: cannot open")
        until(lambda: all(what in home.log("gateway") for what in missing), 10, "both to be said")
        time.sleep(3)
        assert process.poll() is None
        assert [home.log("gateway").count(what) for what in missing] == [1, 1]
        home.pack("pack0", "jbd")
        home.bus()
        home.wait(lambda s: home.dbus("/Soc") not in ("", None), 25, "the service once all is there")
        assert "Traceback" not in home.log("gateway")
