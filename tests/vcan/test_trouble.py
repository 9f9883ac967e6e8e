"""Interfaces that break under the CAN output, on real SocketCAN: what an inverter gets to see, and how old it is."""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.vcan.runner import run_in_uml

LINE = re.compile(r"\((\d+\.\d+)\) (\w+) 351#([0-9A-F]*)")
FRESH = 0.9  # s; what waited for a beat is older; publishing takes 0.1 s, more on a busy machine
BEAT = 1.6  # s; the guest also runs `ip` and adapters meanwhile; without one beat it would be 2.0


class Seen:
    """What reached the adapter behind can0, what candump wrote, and what the output said of itself."""

    def __init__(self, folder: Path, story: dict[str, Any], log: str) -> None:
        self.folder, self.story, self.log = folder, story, log
        self.status: dict[str, Any] = story["seen"]
        self._starts = sorted((at, name) for name, at in story["phases"].items())

    def span(self, phase: str) -> tuple[float, float]:
        starts = [*self._starts, (float("inf"), "")]
        return next((at, after) for (at, name), (after, _) in pairwise(starts) if name == phase)

    def limits(self, phase: str) -> list[tuple[float, float]]:
        """s since the phase began, and age [s], of every 0x351 that the adapter behind can0 was told in it."""
        begin, end = self.span(phase)
        return [
            (at - begin, self._age(at, data))
            for at, can_id, data in self.story["frames"]
            if can_id == 0x351 and begin <= at < end
        ]

    def dumped(self, file: str) -> list[tuple[float, float]]:
        """s since the phase "down" began, and age [s], of every 0x351 in a log of candump."""
        found = LINE.findall((self.folder / f"{file}.log").read_text())
        times = [(float(at) - self.story["offset"], data) for at, _, data in found]
        return [(at - self.span("down")[0], self._age(at, data)) for at, data in times]

    def count(self, phase: str) -> int:
        begin, end = self.span(phase)
        return sum(begin <= at < end for at, _, _ in self.story["frames"])

    def _age(self, at: float, data: str) -> float:
        return float(at - self.story["began"] - int.from_bytes(bytes.fromhex(data)[2:4], "little") / 10)


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with tempfile.TemporaryDirectory(prefix="vcan-", dir="/var/tmp") as folder:
        done = run_in_uml([sys.executable, "-m", "tests.vcan.trouble", folder], timeout=150)
        assert done.returncode == 0, done.stderr[-3000:]
        yield Seen(Path(folder), json.loads(done.stdout), done.stderr)


def test_a_queue_shorter_than_a_beat_costs_no_frame(seen: Seen) -> None:
    limits = seen.limits("short queue")
    assert len(limits) >= 3 and seen.count("short queue") == 6 * len(limits)
    assert seen.status["short queue"]["can0"]["send_errors"] == 0


def test_while_nobody_acknowledges_nothing_is_queued_behind_the_beat_that_waits(seen: Seen) -> None:
    assert seen.count("stuck") <= 1
    status = seen.status["stuck"]["can0"]
    assert status["connected"] is False
    assert "nobody acknowledges" in status["problem"]
    assert status["frames_dropped"] >= 3 * 6
    old = [limit for limit in seen.limits("freed") if limit[1] > FRESH]
    assert old[1:] == [], "the beat that waited, and no other"


def test_the_present_state_follows_at_once_when_the_queue_moves_on(seen: Seen) -> None:
    (first, old), (second, new) = seen.limits("freed")[:2]
    assert old > 3.0 and new < FRESH
    assert second - first < 0.5
    assert seen.status["freed"]["can0"]["connected"] is True


def test_an_error_passive_controller_is_said_and_goes_on(seen: Seen) -> None:
    interface = seen.status["passive"]["can0"]["interface"]
    assert interface["state"] == "error-passive"
    assert "nobody acknowledges" in interface["advice"]
    assert interface["error_frames"]["ack"] == 1
    assert len(seen.limits("passive")) >= 2


def test_in_bus_off_nothing_is_sent_and_the_commands_are_said(seen: Seen) -> None:
    assert all(at < 1.1 for at, _ in seen.limits("off"))
    status = seen.status["off"]["can0"]
    assert (status["connected"], status["bus_off"], status["interface"]["state"]) == (False, 1, "bus-off")
    assert "sudo ip link set can0 down && sudo ip link set can0 up" in status["problem"]
    assert seen.log.count("can0: bus off") == 1


def test_after_bus_off_only_the_present_state_is_sent(seen: Seen) -> None:
    limits = seen.limits("mended")
    assert limits[0][0] < 2.5
    assert all(age < FRESH for _, age in limits)
    assert seen.status["mended"]["can0"]["connected"] is True


def test_down_flushes_the_queue_and_after_up_no_old_frame_comes(seen: Seen) -> None:
    assert seen.status["stuck again"]["can0"]["connected"] is False
    assert seen.count("down") <= 1, "the one that the adapter had already; five waited in the kernel"
    limits = [*seen.limits("up"), *seen.limits("back")]
    assert len(limits) >= 4
    assert all(age < FRESH for _, age in limits)


@pytest.mark.parametrize(("channel", "files"), [("vcan0", ["vcan0"]), ("vcan1", ["vcan1", "vcan1again"])])
def test_an_interface_that_went_down_or_away_comes_back_with_the_present_state(
    seen: Seen, channel: str, files: list[str]
) -> None:
    assert seen.status["down"][channel]["connected"] is seen.status["there, but down"][channel]["connected"] is False
    assert seen.status["back"][channel]["connected"] is True
    lines = [line.partition(f" {channel}: ")[2] for line in seen.log.splitlines() if f" {channel}: " in line]
    said = [line for line in lines if line.startswith("cannot")]
    assert said and len(said) == len(set(said)), "each trouble once: an interface goes down before it is away"
    assert lines[lines.index(said[0]) :].count("works again") == 1, lines
    limits = [limit for file in files for limit in seen.dumped(file)]
    assert limits and max(age for _, age in limits) < FRESH
    before = [at for at, _ in limits if at < 0]
    assert max(later - earlier for earlier, later in pairwise(before)) < BEAT
    assert [at for at, _ in limits if at > seen.span("back")[0] - seen.span("down")[0]]


def test_the_others_and_the_loop_are_not_held_up(seen: Seen) -> None:
    assert seen.story["lag"] < 0.5
    assert seen.status["back"]["can0"]["interface"]["state"] == "error-active"
    assert seen.log.count("Traceback") == seen.log.count("a defect") == 0
