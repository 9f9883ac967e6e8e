"""What a service manager is told: systemd's notification socket, one datagram a message; silence where there is none.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

MICROSECOND: Final = 1e-6  # s


class Manager:
    """The one who started us, as far as it wants to be told."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.listens = bool(self._address)
        self.watchdog = _watchdog(environment) if self.listens else None
        """s without a WATCHDOG=1 after which we are ended and started anew; None = it does not watch."""

    def tell(self, **said: str) -> None:
        """Say what is the case (READY="1", STATUS="...").  One that does not read is not waited for."""
        if not self.listens:
            return
        message = "\n".join(f"{name}={' '.join(words.split())}" for name, words in said.items())
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as pipe, suppress(OSError):
            pipe.setblocking(False)
            pipe.sendto(message.encode(errors="replace"), self._address)


def _address(name: str) -> bytes:
    """A path, or with @ a name of its own kind; anything else is no address of a manager."""
    return b"\0" + name[1:].encode() if name.startswith("@") else name.encode() if name.startswith("/") else b""


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """s, where the watchdog is meant for this very process."""
    for_whom = environment.get("WATCHDOG_PID", "")
    if for_whom and for_whom != str(os.getpid()):
        return None
    period = environment.get("WATCHDOG_USEC", "")
    return int(period) * MICROSECOND if period.isdecimal() and int(period) > 0 else None
