"""The table of limits.md 8.2 once by the real clock: three houses lose their BMS at the same moment, one a column.

This is the slow one of the tests (a minute and a half), because the table's own times are what it is about.
"""

import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, house
from tests.e2e.test_plug import frame

CONFIG = """
batteries:
  - {{name: pack, driver: jbd, port: {port}}}
limits:
  on_loss: {{block: {block}, timeout_minutes: 1.2}}
outputs:
  can_bms: {{interface: virtual, channel: can0, silence_after: null}}
  venus_dbus: {{}}
"""
FLOAT = 54.0  # V
AGES = (5, 14, 50, 64, 77)  # s; the table changes at 10, at 60 and, by the setting, at 72


@dataclass
class Told:
    """What both outputs say at one age of the last reading."""

    age: float
    measured: tuple[Any, Any, Any]  # V, A, W on D-Bus
    cvl: float
    currents: tuple[float, float]  # A, CCL and DCL on D-Bus
    allowed: tuple[float, float]
    cable: float
    can: tuple[float, float, float]  # V, A, A in frame 351
    enabled: str  # first byte of frame 35C

    @property
    def stopped(self) -> bool:
        """0 A and no permission, both ways, on both outputs."""
        return self.currents == (0, 0) == self.allowed == self.can[1:] and self.enabled == "00"

    @property
    def flowing(self) -> bool:
        """Limits and permissions, on both outputs."""
        return min(*self.currents, *self.allowed, *self.can) > 0 and self.enabled == "C0"


def told(home: House) -> Told:
    """Ask both outputs."""
    state = home.state()
    raw = bytes.fromhex(frame(state, "351"))
    volts, charge, discharge = (int.from_bytes(raw[at : at + 2], "little") / 10 for at in (0, 2, 4))
    measured = tuple(home.dbus(f"/Dc/0/{what}") for what in ("Voltage", "Current", "Power"))
    return Told(
        age=state["batteries"][0]["age"],
        measured=(measured[0], measured[1], measured[2]),
        cvl=home.dbus("/Info/MaxChargeVoltage"),
        currents=(home.dbus("/Info/MaxChargeCurrent"), home.dbus("/Info/MaxDischargeCurrent")),
        allowed=(home.dbus("/Io/AllowToCharge"), home.dbus("/Io/AllowToDischarge")),
        cable=home.dbus("/Alarms/BmsCable"),
        can=(volts, charge, discharge),
        enabled=frame(state, "35C")[:2],
    )


@pytest.fixture
def columns(tmp_path: Path) -> Any:
    with ExitStack() as stack:
        homes = {}
        for name, block, cell in (("block", True, "3.30"), ("safe", False, "3.30"), ("not safe", False, "3.40")):
            folder = tmp_path / name.replace(" ", "_")
            folder.mkdir()
            home = stack.enter_context(house(folder))
            home.bus()
            port = home.pack("pack0", "jbd", "--soc", "55", "--current", "5")
            home.tell("pack0", f"cell 1 {cell}")
            time.sleep(0.5)
            home.gateway(CONFIG.format(port=port, block=str(block).lower()))
            homes[name] = home
        for home in homes.values():
            home.wait(lambda s, h=home: frame(s, "351") and h.dbus("/Soc") not in ("", None), 20, "both outputs")  # type: ignore[misc]
        yield homes


def test_chapter_8_2_in_real_time(columns: dict[str, House]) -> None:
    before = {name: told(home) for name, home in columns.items()}
    assert all(found.flowing and found.cable == 0 for found in before.values())
    pulled = time.monotonic()
    for home in columns.values():
        home.signal("pack0", signal.SIGSTOP)
    table: dict[str, dict[int, Told]] = {name: {} for name in columns}
    for age in AGES:
        time.sleep(max(0.0, pulled + age - time.monotonic()))
        for name, home in columns.items():
            table[name][age] = told(home)
    for name, found in table.items():
        assert [pytest.approx(one.age, abs=4) for one in found.values()] == list(AGES), name
        assert found[5].flowing and found[5].currents == before[name].currents, f"{name}: last values below 10 s"
        assert all(None not in one.measured for age, one in found.items() if age < 10)
        assert all(one.measured == (None, None, None) for age, one in found.items() if age > 10), name
        assert all(0 < one.cvl <= FLOAT and one.can[0] <= FLOAT for age, one in found.items() if age > 10), name
        assert all(a <= b for one in found.values() for a, b in zip(one.currents, before[name].currents, strict=True))
    assert [one.stopped for one in table["block"].values()] == [False, True, True, True, True]
    assert [one.cable for one in table["block"].values()] == [0, 0, 0, 2, 2]
    assert [one.flowing for one in table["safe"].values()] == [True, True, True, True, False]
    assert [one.cable for one in table["safe"].values()] == [0, 0, 0, 1, 2]
    assert table["safe"][77].stopped
    assert [one.flowing for one in table["not safe"].values()] == [True, True, True, False, False]
    assert [one.cable for one in table["not safe"].values()] == [0, 0, 0, 2, 2]
    assert table["not safe"][64].stopped
    for home in columns.values():
        home.signal("pack0", signal.SIGCONT)
    for home in columns.values():
        home.wait(lambda s: s["batteries"][0]["good_in_a_row"] >= 3, 10, "three good readings")
        home.wait(lambda s, h=home: h.dbus("/Alarms/BmsCable") == 0, 5, "the alarm to end")  # type: ignore[misc]
        assert "Traceback" not in home.log("gateway")
