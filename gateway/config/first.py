"""The first gateway.yaml, from a few answers: only what was asked is in it, each line with what it means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.config.tree import Path
from gateway.config.write import Remarks, to_yaml
from gateway.limits.settings import CellVoltage, Current, DischargeCurrent

GX: Final = "gx"  # this machine is the Victron GX: D-Bus
NONE: Final = "none"  # nobody is told; to look at the batteries first
HEAD: Final = (
    "gateway.yaml: what bms-gateway is told; made by `bms-gateway init`.  Whatever is not here has a safe default.",
    "",
    "  bms-gateway check          says what is wrong with this file, with line numbers",
    "  bms-gateway doctor         what is wrong on this machine",
    "  bms-gateway status         what it sees and decides;  `explain` says why",
    "",
    "Decimal POINT (3.45), true / false, indentation with spaces.  Every key: docs/settings.md.",
)


@dataclass(frozen=True, slots=True)
class Answers:
    """What a first configuration needs to know."""

    batteries: Sequence[Mapping[str, Any]]  # name, driver, port, and the driver's own settings
    inverter: str = NONE  # GX, NONE, or a brand's name
    channel: str = "can0"
    charge_current: float = field(default_factory=lambda: Current().max)  # A, of one battery
    discharge_current: float = field(default_factory=lambda: DischargeCurrent().max)  # A, of one battery
    cell_voltage: float = field(default_factory=lambda: CellVoltage().max)  # V
    bank_charge_current: float | None = None  # A, all together; None = no cap but the batteries' own
    bank_discharge_current: float | None = None  # A


def first_yaml(answers: Answers) -> str:
    """The file."""
    data: dict[str, Any] = {"batteries": [dict(battery) for battery in answers.batteries]}
    if bank := _bank(answers):
        data["bank"] = bank
    data["limits"] = {
        "cell_voltage": _cell_voltage(answers.cell_voltage),
        "charge_current": {"max": answers.charge_current},
        "discharge_current": {"max": answers.discharge_current},
    }
    data["outputs"] = _outputs(answers)
    return to_yaml(data, _remarks(answers), HEAD, {})


def _bank(answers: Answers) -> dict[str, float]:
    caps = {
        "charge_current_limit": answers.bank_charge_current,
        "discharge_current_limit": answers.bank_discharge_current,
    }
    return {name: amps for name, amps in caps.items() if amps is not None}


def _cell_voltage(highest: float) -> dict[str, float]:
    """Set-points that rise, also where the user wants a maximum below the usual float voltage."""
    usual = CellVoltage()
    return {"max": highest, "float": min(usual.float_, highest), "min": usual.min}


def _outputs(answers: Answers) -> dict[str, Any]:
    if answers.inverter == NONE:
        return {}
    if answers.inverter == GX:
        return {"venus_dbus": {}}
    return {"can_bms": {"interface": "socketcan", "channel": answers.channel, "inverter": answers.inverter}}


def _remarks(answers: Answers) -> Remarks:
    remarks: dict[Path, str] = {
        ("bank",): "all batteries in parallel, seen as one",
        ("bank", "charge_current_limit"): "A, for everything together: cables, fuse, inverter",
        ("bank", "discharge_current_limit"): "A",
        ("limits",): "per battery; the cells' data sheet and the BMS's own limits decide",
        ("limits", "cell_voltage", "max"): "V, charged up to here",
        ("limits", "cell_voltage", "float"): "V, held here when full",
        ("limits", "cell_voltage", "min"): "V, empty",
        ("limits", "charge_current", "max"): "A",
        ("limits", "discharge_current", "max"): "A",
        ("outputs", "venus_dbus"): "Venus OS: DVCC obeys it when it is chosen as the BMS",
        ("outputs", "can_bms", "channel"): "bms-gateway can setup makes it, can doctor looks at it",
        ("outputs", "can_bms", "inverter"): "its dialect and what else it needs: docs/inverters.md",
    }
    for number, _ in enumerate(answers.batteries):
        remarks["batteries", number, "name"] = "shown everywhere"
        remarks["batteries", number, "driver"] = "which BMS: bms-gateway drivers"
    return remarks if answers.inverter != NONE else {**remarks, ("outputs",): "nobody is told: inverter or venus_dbus"}
