"""When the bank's service gives up being a BMS because its batteries do not answer.  Pure.

    0 A both ways --BMS lost--> cable alarm, too --SAFE_FIRST--> no_bms_after: no charge voltage; leave_after: gone

Chargers keep what they were told last until they time out by themselves.  So the limits of 0 A come first, then the
alarm; only when both had time to arrive is the BMS withdrawn, where the user wants that.
Sheet: venus-dbus.md section 6; limits.md 8.2.
"""

import enum

from gateway.model import Health, Snapshot
from outputs.venus_dbus.settings import SAFE_FIRST, Settings


class Stand(enum.Enum):
    """What the service is to systemcalc."""

    BMS = "BMS"
    MONITOR = "battery monitor"  # without a charge voltage: its limits control nothing
    GONE = "not on the bus"


class Loss:
    """The policy of one bank."""

    def __init__(self, settings: Settings) -> None:
        self._after = {Stand.GONE: settings.leave_after, Stand.MONITOR: settings.no_bms_after}
        self._told: float | None = None  # s, since when the limits are 0 and the alarm is raised

    @property
    def watches(self) -> bool:
        """May time alone change anything?"""
        return any(patience is not None for patience in self._after.values())

    def stand(self, snapshot: Snapshot, now: float) -> Stand:
        """What to be at `now` [s, the clock that stamped the Snapshot]."""
        since = snapshot.decision.blocked_since
        if since is None or not any(battery.health is Health.LOST for battery in snapshot.bank.batteries):
            self._told = None
            return Stand.BMS
        self._told = now if self._told is None else self._told
        if now - self._told < SAFE_FIRST:
            return Stand.BMS
        due = (stand for stand, patience in self._after.items() if patience is not None and now - since >= patience)
        return next(due, Stand.BMS)
