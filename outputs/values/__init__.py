"""The one list of published values.

D-Bus, MQTT with Home Assistant, Prometheus, Modbus TCP, the page and `status --json` publish what is listed here and
nothing else, under the names that are listed here.  All amounts are SI units; currents and powers are + = charging.
Sheet: face.md chapter 8.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from gateway.model import Snapshot
from outputs.values.battery import CELLS, IDENTITY, LINKS
from outputs.values.history import HISTORY
from outputs.values.limits import ALARM_ROWS, LIMITS
from outputs.values.live import LIFE, LIVE
from outputs.values.value import DIES, Subject, Told, Value, of_bank, of_battery
from outputs.view import vouched

VALUES: Final[tuple[Value, ...]] = (
    *LIFE, *LIVE, *LIMITS, *ALARM_ROWS, *HISTORY, *CELLS, *LINKS, *IDENTITY,
)  # fmt: skip
OF_GATEWAY: Final[Mapping[str, str]] = {
    "bms_gateway_build_info": "Version of the gateway",
    "bms_output_connected": "An output reaches whom it feeds",
    "bms_battery_info": "What a battery is",
}
"""Metrics that are no value of bank or battery, and what they are."""
BY_NAME: Final[Mapping[str, Value]] = {value.name: value for value in VALUES}
BANK: Final = tuple(value for value in VALUES if "K" in value.where)
BATTERY: Final = tuple(value for value in VALUES if "B" in value.where)


def told(subject: Subject, rows: Iterable[Value]) -> dict[str, Told]:
    """The values of these rows by canonical name; every name is there, None where a value is not known."""
    health = subject.health
    gone = [lives for lives, dead in DIES.items() if health in dead]
    return {row.name: None if row.lives in gone else row.shown(row.source(subject)) for row in rows}


def of_all(snapshot: Snapshot, now: float) -> tuple[Subject, tuple[Subject, ...]]:
    """The bank and each of its batteries at `now` [s, the clock that stamped the Snapshot]; past the Snapshot's
    deadline with limits of 0 and nothing measured.
    """
    sound = vouched(snapshot, now)
    return of_bank(sound), tuple(of_battery(sound, state) for state in sound.bank.batteries)
