"""What survives a restart.  Sheet: limits.md chapter 12."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import Memory
from tests.limits.play import WALL, WIDE, Play, cells, settings

DAY = 86400.0


def test_a_first_start_is_bulk() -> None:
    assert Memory.restore({}, 5.0, WALL) == Memory(now=5.0)


@pytest.mark.parametrize(
    ("started", "kept"),
    [(WALL - 500, True), (WALL - DAY + 1, True), (WALL - DAY - 1, False), (WALL + 10, False), (0, False), (-5, False),
     ("soon", False), (True, False), (float("nan"), False), (float("inf"), False), (10**400, False), ([], False)],
)  # fmt: skip
def test_an_absurd_start_of_absorption_is_none(started: object, kept: bool) -> None:
    memory = Memory.restore({"max_voltage_start_time": started, "date": WALL}, 5.0, WALL)
    assert (memory.absorbing_since is not None) is kept


def test_a_battery_in_float_is_not_absorbing() -> None:
    data = {"allow_max_voltage": False, "max_voltage_start_time": WALL - 500}
    assert Memory.restore(data, 5.0, WALL).absorbing_since is None


@pytest.mark.parametrize("value", [-1, 1e7, "80", None, True, float("nan"), 10**400])
def test_an_absurd_number_is_none(value: object) -> None:
    kept = {"soc_calc": value, "charge": value, "discharge": value}
    memory = Memory.restore({"batteries": {"a": kept}, "limited_voltage": value}, 0.0, WALL)
    assert (memory.batteries, memory.voltage.volts) == ({}, None)
    assert Memory.restore({"batteries": {"a": {"soc_calc": 101}}}, 0.0, WALL).batteries == {}


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = (*Memory().persisted(), "other")


@given(st.dictionaries(st.sampled_from(NAMES), JUNK | st.dictionaries(st.just("a"), JUNK)) | JUNK)
def test_junk_is_never_believed_and_never_a_crash(data: Any) -> None:
    play = Play(settings(soc={"source": "counter"}), memory=Memory.restore(data, 100.0, WALL))
    found = play.run(5)
    assert found.soc is not None and 0 <= found.soc <= 100
    assert found.cvl is not None and 46.4 <= found.cvl <= 55.2
    json.dumps(play.memory.persisted(), allow_nan=False)


def test_what_is_stored_comes_back_the_same() -> None:
    play = Play(settings(**WIDE, soc={"source": "counter"}, soc_reset={"after_days": 10, "cell_voltage": 3.5}))
    play.set(cell_voltages=cells(3.51), current=5.0).run(400)
    data = json.loads(json.dumps(play.memory.persisted()))
    again = Memory.restore(data, 7.0, play.wall)
    assert again.persisted() == data


@pytest.mark.parametrize("moment", [100, 500, 950, 1500, 2500])
def test_a_restart_at_any_time_changes_nothing_but_what_is_not_stored(moment: int) -> None:
    straight, broken = (Play(settings(**WIDE)).set(cell_voltages=cells(3.452), soc=97.0) for _ in range(2))
    straight.run(moment)
    broken.run(moment)
    broken.restart(down=0)
    modes = [(straight.run(5, dt=5).charge_mode, broken.run(5, dt=5).charge_mode) for _ in range(500)]
    if 901 < moment <= 2100:  # the way down to float is not stored: it ends at once, which lowers the voltage
        assert {was for was, _ in modes} == {"float_transition", "float"}
        assert {now for _, now in modes} == {"float"}
    else:
        assert all(was == now for was, now in modes)
    assert straight.memory.last_full == broken.memory.last_full


def test_a_stored_battery_that_is_not_there_now_is_kept() -> None:
    data = {"batteries": {"away": {"soc_calc": 44.0}}}
    play = Play(memory=Memory.restore(data, 100.0, WALL))
    play.run(5)
    assert play.memory.persisted()["batteries"]["away"] == data["batteries"]["away"]
