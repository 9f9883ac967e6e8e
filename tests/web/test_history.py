"""What the plots show: rings of three steps, and blocks on the disk that survive what disks do."""

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outputs.web import disk
from outputs.web.history import LEVELS, History
from outputs.web.ring import BINS, Column, Ring, Step, last, mean
from tests import make
from tests.web.site import House, site

NOW = 1_790_000_000.0


def plot(history: History, span: str, now: float) -> Any:
    return asyncio.run(history.plot(span, now))


def known(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]


# ---- rings


@given(st.lists(st.tuples(st.floats(0, 1000), st.floats(-100, 100)), max_size=60))
def test_a_ring_is_in_order_and_bounded_whatever_the_clock_does(rows: list[tuple[float, float]]) -> None:
    ring = Ring([Column("a")], 1.0, 20)
    for wall, value in rows:
        ring.add(wall, {"a": value})
    assert list(ring.times) == sorted(set(ring.times))
    assert len(ring.times) == len(ring.values["a"]) <= 22
    if rows:
        assert ring.times[-1] == rows[-1][0]


@given(st.lists(st.none() | st.floats(-1e3, 1e3), min_size=1, max_size=100))
def test_a_point_lies_between_its_lowest_and_highest(values: list[float | None]) -> None:
    ring = Ring([Column("a", mean, 1)], 1.0, 200)
    for second, value in enumerate(values):
        ring.add(float(second), {"a": math.nan if value is None else value})
    points = ring.bins(Column("a", mean, 1), 0.0, 10.0, 10)
    low, high = points.get("low", points["value"]), points.get("high", points["value"])
    for number, middle in enumerate(points["value"]):
        inside = known(values[number * 10 : number * 10 + 10])
        assert (middle is None) == (not inside)
        if middle is not None:
            assert low[number] - 0.11 <= middle <= high[number] + 0.11
            assert min(inside) - 0.11 <= low[number] and high[number] <= max(inside) + 0.11


def test_a_longer_step_is_made_of_the_shorter_ones_rows() -> None:
    step = Step([Column("a"), Column("top", max), Column("mode", last)], 10.0)
    done = [step.add(float(n), {"a": n, "top": n % 7, "mode": n // 5, "b": 1.0}) for n in range(11)]
    assert done[:10] == [None] * 10
    assert done[10] == (10.0, {"a": 4.5, "top": 6, "mode": 1})


def test_an_hour_fills_all_three_plots_and_stays_small() -> None:
    history, began = History(), time.process_time()
    for n in range(0, 3700, 3):
        history.look(make.snapshot(float(n), decision=make.decision(soc=n % 100, charge_mode="float")))
    assert time.process_time() - began < 10.0
    hour, day, month = (plot(history, span, NOW + 3699) for span in ("1h", "24h", "30d"))
    assert len(hour["values"]["soc"]["value"]) == BINS and len(known(hour["values"]["soc"]["value"])) == BINS
    assert len(known(day["values"]["soc"]["value"])) == 16  # of 240 s
    assert len(known(month["values"]["soc"]["value"])) == 1
    assert hour["values"]["soc"]["low"][5] < hour["values"]["soc"]["high"][5]
    assert hour["modes"][int(hour["values"]["charge_mode"]["value"][9])] == "float"
    assert set(known(hour["values"]["cell_difference/rack-1"]["value"])) == {0.007}


def test_what_is_not_known_leaves_a_gap() -> None:
    history = History()
    for n in range(40):
        history.look(make.snapshot(float(n), bank=make.bank(voltage=None if 10 <= n < 30 else 53.2)))
    assert plot(history, "1h", 1_790_000_039.0)["values"]["voltage"]["value"][-4:] == [53.2, None, None, 53.2]


def test_nothing_is_kept_before_the_bank_is_complete_and_a_plot_of_nothing_is_empty() -> None:
    history = History()
    history.look(make.snapshot(bank=make.bank(complete=False)))
    assert plot(history, "24h", NOW)["values"] == {}


def test_a_battery_that_is_added_has_a_column_from_then_on() -> None:
    history = History()
    history.look(make.snapshot(0.0))
    history.look(make.snapshot(10.0, bank=make.bank(make.battery(), make.battery("rack-2"))))
    values = plot(history, "1h", 1_790_000_010.0)["values"]
    assert values["cell_difference/rack-1"]["value"][-2:] == [0.007, 0.007]
    assert values["cell_difference/rack-2"]["value"][-2:] == [None, 0.007]


# ---- the disk

ROWS = [(NOW + 10 * n, {"soc": float(n), "voltage": 53.0}) for n in range(50)]


@given(st.lists(st.dictionaries(st.text(max_size=4), st.floats(width=32, allow_nan=False), max_size=4), max_size=5))
def test_a_block_comes_back_as_it_was(values: list[dict[str, float]]) -> None:
    rows = [(NOW + n, row) for n, row in enumerate(values)]
    block = disk.unpack(disk.pack(rows), 0)
    assert block is not None
    for (wall, row), (was, before) in zip(block[0], rows, strict=True):
        assert wall == was and {name: value for name, value in row.items() if value == value} == before


@given(st.binary(max_size=80))
def test_any_bytes_are_no_block(noise: bytes) -> None:
    assert disk.unpack(noise, 0) is None


@pytest.mark.parametrize("harm", ["torn", "flipped", "foreign"])
def test_what_is_before_the_damage_counts(tmp_path: Path, harm: str) -> None:
    disk.save(tmp_path, ROWS[:25])
    (file,) = (tmp_path / disk.FOLDER).iterdir()
    whole = file.stat().st_size
    disk.save(tmp_path, ROWS[25:])
    raw = bytearray(file.read_bytes())
    if harm == "torn":
        del raw[-7:]
    elif harm == "flipped":
        raw[-9] ^= 1
    else:
        raw[whole : whole + 4] = b"????"
    file.write_bytes(raw)
    assert [wall for wall, _ in disk.load(tmp_path)] == [wall for wall, _ in ROWS[:25]]


def test_files_that_are_too_old_go(tmp_path: Path) -> None:
    days = [0, 1, *range(10, 41)]
    for day in days:
        disk.save(tmp_path, [(NOW + day * 86400, {"soc": 1.0})])
    assert [wall for wall, _ in disk.load(tmp_path)] == [NOW + day * 86400 for day in days[-disk.DAYS :]]
    assert len(list((tmp_path / disk.FOLDER).iterdir())) == disk.DAYS


def test_a_date_that_is_far_off_for_a_while_costs_no_history(tmp_path: Path) -> None:
    kept = [NOW + day * 86400 for day in range(-20, 1)]
    for wall in (*kept, NOW + 4000 * 86400, 86400.0, NOW + 60):
        disk.save(tmp_path, [(wall, {"soc": 1.0})])
    assert {*kept, NOW + 60} <= {wall for wall, _ in disk.load(tmp_path)}


def test_a_restart_goes_on_behind_what_was_kept(tmp_path: Path) -> None:
    now = time.time()
    disk.save(tmp_path, [(now - 7200 + 10 * n, {"soc": 40.0, "cell_difference/gone": 0.01}) for n in range(360)])

    async def look() -> dict[str, Any]:
        async with site(House(tmp_path), history_on_disk=True) as web:
            for n in range(25):
                web.publish(make.snapshot(float(n), wall=now + n))
            while (
                "soc" not in (found := await web.history.plot("24h", now + 30))["values"]
                or 40.0 not in found["values"]["soc"]["value"]
            ):
                await asyncio.sleep(0.01)
            return found

    values = asyncio.run(asyncio.wait_for(look(), 20))["values"]
    assert values["cell_difference/gone"]["value"].count(0.01) >= 14
    assert {40.0, 60.0} <= set(known(values["soc"]["value"]))
    assert [row["soc"] for _, row in disk.load(tmp_path)][-2:] == [60.0, 60.0]


def test_rows_wait_for_the_disk_only_where_somebody_takes_them() -> None:
    for keeping, most in ((False, 0), (True, 720)):
        history = History(keeping=keeping)
        history.look(make.snapshot())
        for n in range(1000):
            history.add(NOW + 10 * n, {"soc": 1.0}, 1)
        assert len(history.fresh) == most
    assert sum(size for _, size in LEVELS) * 4 * 12 < 1e6  # bytes
