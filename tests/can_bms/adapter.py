"""A CAN adapter on a real pty, whose firmware can stop reading: what it was told, and when."""

import os
import pty
import re
import select
import termios
import threading
import time
import tty

LINE = re.compile(rb"t([0-9A-F]{3})8([0-9A-F]{16})")


class Adapter:
    """The device's end; `path` is the serial port that the gateway opens."""

    def __init__(self) -> None:
        self._device, self._port = pty.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._device, False)
        self.path = os.ttyname(self._port)
        self.told: list[tuple[float, bytes]] = []  # s, time.monotonic()
        self._reading, self._ending = threading.Event(), threading.Event()
        self._reading.set()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop_reading(self) -> None:
        """Hang, with what came so far read; flow control lets nothing pile up, so that writing blocks at once."""
        termios.tcflow(self._port, termios.TCOOFF)
        while select.select([self._device], [], [], 0)[0]:
            time.sleep(0.001)
        self._reading.clear()

    def read_on(self) -> None:
        """Come back to life."""
        termios.tcflow(self._port, termios.TCOON)
        self._reading.set()

    def close(self) -> None:
        """Unplug it."""
        self._ending.set()
        self.read_on()
        self._thread.join()
        os.close(self._device)
        os.close(self._port)

    def _read(self) -> None:
        while not self._ending.is_set():
            self._reading.wait()
            if select.select([self._device], [], [], 0.02)[0] and self._reading.is_set():
                self.told.append((time.monotonic(), os.read(self._device, 4096)))

    def lines(self, since: float = 0.0) -> list[tuple[float, int, bytes]]:
        """Whole slcan commands to send a frame: when it was told, id, data."""
        found, rest = [], b""
        for at, chunk in self.told:
            *whole, rest = (rest + chunk).split(b"\r")
            frames = (LINE.fullmatch(line) for line in whole)
            found += [(at, int(frame[1], 16), bytes.fromhex(frame[2].decode())) for frame in frames if frame]
        return [line for line in found if line[0] >= since]
