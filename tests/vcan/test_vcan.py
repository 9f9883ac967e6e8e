"""The CAN output on real SocketCAN, seen by candump: one boot of a guest kernel, one life of the output."""

import json
import re
import struct
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.vcan.pulse import still
from tests.vcan.runner import run_in_uml

LINE = re.compile(r"\((\d+\.\d+)\) (\w+) ([0-9A-F]+)#([0-9A-F]*)")
ORDER = [0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E]


@dataclass(frozen=True)
class Seen:
    """What candump wrote, and what the output said of itself."""

    folder: Path
    phases: Mapping[str, float]
    status: Mapping[str, Any]
    stops: Sequence[Sequence[float]]
    log: str

    def gap(self, earlier: float, later: float) -> float:
        """s between two of these times in which the program ran."""
        return later - earlier - still(self.stops, earlier, later)

    def frames(self, channel: str, phase: str = "", until: str = "end") -> list[tuple[float, int, bytes]]:
        begin, end = self.phases.get(phase, 0.0), self.phases[until]
        found = [LINE.match(line) for line in (self.folder / f"{channel}.log").read_text().splitlines()]
        frames = [(float(m[1]), int(m[3], 16), bytes.fromhex(m[4])) for m in found if m]
        return [frame for frame in frames if begin <= frame[0] < end and frame[1] != 0x305]


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with tempfile.TemporaryDirectory(prefix="vcan-", dir="/var/tmp") as folder:
        done = run_in_uml([sys.executable, "-m", "tests.vcan.scenario", folder], timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        story = json.loads(done.stdout)
        yield Seen(Path(folder), story["phases"], story["seen"], story["stops"], done.stderr)


def test_nothing_is_on_the_bus_before_every_battery_answered(seen: Seen) -> None:
    assert seen.frames("vcan0", "waiting", "normal") == []
    assert seen.frames("vcan0", "normal", "blocked")[0][0] - seen.phases["normal"] < 0.5


def test_six_frames_in_order_once_a_second(seen: Seen) -> None:
    frames = seen.frames("vcan0", "normal", "blocked")
    assert [identifier for _, identifier, _ in frames] == ORDER * (len(frames) // 6)
    for identifier in ORDER:
        times = [at for at, found, _ in frames if found == identifier]
        gaps = [seen.gap(*both) for both in pairwise(times)]
        assert len(gaps) >= 4
        assert max(gaps) < 1.1, f"{identifier:03X}: {gaps}"
        stopped = still(seen.stops, times[0], times[-1])
        assert (times[-1] - times[0]) / len(gaps) == pytest.approx(1.0, abs=0.03 + stopped / len(gaps))


def test_the_bytes_say_what_was_decided(seen: Seen) -> None:
    data = {identifier: data for _, identifier, data in seen.frames("vcan0", "normal", "blocked")}
    assert struct.unpack("<HhhH", data[0x351]) == (552, 500, 600, 464)  # 55.2 V, 50 A, 60 A, 46.4 V
    assert struct.unpack("<HHxxxx", data[0x355]) == (60, 99)
    assert struct.unpack("<hhhxx", data[0x356]) == (5320, 200, 250)  # 53.2 V, 20 A charging, 25 °C
    assert data[0x359].hex() == "0000000001504e00"
    assert data[0x35C][0] == 0xC0
    assert data[0x35E] == b"PYLON   "


def test_a_lost_bms_is_said_with_zero_limits_and_alarm_and_then_with_silence(seen: Seen) -> None:
    frames = seen.frames("vcan0", "blocked", "back")
    data = {identifier: data for _, identifier, data in frames}
    assert struct.unpack("<HhhH", data[0x351]) == (552, 0, 0, 464)
    assert data[0x35C][0] == 0x00
    assert data[0x359][1] == 0x08 and data[0x359][3] == 0x08  # system error, internal communication
    assert 6 <= len(frames) <= 12
    assert max(at for at, _, _ in frames) - seen.phases["blocked"] < 1.6
    assert seen.status["blocked"]["vcan0"]["silent"] is True
    assert len(seen.frames("vcan0", "back")) >= 6


def test_the_inverters_keep_alive_is_seen(seen: Seen) -> None:
    assert seen.status["waiting"]["vcan0"]["keepalive_age"] is None
    assert 0 <= seen.status["faults"]["vcan0"]["keepalive_age"] < 3
    assert seen.status["faults"]["vcan1"]["keepalive_age"] is None


def test_a_network_that_goes_down_is_said_once_and_comes_back(seen: Seen) -> None:
    assert seen.status["faults"]["vcan1"]["connected"] is False
    assert "down" in seen.status["faults"]["vcan1"]["problem"]
    assert seen.status["normal"]["vcan1"]["connected"] is True
    assert seen.status["blocked"]["vcan1"]["frames_sent"] > seen.status["faults"]["vcan1"]["frames_sent"]
    assert seen.log.count("vcan1: cannot") == 1 and seen.log.count("vcan1: works again") == 1


def test_an_interface_that_appears_late_is_used(seen: Seen) -> None:
    assert seen.status["faults"]["vcan9"]["connected"] is False
    assert seen.log.count("vcan9: cannot open") == 1
    assert seen.frames("vcan9", "normal")


def test_frames_of_another_bms_are_told_from_our_own(seen: Seen) -> None:
    assert seen.status["normal"]["vcan1"]["other_bms"] == []
    assert seen.status["another"]["vcan1"]["other_bms"] == ["0x351", "0x356"]
    assert seen.status["another"]["vcan1"]["other_bms_frames"] == 2
    assert all(status["vcan0"]["other_bms_frames"] == 0 for status in seen.status.values())
    assert seen.log.count("vcan1: another BMS sends") == 1
