"""Runs inside the guest: the CAN output on real SocketCAN buses through a life with faults, watched by candump.

    python -m tests.vcan.scenario FOLDER

Writes FOLDER/vcan0.log, vcan1.log, vcan9.log (candump) and prints one JSON object: when which phase began (s since the
epoch, as in the logs), what `status` said in it, and from when to when nothing of this program ran.
"""

import asyncio
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gateway.model import Decision, Snapshot
from outputs.can_bms.build import build
from outputs.can_bms.prepare import prepare
from outputs.can_bms.settings import Settings
from outputs.output import Output
from tests import make
from tests.vcan.pulse import Pulse
from tests.vcan.shell import Shell

SILENCE_AFTER = 1.5  # s


def can_output(channel: str) -> Output:
    settings = Settings(interface="socketcan", channel=channel, silence_after=SILENCE_AFTER)
    return build(prepare(settings), time.monotonic, lambda command: None, "test")


async def aside(work: Callable[..., object], *arguments: object) -> None:
    """Do what blocks in a thread: the loop that is watched must not be the one that is held up."""
    await asyncio.to_thread(work, *arguments)


class Watch:
    """candump on one bus."""

    def __init__(self, channel: str, folder: Path, again: str = "") -> None:
        self.file = (folder / f"{channel}{again}.log").open("wb")
        self.process = subprocess.Popen(("candump", "-D", "-L", channel), stdout=self.file)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.file.close()


class Story:
    """The phases; publishes ten times a second, as a busy gateway would."""

    def __init__(self, folder: Path) -> None:
        self.shell, self.pulse = Shell(), Pulse()
        self.folder, self.phases, self.seen = folder, {}, {}  # type: Path, dict[str, float], dict[str, Any]
        self.outputs = {channel: can_output(channel) for channel in ("vcan0", "vcan1", "vcan9")}

    def begin(self, phase: str) -> None:
        self.phases[phase] = time.time()

    def note(self, phase: str) -> None:
        self.seen[phase] = {channel: dict(output.status()) for channel, output in self.outputs.items()}

    async def publish(self, seconds: float, *, complete: bool = True, decision: Decision | None = None) -> None:
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            state: Snapshot = make.snapshot(
                now, bank=make.bank(complete=complete), decision=decision or make.decision()
            )
            for output in self.outputs.values():
                output.publish(state)
            await asyncio.sleep(0.1)

    async def tell(self) -> None:
        for output in self.outputs.values():
            await output.start()
        watches = [Watch(channel, self.folder) for channel in ("vcan0", "vcan1")]
        self.begin("waiting")
        await self.publish(1.2, complete=False)
        self.note("waiting")

        self.begin("normal")
        await self.publish(1.2)
        await aside(self.shell.run, "cansend vcan0 305#0000000000000000")
        await aside(self.shell.run, "ip link set vcan1 down")
        await self.publish(1.2)
        self.note("faults")
        await aside(self.shell.run, "ip link set vcan1 up")
        await aside(self.shell.run, "ip link add dev vcan9 type vcan")
        await aside(self.shell.run, "ip link set vcan9 up")
        watches.append(Watch("vcan9", self.folder))
        await self.publish(3.5)
        self.note("normal")

        self.begin("blocked")
        await self.publish(
            SILENCE_AFTER + 2.2,
            decision=make.decision(
                ccl=0.0, dcl=0.0, allow_charge=False, allow_discharge=False, blocked_since=time.monotonic()
            ),
        )
        self.note("blocked")

        self.begin("back")
        await self.publish(1.3)
        self.begin("another")
        for frame in ("351#1402C012C012C201", "356#7A13F2FE6B01", "305#00", "1806E5F4#00"):
            await aside(self.shell.run, f"cansend vcan1 {frame}")
        await self.publish(1.2)
        self.note("another")
        self.begin("end")
        for output in self.outputs.values():
            await output.stop()
        for watch in watches:
            watch.stop()
        self.shell.stop()


def main() -> None:
    story = Story(Path(sys.argv[1]))
    asyncio.run(story.tell())
    offset = time.time() - time.monotonic()
    stops = [(begin + offset, end + offset) for begin, end in story.pulse.stops]
    print(json.dumps({"phases": story.phases, "seen": story.seen, "stops": stops}))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    main()
