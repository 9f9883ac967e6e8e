"""What the commonest house costs in what is exact: Python calls and wake-ups.  Times are for ./dev bench cost."""

from pathlib import Path

from bench.cost import CAN, DBUS, counted

CALLS = 1750  # a second, as docs/performance.md has them for Python 3.11; later versions need fewer


def test_one_pack_makes_no_more_python_calls_than_it_did(tmp_path: Path) -> None:
    found = counted(tmp_path, CAN + DBUS, 8.0)
    calls = sum(found.values()) / 8.0
    most = "\n".join(f"{number / 8.0:7.1f} {name}" for name, number in list(found.items())[:30])
    assert calls <= 1.1 * CALLS, f"{calls:.0f} calls a second\n{most}"
