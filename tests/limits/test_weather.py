"""A day of random weather: every cell stays within 20 mV of its limits, though the inverter obeys five seconds late."""

import pytest

from gateway.limits import LimitSettings
from tests.limits.play import WIDE, settings
from tests.limits.weather import House

MARGIN = 0.020  # V


@pytest.mark.parametrize(
    ("seed", "start", "spread", "limits"),
    [(1, 0.90, 0.0005, settings(**WIDE)), (2, 0.90, 0.01, settings(**WIDE)), (3, 0.12, 0.02, settings())],
    ids=["balanced", "out of balance and held by the voltage alone", "nearly empty"],
)
def test_every_cell_stays_at_its_limits_for_a_whole_day(
    seed: int, start: float, spread: float, limits: LimitSettings
) -> None:
    house = House(seed, start, spread, limits)
    modes, highest, lowest = set(), 0.0, 9.0
    for decision in house.run(24):
        modes.add(decision.charge_mode)
        highest, lowest = max(highest, *house.volts), min(lowest, *house.volts)
    print(f"seed {seed}: cells {lowest:.3f}..{highest:.3f} V, {', '.join(sorted(modes))}")
    assert highest < 3.45 + MARGIN
    assert lowest > 2.90 - MARGIN
    if spread < 0.001:
        assert "float" in modes, "the law is not kept by never charging"
    else:
        assert highest > 3.44 or lowest < 3.0, "nor by never coming near a limit"
