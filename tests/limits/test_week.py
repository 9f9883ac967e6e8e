"""A week in which everything happens again and again: what is remembered does not grow."""

import gc
import json
import pickle
import random
import sys
from functools import _lru_cache_wrapper

from tests.limits.play import Play, cells, settings
from tests.make import reading

DAY = 86400.0  # s
STEP = 60.0  # s
NAMES = ("a", "b", "c", "d")


def live(play: Play, dice: random.Random) -> None:
    """A day: charge and discharge, silences, broken sensors, switches, full charges; half of each hour nobody looks."""
    for hour in range(24):
        volts = dice.choice([3.05, 3.20, 3.29, 3.33, 3.40, 3.451, 3.46])
        play.set(cell_voltages=cells(volts, volts + dice.choice([0.0, 0.004, 0.03])), current=dice.uniform(-60, 50))
        play.set(soc=dice.uniform(0, 100), temperatures=(dice.uniform(-5, 50), 25.0), charge_allowed=True)
        name = dice.choice(NAMES)
        play.set(name, temperatures=(None, 25.0), mosfet_temperature=dice.choice([None, 40.0, 85.0]))
        play.set(dice.choice(NAMES), charge_allowed=hour % 3 > 0)
        play.silence(name).run(300, dt=STEP)
        play.answer(name).run(1500, dt=STEP)
        play.run(1800, dt=1800)


def size(play: Play) -> tuple[int, int, int]:
    """Blocks of memory in use, bytes of what is remembered, and of what is stored; what is bounded is emptied first."""
    for one in gc.get_objects():
        if isinstance(one, _lru_cache_wrapper):
            one.cache_clear()
    gc.collect()
    return sys.getallocatedblocks(), len(pickle.dumps(play.memory)), len(json.dumps(play.memory.persisted()))


def test_a_week_later_nothing_has_grown() -> None:
    limits = settings(soc={"source": "counter"}, obey_check={"enabled": True}, imbalance={"enabled": True})
    play, dice = Play(limits, {name: reading(capacity=280.0) for name in NAMES}), random.Random(7)
    live(play, dice)
    live(play, dice)
    blocks, memory, stored = size(play)
    for _ in range(5):
        live(play, dice)
    later = size(play)
    assert play.now > 7 * DAY
    assert play.memory.full_events > 0
    assert later[0] - blocks < 300, "a leak of one object an hour would be 480 blocks for four batteries"
    assert abs(later[1] - memory) < 2000
    assert abs(later[2] - stored) < 300
