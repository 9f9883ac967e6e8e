"""Charge and discharge current of one battery: candidates, and how the target is applied.

Sheet: limits.md chapter 4.
"""

from collections.abc import Mapping
from typing import Final, Literal

from gateway.limits.memory import Recovery, Seen
from gateway.limits.settings import Current
from gateway.limits.site import Rules
from gateway.limits.tables import Curve, Side
from gateway.model import Cap, Reading

Way = Literal["charge", "discharge"]
KEEP_MISSING: Final = 60.0  # s an input that the BMS has may be missing before it stops the current (4.5)

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
WORDS: Final = {
    ("charge", "cell_voltage"): ("highest cell", "V", 3),
    ("discharge", "cell_voltage"): ("lowest cell", "V", 3),
    ("charge", "temperature"): ("cell sensor", "°C", 1),
    ("discharge", "temperature"): ("cell sensor", "°C", 1),
    ("charge", "mosfet_temperature"): ("MOSFET", "°C", 1),
    ("discharge", "mosfet_temperature"): ("MOSFET", "°C", 1),
    ("charge", "soc"): ("SoC", "%", 1),
    ("discharge", "soc"): ("SoC", "%", 1),
}


def observe(reading: Reading, soc: float | None, sensors: tuple[int, ...]) -> dict[str, float | None]:
    """The inputs of all rules.  An input the BMS has but that is not known now is None; one it never has is absent."""
    inputs: dict[str, float | None] = {"soc": soc}
    if reading.cells or reading.max_cell is not None:  # else a BMS that never speaks of cells
        whole = None not in reading.cell_voltages  # one unknown cell might be the highest
        inputs["max_cell"] = reading.max_cell if whole else None
        inputs["min_cell"] = reading.min_cell if whole else None
    chosen = [reading.temperatures[n - 1] for n in sensors if n <= len(reading.temperatures)]
    if chosen:
        known = [value for value in chosen if value is not None]
        broken = len(known) < len(chosen)
        inputs["hottest"] = None if broken else max(known)
        inputs["coldest"] = None if broken else min(known)
    if reading.mosfet_temperature is not None:
        inputs["mosfet"] = reading.mosfet_temperature
    return inputs


def remember(inputs: Mapping[str, float | None], seen: Mapping[str, Seen], now: float) -> dict[str, Seen]:
    """What was ever known of each input, with its time."""
    return {**seen, **{name: Seen(value, now) for name, value in inputs.items() if value is not None}}


def candidates(
    way: Way, reading: Reading, rules: Rules, inputs: Mapping[str, float | None], seen: Mapping[str, Seen], now: float
) -> list[Cap]:
    """Every rule's cap for one battery [A]."""
    setting = rules.settings.charge_current if way == "charge" else rules.settings.discharge_current
    caps = [Cap(setting.max, "config", f"configured maximum {setting.max:g} A", f"limits.{way}_current.max")]
    limit = reading.max_charge_current if way == "charge" else reading.max_discharge_current
    if limit is not None and limit < setting.max:
        caps.append(Cap(max(0.0, limit), "bms_limit", f"the BMS asks for at most {limit:g} A"))
    most = min(setting.max, limit) if setting.scale_by_bms and limit is not None else setting.max
    side: Side | None = "linear" if rules.settings.mode == "linear" else None
    for rule, curve in (rules.charge if way == "charge" else rules.discharge).items():
        if curve is not None:
            caps.extend(_by_table(way, rule, curve, side or STEP_SIDE[way, rule], most, inputs, seen, now))
    allowed = reading.charge_allowed if way == "charge" else reading.discharge_allowed
    if allowed is False:
        caps.append(Cap(0.0, "bms_switch", f"the BMS has its {way} switch off"))
    return caps


def _inputs_of(way: Way, rule: str) -> tuple[str, ...]:
    if rule == "cell_voltage":
        return ("max_cell",) if way == "charge" else ("min_cell",)
    if rule == "temperature":
        return ("coldest", "hottest")
    return ("mosfet",) if rule == "mosfet_temperature" else ("soc",)


def _by_table(
    way: Way,
    rule: str,
    curve: Curve,
    side: Side,
    most: float,
    inputs: Mapping[str, float | None],
    seen: Mapping[str, Seen],
    now: float,
) -> list[Cap]:
    """The cap of one table; none where the BMS never had the input."""
    key = f"limits.by_{rule}.{way}"
    word, unit, digits = WORDS[way, rule]
    worst: tuple[float, float] | None = None  # fraction, input
    for name in _inputs_of(way, rule):
        value = inputs.get(name)
        if value is None:
            last = seen.get(name)
            if last is None and name not in inputs:
                continue
            if last is None or now - last.at > KEEP_MISSING:
                return [Cap(0.0, rule, f"missing data: {word} is not known", key)]
            value = last.value
        fraction = curve(value, side)
        if worst is None or fraction < worst[0]:
            worst = (fraction, value)
    if worst is None:
        return []
    why = f"{word} {worst[1]:.{digits}f} {unit} allows {worst[0]:.1%} of {most:g} A"
    return [Cap(round(worst[0] * most, 3), rule, why, key)]


def apply(target: float, memory: Recovery, setting: Current, now: float) -> tuple[Recovery, str]:
    """Down at once, up after the hold and along the ramp (4.3); returns the new state and, while it is held, why."""
    amps = memory.amps
    if amps is None or target <= amps or target == 0:
        return Recovery(amps=target), ""
    if amps == 0 and target < setting.recovery_threshold_fraction * setting.max:
        least = setting.recovery_threshold_fraction * setting.max
        return Recovery(amps=0.0), f"{target:g} A is too little to leave 0 A, needs {least:g} A"
    since = now if memory.rising_since is None else memory.rising_since
    base = amps if memory.rising_since is None else memory.base
    waited = now - since
    if waited < setting.hold:
        return Recovery(amps, since, base), f"held at {amps:g} A for another {setting.hold - waited:.0f} s"
    raised = target if setting.rate == 0 else min(target, round(base + setting.rate * (waited - setting.hold), 3))
    if raised >= target:
        return Recovery(amps=target), ""
    return Recovery(max(raised, amps), since, base), f"rising by {setting.rate:g} A/s towards {target:g} A"
