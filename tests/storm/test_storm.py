"""The whole pipeline in bad weather.  STORM=50000 ./dev test tests/storm for a long one."""

import asyncio
import os

import pytest

from tests.storm.house import House
from tests.storm.laws import broken

STEPS = int(os.environ.get("STORM", "2000"))
HOUSES = 8  # houses that share the steps


async def _storm(seed: int, steps: int) -> None:
    house = House(seed)
    for number in range(steps):
        snapshot = await house.step()
        problems = broken(house, snapshot)
        assert not problems, f"house {seed}, step {number}, at {house.now:.1f} s: {'; '.join(problems)}"


@pytest.mark.parametrize("seed", range(HOUSES))
def test_no_weather_loosens_a_limit(seed: int) -> None:
    asyncio.run(_storm(seed, STEPS // HOUSES))
