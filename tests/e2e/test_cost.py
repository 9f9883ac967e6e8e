"""What the commonest house costs in what is exact: Python calls and wake-ups.  Times are for ./dev bench cost."""

from pathlib import Path

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
