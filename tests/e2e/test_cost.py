"""What the commonest house costs in what is exact: Python calls and wake-ups.  Times are for ./dev bench cost."""

from pathlib import Path

import pytest

import bench.cost
from bench.cost import CAN, DBUS, counted

CALLS = 870  # a second, as docs/performance.md has them for Python 3.11; later versions need fewer
TURNS = 6.0  # of the event loop a second at most: two questions and their answers make four, now and then the disk one
# more, and on a busy machine an answer that comes in two parts; where each wait took a turn more there would be eight
SECONDS = 8.0


def test_one_pack_makes_no_more_python_calls_and_turns_of_the_loop_than_it_did(tmp_path: Path) -> None:
    found = counted(tmp_path, CAN + DBUS, SECONDS)
    calls = sum(found.values()) / SECONDS
    most = "\n".join(f"{number / SECONDS:7.1f} {name}" for name, number in list(found.items())[:30])
    assert calls <= 1.1 * CALLS, f"{calls:.0f} calls a second\n{most}"
    turns = sum(number for name, number in found.items() if name.endswith("BaseEventLoop._run_once")) / SECONDS
    assert 0 < turns <= TURNS, f"{turns:.1f} turns of the event loop a second"


def test_the_bench_tells_cpu_wakes_memory_and_calls_of_each_house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.cost, "PACKS", (1,))
    monkeypatch.setattr(bench.cost, "OUTPUTS", {"CAN and D-Bus": CAN + DBUS})
    monkeypatch.setattr(bench.cost, "WARM", 3.0)
    rows = {name: figure for name, figure, _ in bench.cost.cost(tmp_path, 2.0)}
    who, figures = (
        "1 pack, CAN and D-Bus",
        ("CPU a poll", "wake-ups a second", "memory, RSS and PSS", "Python calls a second"),
    )
    assert set(rows) == {
        *(f"{who}: {figure}" for figure in figures),
        "a bare asyncio timer, one beat a second: CPU a beat",
    }
    assert float(rows[f"{who}: CPU a poll"].split()[0]) > 0
