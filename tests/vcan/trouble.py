"""Runs inside the guest: the CAN output on interfaces that break, and one with a state, a queue and a stubborn bus.

    python -m tests.vcan.trouble FOLDER

Writes FOLDER/vcan0.log and vcan1.log (candump) and prints one JSON object: when which phase began [s, monotonic], what
`status` said at its end, what reached the adapter behind can0, and the longest time that the event loop was held up
while other threads ran.
The charge limit tells when a frame was decided: 0.1 A each 0.1 s since the beginning.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outputs.can_bms.build import build
from outputs.can_bms.prepare import prepare
from outputs.can_bms.settings import Settings
from tests import make
from tests.vcan.pulse import Pulse, still
from tests.vcan.scenario import Watch
from tests.vcan.shell import Shell
from tests.vcan.slcan import Adapter


class Story:
    """Publishes ten times a second."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        self.phases: dict[str, float] = {}
        self.seen: dict[str, Any] = {}
        self.late: list[tuple[float, float]] = []  # from when to when a pause of 0.1 s was longer
        self.pulse = Pulse()
        self.adapter = Adapter()
        self.shell = Shell()
        self.shell.run("ip link set can0 type can bitrate 500000 && ip link set can0 up")
        self.outputs = {
            channel: build(
                prepare(Settings(interface="socketcan", channel=channel)), time.monotonic, lambda command: None, "t"
            )
            for channel in ("can0", "vcan0", "vcan1")
        }

    async def publish(self) -> None:
        while True:
            now = time.monotonic()
            state = make.snapshot(now, decision=make.decision(ccl=float(int((now - self.began) * 10)) / 10))
            for output in self.outputs.values():
                output.publish(state)
            await asyncio.sleep(0.1)
            self.late.append((now + 0.1, time.monotonic()))

    def lag(self) -> float:
        """s; what stopped every thread was not the loop."""
        return max(end - begin - still(self.pulse.stops, begin, end) for begin, end in self.late)

    async def phase(self, name: str, seconds: float, *doing: Callable[[], object] | str) -> None:
        """Do something that breaks or mends, in threads, and live for a while."""
        self.phases[name] = time.monotonic()
        for step in doing:
            await (asyncio.to_thread(self.shell.run, step) if isinstance(step, str) else asyncio.to_thread(step))
        await asyncio.sleep(seconds)
        self.seen[name] = {channel: dict(output.status()) for channel, output in self.outputs.items()}

    async def tell(self) -> None:
        for output in self.outputs.values():
            await output.start()
        publishing = asyncio.create_task(self.publish())
        watches = [Watch(channel, self.folder) for channel in ("vcan0", "vcan1")]
        adapter = self.adapter
        await self.phase("normal", 2.5)
        await self.phase("short queue", 3.2, "ip link set can0 txqueuelen 2")
        await self.phase("usual queue", 0.2, "ip link set can0 txqueuelen 10")
        await self.phase("stuck", 4.5, adapter.stall)
        await self.phase("freed", 1.5, adapter.go_on)
        await self.phase("passive", 2.5, lambda: adapter.say("sp000130"), lambda: adapter.say("e1a"))
        await self.phase("off", 4.5, lambda: adapter.say("sb000255"))
        await self.phase("mended", 4.0, "ip link set can0 down && ip link set can0 up")
        await self.phase("stuck again", 3.5, adapter.stall)
        down_up = "ip link set can0 down"
        await self.phase("down", 1.5, down_up, "ip link set vcan0 down", "ip link del vcan1", adapter.go_on)
        await self.phase("there, but down", 3.0, "ip link add dev vcan1 type vcan")
        await self.phase("up", 0.3, "ip link set can0 up && ip link set vcan0 up && ip link set vcan1 up")
        watches.append(Watch("vcan1", self.folder, "again"))
        await self.phase("back", 9.0)
        self.phases["end"] = time.monotonic()
        publishing.cancel()
        for output in self.outputs.values():
            await output.stop()
        for watch in watches:
            watch.stop()
        self.shell.stop()


def main() -> None:
    story = Story(Path(sys.argv[1]))
    asyncio.run(story.tell())
    frames = [(at, can_id, data.hex()) for at, can_id, data in story.adapter.frames()]
    offset = time.time() - time.monotonic()
    print(json.dumps({"phases": story.phases, "seen": story.seen, "frames": frames, "lag": story.lag(),
                      "began": story.began, "offset": offset}))  # fmt: skip


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    main()
