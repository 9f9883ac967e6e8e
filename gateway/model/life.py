"""Counters of a battery's life, as outputs publish them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Life:
    """Amounts are positive, outputs give them the sign of their bus; None = not known yet."""

    deepest_discharge: float | None = None  # Ah below full
    last_discharge: float | None = None  # Ah
    average_discharge: float | None = None  # Ah
    total_ah_drawn: float | None = None  # Ah
    charge_cycles: float | None = None
    full_discharges: int = 0
    automatic_syncs: int = 0  # completed charges
    last_full_charge: float | None = None  # s since the epoch
    minimum_voltage: float | None = None  # V
    maximum_voltage: float | None = None  # V
    minimum_cell_voltage: float | None = None  # V
    maximum_cell_voltage: float | None = None  # V
    minimum_temperature: float | None = None  # °C
    maximum_temperature: float | None = None  # °C
    low_voltage_alarms: int = 0
    high_voltage_alarms: int = 0
    charged_energy: float = 0.0  # kWh
    discharged_energy: float = 0.0  # kWh
