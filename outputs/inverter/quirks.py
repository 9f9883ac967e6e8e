"""What brands of inverters need otherwise than others: the decided values, changed before they are encoded.

One function a quirk, each without a clock or memory of its own; what must be remembered is a Memory, handed in and out.
No quirk raises a limit, with two exceptions, told wherever they happen:

* `least_charge_current`, `least_discharge_current` stand in the place of anything less, 0 A included, where a brand
  takes 0 for "nothing said".  That holds in the safe state, too; the enable bits stay cleared.
* the charge voltage limit may come down later than decided.  It never follows the battery's voltage up, so that a
  charger which pushes cannot push the limit before it, and a cell at its alarm, or so high that nothing may be
  charged, ends the patience.

Sheet: can-inverter-protocols.md sections 3, 4 and 10.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.model import Decision, Snapshot
from outputs.inverter.brand import Descent, Quirks
from outputs.inverter.keys import Value, Values
from outputs.inverter.values import FULL, raised

FLOAT: Final = ("float", "float_transition")  # charge modes in which the battery was declared full
CHARGING: Final = ("bulk", "absorption")  # those in which it is not yet
SEVERE: Final = ("high_cell_voltage", "high_voltage")  # at level 2 the decided charge voltage goes out at once
SOC: Final = ("soc", "soc_high_resolution")
CVL, CCL, DCL = "charge_voltage_limit", "charge_current_limit", "discharge_current_limit"


@dataclass(frozen=True, slots=True)
class Change:
    """A value that is sent otherwise than decided."""

    key: str
    decided: Value | None
    sent: Value | None
    why: str


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the charge voltage limit: what was sent last [V], and since when the next step down is waited for [s]."""

    sent: float | None = None
    since: float = 0.0


def at_least(values: Values, key: str, least: float) -> dict[str, Value]:
    """`least` [A] in the place of a limit that is smaller; a limit that is not known is none."""
    limit = values.get(key, 0.0)
    return {key: least} if isinstance(limit, int | float) and limit < least else {}


def lowered_slowly(decided: float, voltage: float | None, before: Memory, now: float, pace: Descent) -> Memory:
    """Down to the battery's `voltage` [V] at once, below it a step at a time; up at once, but only as decided."""
    held = lowered_to_battery(decided, voltage, before, now)
    if held.sent is None or held.sent <= decided or now - held.since < pace.every:
        return held
    return Memory(max(decided, round(held.sent - pace.step, 3)), now)


def lowered_to_battery(decided: float, voltage: float | None, before: Memory, now: float) -> Memory:
    """Down to the battery's `voltage` [V] and no further; up at once, but only as decided."""
    if before.sent is None or voltage is None or decided >= before.sent:
        return Memory(decided, now)
    sent = min(before.sent, max(decided, voltage))
    return Memory(sent, now) if sent <= decided else replace(before, sent=sent)


def capped_soc(values: Values, most: float) -> dict[str, Value]:
    """The SoC [%], `most` at the highest."""
    return {key: most for key in SOC if isinstance(soc := values.get(key), int | float) and soc > most}


def is_full(charge_mode: str, soc: float | None) -> bool:
    """Was the battery declared full?  Where no charge machine says so, by its SoC [%]."""
    return charge_mode in FLOAT or (charge_mode not in CHARGING and soc is not None and soc >= FULL)


def as_warnings(alarms: Mapping[str, int], keys: Container[str]) -> dict[str, Value]:
    """The flags of `alarms`, those of level 2 as the warnings of the same name."""
    lowered: dict[str, Value] = dict.fromkeys(raised(alarms, keys), 0)
    return lowered | raised({name: min(level, 1) for name, level in alarms.items()}, keys)


def without_force_charge(values: Values, wanted: Container[int]) -> dict[str, Value]:
    """The requests for a charge from the grid that the brand does not get, cleared."""
    return {key: 0 for bit in (1, 2) if bit not in wanted and values.get(key := f"force_charge_{bit}")}


def _severe(decision: Decision) -> bool:
    """A cell is at its alarm, or so high that charging has stopped: the decided charge voltage goes out at once."""
    stopped = decision.ccl == 0 and decision.cell_ovp == "limiting"
    return stopped or any(decision.alarms.get(name, 0) >= 2 for name in SEVERE)


class Shaper:
    """Applies one brand's quirks; `changes` tells what of the last values was sent otherwise than decided."""

    def __init__(self, quirks: Quirks, keys: Container[str]) -> None:
        """`keys`: what the dialect carries."""
        self.changes: list[Change] = []
        self._quirks, self._keys = quirks, keys
        self._none = quirks == Quirks()
        self._memory = Memory()

    def shape(self, values: Values, snapshot: Snapshot, now: float) -> Values:
        """`values` of `snapshot`, the safe state's too, as this brand is to be told them; they are left as they are."""
        self.changes = []
        if self._none:
            return values
        quirks, shaped = self._quirks, dict(values)
        cut = not values.get(CCL) and not values.get(DCL)
        if quirks.alarms == "when_cut" and not cut:
            self._change(shaped, as_warnings(snapshot.decision.alarms, self._keys), "an alarm would stop the inverter")
        self._change(shaped, without_force_charge(values, quirks.force_charge), "not for this inverter")
        if quirks.soc_until_full is not None and not self._full(snapshot):
            self._change(shaped, capped_soc(values, quirks.soc_until_full), "until the battery is declared full")
        self._lower(shaped, snapshot, now)
        for key, least in ((CCL, quirks.least_charge_current), (DCL, quirks.least_discharge_current)):
            if key in self._keys:
                self._change(shaped, at_least(values, key, least), "this inverter ignores less")
        return shaped

    def foresee(self, values: Values, snapshot: Snapshot, now: float) -> Values:
        """As `shape`, for what may have to be told later: nothing is remembered of it."""
        before = self._memory, self.changes
        shaped = self.shape(values, snapshot, now)
        self._memory, self.changes = before
        return shaped

    def forget(self) -> None:
        """Another battery: what was sent for the last one counts no more."""
        self._memory = Memory()

    def _full(self, snapshot: Snapshot) -> bool:
        decision = snapshot.decision
        return is_full(decision.charge_mode, snapshot.bank.soc if decision.soc is None else decision.soc)

    def _lower(self, values: dict[str, Value], snapshot: Snapshot, now: float) -> None:
        """The charge voltage limit, by the quirk that there is."""
        decided = values.get(CVL)
        if not isinstance(decided, int | float):
            return
        volts = values.get("voltage", values.get("voltage_0p1V"))
        voltage = volts if isinstance(volts, int | float) else None
        pace, before = self._quirks.lower_slowly, self._memory
        severe = _severe(snapshot.decision)
        stopped = not values.get(CCL) and self._quirks.not_below_battery_when_stopped
        if severe or not (pace or stopped):
            self._memory = Memory(decided, now)
        elif pace and not stopped:
            self._memory = lowered_slowly(decided, voltage, before, now, pace)
        else:
            self._memory = lowered_to_battery(decided, voltage, before, now)
        if self._memory.sent is not None:
            why = "below the battery's voltage only step by step" if pace else "not below the battery's voltage"
            self._change(values, {CVL: self._memory.sent}, why)

    def _change(self, values: dict[str, Value], changed: Mapping[str, Value], why: str) -> None:
        for key, value in changed.items():
            if value != values.get(key):
                self.changes.append(Change(key, values.get(key), value, why))
                values[key] = value
