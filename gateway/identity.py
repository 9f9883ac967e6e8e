"""Who a battery is, for good: the same at every start, whatever it is called and in whatever order it is listed.

What others keep of it (a GX its device instance and its name, a portal its history) hangs on this.  The user's own word
comes first, then the BMS's serial number, then where it is connected: a Bluetooth address, a host, the socket that a
USB adapter is plugged in.  A name such as ttyUSB0 is nobody: two adapters may swap theirs.
Sheet: limits.md chapter 12; venus-dbus.md section 5.
"""

import re
from collections.abc import Callable

from bms_drivers.kit.session import Session
from gateway.model import Reading


class Identities:
    """Those of one device and of the packs that it speaks for."""

    def __init__(self, given: str, place: Callable[[], str]) -> None:
        """`given` by the user, "" = nothing; `place` says where it is connected."""
        self._given, self._place = given, place
        self._known: dict[str, str] = {}  # by pack

    def of(self, pack: str, reading: Reading, session: Session) -> str:
        """Of one pack ("" = the device itself); "" while its serial number may yet come."""
        if pack not in self._known:
            found = self._given or serial(reading)
            if not found and session.awaits("serial_number"):
                return ""
            own = bool(found) and not self._given
            self._known[pack] = found if own else f"{found or self._place()} {pack}".strip()
        return self._known[pack]

    def forget(self) -> None:
        """Another device may be there."""
        self._known.clear()


def serial(reading: Reading) -> str:
    """The BMS's serial number; "" for one that says nothing, as 0000 or blanks do."""
    number = (reading.serial_number or "").strip()
    return number if re.search(r"[1-9A-Za-z]", number) else ""
