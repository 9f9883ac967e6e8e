"""Settings that contradict each other, each with its numbers: what nobody can mean is refused.

One function a rule.  What may be meant after all is only said: checks.py.
Sheet: limits.md chapter 2 (tables), 3.2 (absorption and re-bulk), 3.7 (SoC reset), 4.1 (what the tables look at),
5.1 (current map).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from gateway.limits.tables import Curve

if TYPE_CHECKING:
    from gateway.limits.settings import LimitSettings, Table

ROOM: Final = 25.0  # °C, at which every battery may be used
BEYOND: Final = 0.25  # V past the set-points, from which on a table is one for other cells
HALF: Final = 0.5
EPS: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What is wrong, and the keys below `limits:` that it lies between; the first is the likeliest culprit."""

    keys: tuple[str, ...]
    text: str


class Contradictory(ValueError):
    """Settings that cannot be meant; holds every contradiction found."""

    def __init__(self, found: tuple[Contradiction, ...]) -> None:
        super().__init__("; ".join(f"limits.{one.keys[0]}: {one.text}" for one in found))
        self.found = found


def told(error: Mapping[str, Any]) -> tuple[Contradiction, ...]:
    """The contradictions that one objection of pydantic holds; () when it is another one."""
    cause = error.get("ctx", {}).get("error")
    return cause.found if isinstance(cause, Contradictory) else ()


def contradictions(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Everything in `settings` that contradicts itself."""
    for rule in RULES:
        yield from rule(settings)


def curve(table: "Table") -> Curve:
    """The table with its points ascending."""
    return Curve(table.points, table.fractions)


# ---- the charge state machine


def rebulk_by_difference(settings: "LimitSettings") -> Iterator[Contradiction]:
    """A pack that counts as balanced must not by the same difference be out of balance, or it is full for ever anew."""
    absorption, rebulk = settings.absorption, settings.rebulk
    if not settings.charge_voltage.enabled or absorption.cell_difference is None or rebulk.cell_difference is None:
        return
    most = absorption.cell_difference + absorption.cell_difference_deviation
    if rebulk.cell_difference <= most + EPS:
        yield Contradiction(
            ("rebulk.cell_difference", "absorption.cell_difference", "absorption.cell_difference_deviation"),
            f"{rebulk.cell_difference * 1000:g} mV between cells ends float, and absorption goes on up to"
            f" {absorption.cell_difference * 1000:g} + {absorption.cell_difference_deviation * 1000:g} mV (absorption."
            f"cell_difference + cell_difference_deviation), so the battery would be full every {absorption.time:g} s"
            f" for ever; expected more than {most * 1000:g} mV",
        )


def rebulk_by_voltage(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Float must not be ended by the very voltage at which it holds the cells."""
    low, held = settings.rebulk.cell_voltage, settings.cell_voltage.float_
    if settings.charge_voltage.enabled and low is not None and low >= held:
        yield Contradiction(
            ("rebulk.cell_voltage", "cell_voltage.float"),
            f"{low:g} V ends float, and float holds the cells at {held:g} V (cell_voltage.float), so it would end as"
            f" soon as it begins; expected less than {held:g} V",
        )


def reset_voltage(settings: "LimitSettings") -> Iterator[Contradiction]:
    """The periodic higher voltage is a higher one."""
    reset, top = settings.soc_reset, settings.cell_voltage.max
    if reset.after_days and reset.cell_voltage < top:
        yield Contradiction(
            ("soc_reset.cell_voltage", "cell_voltage.max"),
            f"{reset.cell_voltage:g} V is below the usual {top:g} V (cell_voltage.max); expected a higher voltage, or"
            " soc_reset.after_days: null",
        )


def highest(settings: "LimitSettings") -> float:
    """V to which a cell is ever meant to be charged."""
    reset = settings.soc_reset
    return max(settings.cell_voltage.max, reset.cell_voltage if reset.after_days else 0.0)


# ---- tables


def charge_by_voltage(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Less current into a fuller cell, none at the end, and some into an empty one."""
    table, cell, key = settings.by_cell_voltage.charge, settings.cell_voltage, "by_cell_voltage.charge"
    if not table.enabled:
        return
    read, amps, top = curve(table), settings.charge_current.max, highest(settings)
    if (rise := step_up(read)) and rise[2] > cell.float_:
        yield _of_table(key, f"rises {_between(rise, 'V')}: a fuller cell would get more; expected fractions that fall")
    elif read.fractions[-1] > 0:
        yield _of_table(
            key,
            f"still allows {read.fractions[-1] * amps:g} A at {read.points[-1]:g} V and at every voltage above;"
            " expected 0 as the last fraction",
        )
    elif read(cell.min, "linear") <= 0:
        yield _other_cells(key, read, "cell_voltage.min", f"allows no charge at the {cell.min:g} V")
    elif read(top + BEYOND, "linear") > HALF:
        yield _other_cells(key, read, "cell_voltage.max", f"hardly limits at {top + BEYOND:g} V, above the {top:g} V")


def discharge_by_voltage(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Less current out of an emptier cell, none at the end, and some out of a full one."""
    table, cell, key = settings.by_cell_voltage.discharge, settings.cell_voltage, "by_cell_voltage.discharge"
    if not table.enabled:
        return
    read, amps = curve(table), settings.discharge_current.max
    if fall := step_down(read):
        yield _of_table(key, f"falls {_between(fall, 'V')}: a full cell would give less; expected fractions that rise")
    elif read.fractions[0] > 0:
        yield _of_table(
            key,
            f"still allows {read.fractions[0] * amps:g} A at {read.points[0]:g} V and at every voltage below;"
            " expected 0 as the fraction of the lowest voltage",
        )
    elif read(cell.float_, "linear") <= 0:
        yield _other_cells(key, read, "cell_voltage.float", f"allows no discharge at the {cell.float_:g} V")
    elif read(cell.min - BEYOND, "linear") > HALF:
        yield _other_cells(
            key, read, "cell_voltage.min", f"hardly limits at {cell.min - BEYOND:g} V, below the {cell.min:g} V"
        )


def by_temperature(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Up from the cold, down to the heat, and something at room temperature."""
    for way in ("charge", "discharge"):
        table, key = getattr(settings.by_temperature, way), f"by_temperature.{way}"
        if not table.enabled:
            continue
        read = curve(table)
        if valley := _valley(read):
            yield _of_table(key, f"falls and rises again {_between(valley, '°C')}; expected one rise and one fall")
        elif read(ROOM, "linear") <= 0:
            yield _of_table(key, f"allows 0 A at {ROOM:g} °C; expected points in °C and a share above 0 there")


def by_mosfet_temperature(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Down to the heat, and something at room temperature."""
    for way in ("charge", "discharge"):
        table, key = getattr(settings.by_mosfet_temperature, way), f"by_mosfet_temperature.{way}"
        if not table.enabled:
            continue
        read = curve(table)
        if rise := step_up(read):
            yield _of_table(key, f"rises {_between(rise, '°C')}: a hotter switch would get more; expected a fall")
        elif read(ROOM, "linear") <= 0:
            yield _of_table(key, f"allows 0 A at {ROOM:g} °C; expected points in °C and a share above 0 there")


def by_soc(settings: "LimitSettings") -> Iterator[Contradiction]:
    """Charging falls with the SoC, discharging rises with it, between 0 and 100 %."""
    for way, wrong, at in (("charge", step_up, 0.0), ("discharge", step_down, 100.0)):
        table, key = getattr(settings.by_soc, way), f"by_soc.{way}"
        if not table.enabled:
            continue
        read = curve(table)
        if not (read.points[0] >= 0 and read.points[-1] <= 100):
            yield _of_table(key, f"has points {read.points[0]:g}..{read.points[-1]:g} %, expected 0..100 %")
        elif bad := wrong(read):
            verb, right = ("rises", "fall") if way == "charge" else ("falls", "rise")
            yield _of_table(key, f"{verb} {_between(bad, '%')}; expected fractions that {right} with the SoC")
        elif read(at, "linear") <= 0:
            yield _of_table(key, f"allows 0 A at {at:g} % and so at every SoC; expected a share above 0 there")


Step = tuple[float, float, float, float]
"""A point and its fraction, the next point and its fraction."""


def step_up(read: Curve) -> Step | None:
    """The last place where the fraction rises with the point."""
    return max((step for step in _steps(read) if step[3] > step[1]), default=None)


def step_down(read: Curve) -> Step | None:
    """The last place where the fraction falls as the point rises."""
    return max((step for step in _steps(read) if step[3] < step[1]), default=None)


def _steps(read: Curve) -> Iterator[Step]:
    pairs = list(zip(read.points, read.fractions, strict=True))
    return ((*before, *after) for before, after in pairwise(pairs))


def _valley(read: Curve) -> Step | None:
    """The first rise after a fall."""
    steps = list(_steps(read))
    first = next((n for n, step in enumerate(steps) if step[3] < step[1]), len(steps))
    return next((step for step in steps[first:] if step[3] > step[1]), None)


def _between(step: Step, unit: str) -> str:
    return f"from {step[1]:g} at {step[0]:g} {unit} to {step[3]:g} at {step[2]:g} {unit}"


def _of_table(key: str, text: str) -> Contradiction:
    return Contradiction((f"{key}.fractions", f"{key}.points", key), text)


def _other_cells(key: str, read: Curve, set_point: str, what: str) -> Contradiction:
    """The table says nothing sensible about voltages that these cells have."""
    return Contradiction(
        (f"{key}.points", set_point, key),
        f"limits.{key} with its points {read.points[0]:g}..{read.points[-1]:g} V {what} of limits.{set_point};"
        " expected a table for these cells",
    )


# ---- the rest


def current_map(settings: "LimitSettings") -> Iterator[Contradiction]:
    """More current is more current."""
    table = settings.soc.current_map
    for before, after in pairwise(table.measured):
        if after < before:
            yield Contradiction(
                ("soc.current_map.measured", "soc.current_map.reported"),
                f"falls from {before:g} A to {after:g} A while reported rises; expected currents that rise (for a"
                " current of the wrong sign: the driver's invert_current, where it has one)",
            )
            return


def sensors(settings: "LimitSettings") -> Iterator[Contradiction]:
    """A temperature rule needs a sensor."""
    tables = settings.by_temperature
    if not settings.temperature_sensors and (tables.charge.enabled or tables.discharge.enabled):
        yield Contradiction(
            ("temperature_sensors", "by_temperature"),
            "no sensor counts, so limits.by_temperature could not look at any; expected numbers of sensors, as [1, 2]",
        )


def soc_points(settings: "LimitSettings") -> Iterator[Contradiction]:
    """An SoC is a percentage."""
    for point in settings.time_to_go.points:
        if not 0 <= point <= 100:
            yield Contradiction(("time_to_go.points",), f"{point:g} is no SoC, expected points of 0..100 %")
            return


Rule = Callable[["LimitSettings"], Iterator[Contradiction]]
RULES: Final[tuple[Rule, ...]] = (
    rebulk_by_difference, rebulk_by_voltage, reset_voltage, charge_by_voltage, discharge_by_voltage, by_temperature,
    by_mosfet_temperature, by_soc, current_map, sensors, soc_points,
)  # fmt: skip
