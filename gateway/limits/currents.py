"""Charge and discharge current of one battery: candidates, and how the target is applied.

Sheet: limits.md chapter 4.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from gateway.limits.inputs import Inputs
from gateway.limits.memory import Recovery
from gateway.limits.settings import Current
from gateway.limits.site import Rules
from gateway.limits.spans import left
from gateway.limits.tables import Side
from gateway.model import Cap, tightest

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
LOOKED_AT: Final[Mapping[tuple[Way, str], tuple[str, ...]]] = {  # the tightest of them counts
    ("charge", "cell_voltage"): ("max_cell",),
    ("discharge", "cell_voltage"): ("min_cell",),
    ("charge", "temperature"): ("coldest", "hottest"),
    ("discharge", "temperature"): ("coldest", "hottest"),
    ("charge", "mosfet_temperature"): ("mosfet_temperature",),
    ("discharge", "mosfet_temperature"): ("mosfet_temperature",),
    ("charge", "soc"): ("soc",),
    ("discharge", "soc"): ("soc",),
}
INPUTS: Final[Mapping[Way, tuple[str, ...]]] = {  # all that the rules look at
    "charge": (
        "max_charge_current", "max_cell", "coldest", "hottest", "mosfet_temperature", "soc", "charge_allowed",
    ),
    "discharge": (
        "max_discharge_current", "min_cell", "coldest", "hottest", "mosfet_temperature", "soc", "discharge_allowed",
    ),
}  # fmt: skip
SAYS: Final[Mapping[str, str]] = {
    "max_cell": "highest cell {:.3f} V",
    "min_cell": "lowest cell {:.3f} V",
    "coldest": "coldest sensor {:.1f} °C",
    "hottest": "hottest sensor {:.1f} °C",
    "mosfet_temperature": "MOSFET {:.1f} °C",
    "soc": "SoC {:.1f} %",
}


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """What the rules allow one battery in one direction; the same object as long as they say the same."""

    caps: tuple[Cap, ...]  # A, of every rule
    free: Recovery  # the smallest of them, where nothing holds the battery back


def free(amps: float) -> Recovery:
    """A limit of `amps` [A] that is not on its way up."""
    return Recovery(amps, target=amps)


def together(*caps: Cap) -> Allowed:
    """What these caps allow."""
    return Allowed(caps, free(tightest(caps).value))


def allowed(way: Way, rules: Rules, inputs: Inputs) -> Allowed:
    """Every rule's cap for one battery, worked out when `rules` or any of the inputs is another."""
    values = tuple(map(inputs.values.get, INPUTS[way]))
    signs = repr(values) if 0.0 in values else ""
    return _allowed(way, rules, values, tuple(inputs.missing.items()), signs)


@lru_cache(maxsize=128)
def _allowed(
    way: Way, rules: Rules, values: tuple[float | None, ...], missing: tuple[tuple[str, str], ...], signs: str
) -> Allowed:
    """By the values of INPUTS; `signs` tells 0 from -0, which are equal and read differently."""
    known = {name: value for name, value in zip(INPUTS[way], values, strict=True) if value is not None}
    return together(*candidates(way, rules, Inputs(known, dict(missing))))


def candidates(way: Way, rules: Rules, inputs: Inputs) -> list[Cap]:
    """Every rule's cap for one battery [A]."""
    setting = rules.settings.charge_current if way == "charge" else rules.settings.discharge_current
    caps = [Cap(setting.max, "config", f"configured maximum {setting.max:g} A", f"limits.{way}_current.max")]
    limit = by_bms_limit(way, inputs)
    if limit is not None and limit.value < setting.max:
        caps.append(limit)
    most = caps[-1].value if setting.scale_by_bms else setting.max
    for rule, curve in (rules.charge if way == "charge" else rules.discharge).items():
        if curve is not None:
            cap = by_table(way, rule, rules, most, inputs)
            if cap is not None:
                caps.append(cap)
    switch = by_switch(way, inputs)
    if switch is not None:
        caps.append(switch)
    return caps


def by_bms_limit(way: Way, inputs: Inputs) -> Cap | None:
    """What the BMS itself asks for; None when it does not."""
    name = f"max_{way}_current"
    if missing := inputs.missing.get(name):
        return Cap(0.0, "bms_limit", f"missing data: {missing} is not known")
    value = inputs.values.get(name)
    if value is None:
        return None
    return Cap(down(value), "bms_limit", f"the BMS asks for at most {value:g} A")


def by_switch(way: Way, inputs: Inputs) -> Cap | None:
    """0 A while the BMS's switch is open; a switch that is never reported counts as closed (Q5)."""
    name = f"{way}_allowed"
    if missing := inputs.missing.get(name):
        return Cap(0.0, "bms_switch", f"missing data: {missing} is not known")
    closed = inputs.values.get(name)
    return Cap(0.0, "bms_switch", f"the BMS has its {way} switch off") if closed is not None and not closed else None


def by_table(way: Way, rule: str, rules: Rules, most: float, inputs: Inputs) -> Cap | None:
    """The cap of one table, a share of `most` [A]; None where the BMS never had the input."""
    curve = (rules.charge if way == "charge" else rules.discharge)[rule]
    side: Side = "linear" if rules.settings.mode == "linear" else STEP_SIDE[way, rule]
    key = f"limits.by_{rule}.{way}"
    share, says = math.inf, ""
    for name in LOOKED_AT[way, rule]:
        if missing := inputs.missing.get(name):
            return Cap(0.0, rule, f"missing data: {missing} is not known", key)
        value = inputs.values.get(name)
        if value is not None and curve is not None and (fraction := curve(value, side)) < share:
            share, says = fraction, SAYS[name].format(value)
    if not says:
        return None
    return Cap(round(share * most, 3), rule, f"{says} allows {share:.1%} of {most:g} A", key)


def down(amps: float) -> float:
    """A limit [A] in thousandths, never rounded up, never below 0."""
    return max(0.0, math.floor(amps * 1000 + 1e-6) / 1000) if math.isfinite(amps) else max(0.0, amps)


def apply(wanted: Recovery, memory: Recovery, setting: Current, now: float) -> tuple[Recovery, str]:
    """Down at once, up after the hold and along the ramp (4.3); returns the new state and, while it is held, why.

    `wanted` is a limit that is free.
    """
    amps, target = memory.amps, wanted.amps or 0.0
    if amps is None or target <= amps or target == 0:
        return wanted, ""
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
        return wanted, ""
    if raised - amps < setting.step_fraction * setting.max:
        raised = amps  # not each ampere is worth telling
    why = f"rising by {setting.rate:g} A/s towards {target:g} A"
    return Recovery(max(raised, amps), since, base, target), why
