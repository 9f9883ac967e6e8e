"""The SocketCAN interface under a bus: looked at in a thread every 10 s and at every fault, and led out of bus-off.

    fine --error frame, or the kernel says so--> off --the kernel restarts it (restart-ms)-------------> fine
                                                  |---restart-ms is 0: we ask for it, ever more seldom--> fine
                                                  +---we may not: said once, with the commands ----------> fine

In bus-off the kernel takes frames and throws them away, or keeps them for later: nobody may send meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import can

from gateway.supervise import Supervisor, words
from outputs.can_bms import net
from outputs.can_bms.aside import aside
from outputs.can_bms.errors import CHECK_BUS, Tally, advice
from outputs.can_bms.net import Link, NotPermitted

log = logging.getLogger("bms_gateway.can_bms")

EVERY: Final = 10.0  # s between two looks
SOON: Final = 1.0  # s, while it is off
RESTART_FIRST: Final = 1.0  # s after which a restart is asked for; the delay doubles
RESTART_MOST: Final = 60.0  # s
HEARD_FOR: Final = 15.0  # s that a frame of somebody else counts as "others can be read"; more than between two looks
SAID_AGAIN: Final = 600.0  # s after which the same advice may be logged again

Reader = Callable[[str], Link | None]
Restarter = Callable[[str], None]


class Interface:
    """What is known of one interface.

    changed  is told whether it is in bus-off, when that changes
    """

    def __init__(
        self, channel: str, reader: Reader = net.read, restarter: Restarter = net.restart, *, every: float = EVERY
    ) -> None:
        self.channel, self.link, self.tally = channel, None, Tally()  # type: str, Link | None, Tally
        self.changed: Callable[[bool], object] = lambda off: None
        self.off = False
        self.restarts = 0  # asked for by us, and done
        self.stuck = False  # as the bus says: frames wait in the kernel
        self._reader, self._restarter, self._every = reader, restarter, every
        self._supervisor = Supervisor(f"socketcan {channel}")
        self._timer: asyncio.TimerHandle | None = None
        self._restart: asyncio.TimerHandle | None = None
        self._asking = self._again = self._stopped = False
        self._unreadable = ""
        self._forbidden = ""  # why we may not restart it
        self._delay = RESTART_FIRST
        self._heard_at: float | None = None
        self._advice = ""
        self._advised: dict[str, float] = {}  # s, when it was logged

    def start(self) -> None:
        """Look for the first time."""
        self._stopped = False
        self.look()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        for timer in (self._timer, self._restart):
            if timer is not None:
                timer.cancel()

    def look(self) -> None:
        """Ask the kernel, in a thread; once more afterwards when one is asking already."""
        if self._stopped or self._asking:
            self._again = self._asking
            return
        self._asking, self._again = True, False
        aside(lambda: self._reader(self.channel), self._seen, self._supervisor)

    def listen(self, messages: Sequence[can.Message]) -> None:
        """What was read on the bus, error frames among it."""
        now = time.monotonic()
        if any(not message.is_error_frame for message in messages):
            self._heard_at = now
        told = self.tally.look((message for message in messages if message.is_error_frame), now)
        if "bus-off" in told:
            self._goes_off()
        if "restarted" in told or ("passive" in told and not self.off):
            self.look()
        self._advise()

    @property
    def problem(self) -> str:
        """Why nothing can be sent; "" = the interface is fine."""
        return f"bus off: {self._way_back()}; {CHECK_BUS} and the bitrate" if self.off else ""

    def status(self) -> Mapping[str, object]:
        """For `status`."""
        link = self.link
        return {
            "state": "bus-off" if self.off else (link.state if link else ""),
            "summary": str(link) if link else self._unreadable or "no such interface",
            "up": link.up if link else None,
            "tx_errors": link.tx_errors if link else None,
            "rx_errors": link.rx_errors if link else None,
            "bitrate": link.bitrate if link else None,
            "sample_point": link.sample_point if link else None,
            "restart_ms": link.restart_ms if link else None,
            "restarts": self.restarts,
            "error_frames": dict(self.tally.all),
            "advice": self._advice,
        }

    # ---- what the kernel says

    def _seen(self, link: Link | None, fault: Exception | None) -> None:
        self._asking = False
        if self._stopped:
            return
        if fault is None:
            if link and self.link and (link.received or 0) > (self.link.received or 0):
                self._heard_at = time.monotonic()  # ours are not among them, and the socket drops what it does not want
            self.link, self._unreadable = link, ""
            self._judge(link)
        else:
            self._unreadable = words(fault)
        self._advise()
        if self._timer is not None:
            self._timer.cancel()
        if self._again:
            self.look()
        else:
            self._timer = asyncio.get_running_loop().call_later(SOON if self.off else self._every, self.look)

    def _judge(self, link: Link | None) -> None:
        if link is not None and link.off:
            self._goes_off()
            self._restart_later(link)
        elif self.off:
            self._comes_back()

    def _goes_off(self) -> None:
        if not self.off:
            self.off, self._delay = True, RESTART_FIRST
            self.changed(True)
            self.look()

    def _comes_back(self) -> None:
        """It restarted, went down and up, or is not there any more."""
        if self.link is not None and not self.link.state and not self.link.carrier:
            return  # the kernel says no more than this
        self.off, self._forbidden = False, ""
        if self._restart is not None:
            self._restart.cancel()
            self._restart = None
        self.changed(False)

    # ---- out of bus-off

    def _restart_later(self, link: Link) -> None:
        if link.restart_ms == 0 and link.restartable and not self._forbidden and self._restart is None:
            self._restart = asyncio.get_running_loop().call_later(self._delay, self._ask_for_restart)
            self._delay = min(RESTART_MOST, self._delay * 2)

    def _ask_for_restart(self) -> None:
        aside(lambda: self._restarter(self.channel), self._restarted, self._supervisor)

    def _restarted(self, _: object, fault: Exception | None) -> None:
        self._restart = None
        if fault is None:
            self.restarts += 1
        elif isinstance(fault, NotPermitted):
            self._forbidden = words(fault)
            log.warning("%s: %s", self._supervisor.name, self._way_back())
        else:
            log.info("%s: restart: %s", self._supervisor.name, words(fault))
        self.look()

    def _way_back(self) -> str:
        link = self.link
        if link is None:
            return "the interface is not there"
        if link.restart_ms:
            return f"it restarts by itself after {link.restart_ms} ms"
        if link.restartable and not self._forbidden:
            return f"restart-ms is 0, so the gateway restarts it ({self.restarts} times so far)"
        why = "restart-ms is 0 and the gateway may not restart it" if link.restartable else "it does not restart"
        return f"{why}; this does: {net.remedy(link)}"

    # ---- symptoms

    def _advise(self) -> None:
        """Log what the symptoms say when that changes."""
        now = time.monotonic()
        heard = self._heard_at is not None and now - self._heard_at < HEARD_FOR
        found = "" if self.off else advice(self.link, self.tally.recent(now), heard=heard, stuck=self.stuck)
        if found and found != self._advice and now - self._advised.get(found, -SAID_AGAIN) >= SAID_AGAIN:
            self._advised[found] = now
            log.warning("%s: %s", self._supervisor.name, found)
        self._advice = found
