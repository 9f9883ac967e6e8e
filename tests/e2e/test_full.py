"""A completed charge: the BMS is told 100 % once, and it shows."""

from pathlib import Path

import pytest

from tests.e2e.house import House, house, until

CONFIG = """
batteries:
  - {{name: pack, driver: {driver}, port: {port}}}
limits:
  absorption: {{time: 1, cell_difference: 0.02}}
  by_cell_voltage: {{charge: {{enabled: false}}}}
outputs:
  can_bms: {{interface: virtual, channel: can0}}
"""


def charged(home: House, driver: str) -> None:
    """A pack at the end of its charge, whose BMS believes that it has 90 %."""
    port = home.pack("pack0", driver, "--soc", "90", "--current", "1")
    for cell in range(1, 17):
        home.tell("pack0", f"cell {cell} 3.455")
    home.gateway(CONFIG.format(driver=driver, port=port))
    home.wait(lambda s: s["decision"]["charge_mode"] == "float_transition", 20, "the end of absorption")


def test_a_daly_is_told_100_percent_and_confirms_it(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        charged(home, "daly")
        home.wait(lambda s: s["batteries"][0]["reading"]["soc"] > 99, 10, "100 % in the BMS's own reading")
        told = "pack: soc 100 % confirmed by reading back"
        until(lambda: told in home.log("gateway"), 5, "the confirmation")
        home.wait(lambda s: s["bank"]["soc"] > 99 and s["sequence"] > 15, 10, "some more readings")
        assert home.log("gateway").count(told) == 1
        assert "Traceback" not in home.log("gateway")


@pytest.mark.parametrize("driver", ["jbd", "jk"])
def test_a_bms_that_takes_it_only_by_hand_or_not_at_all_is_left_alone(tmp_path: Path, driver: str) -> None:
    with house(tmp_path) as home:
        charged(home, driver)
        state = home.wait(lambda s: s["history"]["automatic_syncs"] == 1, 5, "the charge to be counted")
        assert state["batteries"][0]["reading"]["soc"] == pytest.approx(90, abs=1)
        assert "soc 100" not in home.log("gateway")
