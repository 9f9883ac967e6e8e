"""Runs inside the guest: `can setup`, `doctor` and `watch` on an interface with a controller; prints what they said.

python -m tests.vcan.commands PROGRAM
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tests.vcan.shell import Shell
from tests.vcan.slcan import Adapter

LIMITS = "t35181402C012C012C201"
KEEP_ALIVE = "t30580000000000000000"


class Commands:
    """The program on can0, and what is on the bus meanwhile."""

    def __init__(self, program: str) -> None:
        self.program, self.adapter, self.shell = program, Adapter(), Shell()
        self.shell.run("ip link set can0 type can bitrate 500000 && ip link set can0 up")

    def run(self, *words: str) -> dict[str, Any]:
        done = subprocess.run([self.program, "can", *words], capture_output=True, text=True, check=False, timeout=60)
        return {"code": done.returncode, "out": done.stdout, "err": done.stderr}

    def on_a_terminal(self, *words: str) -> str:
        """What it wrote to a terminal of its own."""
        ours, terminal = os.openpty()
        process = subprocess.Popen([self.program, "can", *words], stdout=terminal, stderr=terminal)
        os.close(terminal)
        written = b""
        with suppress(OSError):  # the other end was closed
            while piece := os.read(ours, 4096):
                written += piece
        process.wait()
        os.close(ours)
        return written.decode()

    @contextmanager
    def meanwhile(self, *doing: Callable[[], object]) -> Iterator[None]:
        """Do it all five times a second."""
        end = threading.Event()

        def work() -> None:
            while not end.wait(0.2):
                for step in doing:
                    step()

        thread = threading.Thread(target=work)
        thread.start()
        yield
        end.set()
        thread.join()

    def hears(self, line: str) -> Callable[[], object]:
        return lambda: self.adapter.say(line)

    def tell(self) -> dict[str, Any]:
        here = lambda: self.shell.run("cansend can0 351#1402C012C012C201")  # noqa: E731
        doctor = ("doctor", "can0", "--seconds", "2")
        seen = {
            "setup": self.run("setup", "can0"),
            "setup lo": self.run("setup", "lo"),
            "no such": self.run("doctor", "can7"),
            "watch none": self.run("watch", "can7"),
        }
        with self.meanwhile(here, self.hears(KEEP_ALIVE)):
            seen["sound"] = self.run(*doctor)
            seen["watch"] = self.run("watch", "can0", "--for", "3s")
            seen["table"] = {"out": self.on_a_terminal("watch", "can0", "--for", "3s"), "err": ""}
        with self.meanwhile(here, self.hears(LIMITS), self.hears("e1s")):
            seen["watch json"] = self.run("watch", "can0", "--for", "3s", "--json")
            seen["another"] = self.run(*doctor, "--json")
        with self.meanwhile(self.hears("e1s"), self.hears("e1f")):
            seen["bitrate"] = self.run(*doctor)
        with self.meanwhile(here, self.hears("e1a")):
            self.adapter.say("sp000130")
            seen["alone"] = self.run(*doctor)
        self.adapter.say("sb000255")
        time.sleep(0.5)
        seen["off"] = self.run(*doctor)
        self.shell.run("ip link set vcan1 down")
        seen["down"] = self.run("doctor", "vcan1", "--json")
        self.shell.stop()
        return seen


if __name__ == "__main__":
    print(json.dumps(Commands(sys.argv[1]).tell()))
