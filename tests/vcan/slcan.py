"""A CAN adapter that the kernel's own slcan driver drives over a pty: the one way to an interface that has a state,
error counters and a transmit queue without hardware.

It tells states and errors as the firmware of such adapters does ("sb000255": bus-off, error counters received 0, sent
255; "e1a": one acknowledgement error), and can stop to take frames, as a bus on which nobody acknowledges.
Source: drivers/net/can/slcan/slcan-core.c of Linux 6.1.
"""

import fcntl
import os
import pty
import re
import select
import struct
import threading
import time
import tty
from typing import Final

TIOCSETD: Final = 0x5423  # asm-generic/ioctls.h
N_SLCAN: Final = 17  # linux/tty.h
FRAME: Final = re.compile(rb"t([0-9A-F]{3})8([0-9A-F]{16})")
ANSWERED: Final = b"CSOF"  # commands that want a carriage return


class Adapter:
    """Makes the interface can0; brought up and down by `ip`, as any other."""

    def __init__(self) -> None:
        self._device, self._port = pty.openpty()
        tty.setraw(self._port)
        fcntl.ioctl(self._port, TIOCSETD, struct.pack("i", N_SLCAN))
        self.told: list[tuple[float, bytes]] = []  # s, time.monotonic(), and a line
        self._taking = threading.Event()
        self._taking.set()
        threading.Thread(target=self._take, daemon=True).start()

    def stall(self) -> None:
        """Nobody acknowledges: what is sent waits."""
        self._taking.clear()

    def go_on(self) -> None:
        """Somebody does again."""
        self._taking.set()

    def say(self, line: str) -> None:
        """Tell the driver a state, an error, or a frame that came."""
        os.write(self._device, line.encode() + b"\r")

    def frames(self, since: float = 0.0) -> list[tuple[float, int, bytes]]:
        """When, id and data of the frames that it was told."""
        found = [(at, FRAME.fullmatch(line)) for at, line in list(self.told) if at >= since]
        return [(at, int(frame[1], 16), bytes.fromhex(frame[2].decode())) for at, frame in found if frame]

    def _take(self) -> None:
        rest = b""
        while True:
            self._taking.wait()
            if not select.select([self._device], [], [], 0.02)[0] or not self._taking.is_set():
                continue
            *lines, rest = (rest + os.read(self._device, 4096)).split(b"\r")
            for line in lines:
                self.told.append((time.monotonic(), line))
                if line[:1] in ANSWERED:
                    os.write(self._device, b"\r")
