"""Charge and discharge current of one battery: candidates, and how the target is applied.

Sheet: limits.md chapter 4.
"""

import math
from collections.abc import Mapping
from typing import Final, Literal

from gateway.limits.inputs import Inputs, usable
from gateway.limits.memory import Recovery, Seen
from gateway.limits.settings import Current
from gateway.limits.site import Rules
from gateway.limits.spans import left
from gateway.limits.tables import Side
from gateway.model import Cap

Way = Literal["charge", "discharge"]

# In step mode each rule looks at its own side of the table (chapter 2).
STEP_SIDE: Final[Mapping[tuple[Way, str], Side]] = {
    ("charge", "cell_voltage"): "left",
    ("discharge", "cell_voltage"): "right",
    ("charge", "temperature"): "left",
    ("discharge", "temperature"): "right",
    ("charge", "mosfet_temperature"): "left",
    ("discharge", "mosfet_temperature"): "left",
    ("charge", "soc"): "right",
    ("discharge", "soc"): "right",
}
INPUTS: Final[Mapping[tuple[Way, str], tuple[str, ...]]] = {  # the tightest of them counts
    ("charge", "cell_voltage"): ("max_cell",),
    ("discharge", "cell_voltage"): ("min_cell",),
    ("charge", "temperature"): ("coldest", "hottest"),
    ("discharge", "temperature"): ("coldest", "hottest"),
    ("charge", "mosfet_temperature"): ("mosfet_temperature",),
    ("discharge", "mosfet_temperature"): ("mosfet_temperature",),
    ("charge", "soc"): ("soc",),
    ("discharge", "soc"): ("soc",),
}
SAYS: Final[Mapping[str, str]] = {
    "max_cell": "highest cell {:.3f} V",
    "min_cell": "lowest cell {:.3f} V",
    "coldest": "coldest sensor {:.1f} °C",
    "hottest": "hottest sensor {:.1f} °C",
    "mosfet_temperature": "MOSFET {:.1f} °C",
    "soc": "SoC {:.1f} %",
}


def candidates(way: Way, rules: Rules, inputs: Inputs, seen: Mapping[str, Seen], now: float) -> list[Cap]:
    """Every rule's cap for one battery [A]."""
    setting = rules.settings.charge_current if way == "charge" else rules.settings.discharge_current
    caps = [Cap(setting.max, "config", f"configured maximum {setting.max:g} A", f"limits.{way}_current.max")]
    limit = by_bms_limit(way, inputs, seen, now)
    if limit is not None and limit.value < setting.max:
        caps.append(limit)
    most = caps[-1].value if setting.scale_by_bms else setting.max
    for rule, curve in (rules.charge if way == "charge" else rules.discharge).items():
        if curve is not None:
            cap = by_table(way, rule, rules, most, inputs, seen, now)
            if cap is not None:
                caps.append(cap)
    switch = by_switch(way, inputs, seen, now)
    if switch is not None:
        caps.append(switch)
    return caps


def by_bms_limit(way: Way, inputs: Inputs, seen: Mapping[str, Seen], now: float) -> Cap | None:
    """What the BMS itself asks for; None when it does not."""
    name = f"max_{way}_current"
    value, missing = usable(name, inputs.get(name), seen, now)
    if missing:
        return Cap(0.0, "bms_limit", f"missing data: {missing} is not known")
    if value is None:
        return None
    return Cap(down(value), "bms_limit", f"the BMS asks for at most {value:g} A")


def by_switch(way: Way, inputs: Inputs, seen: Mapping[str, Seen], now: float) -> Cap | None:
    """0 A while the BMS's switch is open; a switch that is never reported counts as closed (Q5)."""
    name = f"{way}_allowed"
    closed, missing = usable(name, inputs.get(name), seen, now)
    if missing:
        return Cap(0.0, "bms_switch", f"missing data: {missing} is not known")
    return Cap(0.0, "bms_switch", f"the BMS has its {way} switch off") if closed is not None and not closed else None


def by_table(
    way: Way, rule: str, rules: Rules, most: float, inputs: Inputs, seen: Mapping[str, Seen], now: float
) -> Cap | None:
    """The cap of one table, a share of `most` [A]; None where the BMS never had the input."""
    curve = (rules.charge if way == "charge" else rules.discharge)[rule]
    side: Side = "linear" if rules.settings.mode == "linear" else STEP_SIDE[way, rule]
    key = f"limits.by_{rule}.{way}"
    share, says = math.inf, ""
    for name in INPUTS[way, rule]:
        value, missing = usable(name, inputs.get(name), seen, now)
        if missing:
            return Cap(0.0, rule, f"missing data: {missing} is not known", key)
        if value is not None and curve is not None and (fraction := curve(value, side)) < share:
            share, says = fraction, SAYS[name].format(value)
    if not says:
        return None
    return Cap(round(share * most, 3), rule, f"{says} allows {share:.1%} of {most:g} A", key)


def down(amps: float) -> float:
    """A limit [A] in thousandths, never rounded up, never below 0."""
    return max(0.0, math.floor(amps * 1000 + 1e-6) / 1000) if math.isfinite(amps) else max(0.0, amps)


def apply(target: float, memory: Recovery, setting: Current, now: float) -> tuple[Recovery, str]:
    """Down at once, up after the hold and along the ramp (4.3); returns the new state and, while it is held, why."""
    amps = memory.amps
    if amps is None or target <= amps or target == 0:
        return Recovery(target, target=target), ""
    least = setting.recovery_threshold_fraction * setting.max
    if amps == 0 and target < least:
        return Recovery(0.0, target=target), f"{target:g} A is too little to leave 0 A, needs {least:g} A"
    since = now if memory.rising_since is None else memory.rising_since
    base = amps if memory.rising_since is None else memory.base
    waited = now - since
    if waited < setting.hold:
        why = f"held at {amps:g} A for another {left(setting.hold - waited)}"
        return Recovery(amps, since, base, target), why
    raised = target if setting.rate == 0 else min(target, round(base + setting.rate * (waited - setting.hold), 3))
    if raised >= target:
        return Recovery(target, target=target), ""
    if raised - amps < setting.step_fraction * setting.max:
        raised = amps  # not each ampere is worth telling
    why = f"rising by {setting.rate:g} A/s towards {target:g} A"
    return Recovery(max(raised, amps), since, base, target), why
