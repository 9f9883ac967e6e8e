"""Rows of the list about the limits, why they are what they are, and alarms."""

from typing import Final

from gateway.model import ALARMS
from outputs.values.remote import asked, latest_end, left_by_source, longest_left
from outputs.values.shapes import (
    AMPS,
    ENUM,
    HIDDEN,
    HIDDEN_AMPS,
    HIDDEN_SECONDS,
    NOTED,
    NOTED_VOLTS,
    PROBLEM,
    TEXT,
    VOLTS,
    both,
)
from outputs.values.sources import alarm, bank_has, blocked_for, caps, decided, external, limit, of_bms, sentence
from outputs.values.value import HomeAssistant, Register, Series, Value

PERCENT: Final = 0.01  # a ratio of it
MODES: Final = ("bulk", "absorption", "float_transition", "float", "fixed", "error")
CELL_OVP: Final = ("none", "limiting", "holding", "recovering")
SOC_SOURCES: Final = ("bms", "counter", "external")

LIMITS: Final = (
    Value(name="cvl", where="K", source=limit("cvl"), unit="V", digits=2, rounding="down",
          title="Charge voltage limit (CVL)", dbus=("/Info/MaxChargeVoltage", "/Info/MaxChargeCellVoltage"),
          status=("decision.cvl",), ha=VOLTS, prometheus=Series("charge_voltage_limit_volts"),
          modbus=Register(40, factor=100)),
    Value(name="ccl", where="K", source=limit("ccl"), unit="A", digits=1, rounding="down",
          title="Charge current limit (CCL)", dbus=("/Info/MaxChargeCurrent",), status=("decision.ccl",), ha=AMPS,
          prometheus=Series("charge_current_limit_amperes"), modbus=Register(41, factor=10)),
    Value(name="dcl", where="K", source=limit("dcl"), unit="A", digits=1, rounding="down",
          title="Discharge current limit (DCL)", dbus=("/Info/MaxDischargeCurrent",), status=("decision.dcl",),
          ha=AMPS, prometheus=Series("discharge_current_limit_amperes"), modbus=Register(42, factor=10)),
    Value(name="low_voltage", where="K", source=limit("low_voltage"), unit="V", digits=2, rounding="up",
          title="Discharge voltage limit (DVL)", dbus=("/Info/BatteryLowVoltage",), status=("decision.low_voltage",),
          ha=NOTED_VOLTS, prometheus=Series("discharge_voltage_limit_volts"), modbus=Register(43, factor=100)),
    Value(name="allow_charge", where="K", source=limit("allow_charge"), kind="flag", title="Charging allowed",
          dbus=("/Io/AllowToCharge",), status=("decision.allow_charge",), ha=HomeAssistant(state_class=""),
          prometheus=Series("charge_allowed"), modbus=Register(44)),
    Value(name="allow_discharge", where="K", source=limit("allow_discharge"), kind="flag",
          title="Discharging allowed", dbus=("/Io/AllowToDischarge",), status=("decision.allow_discharge",),
          ha=HomeAssistant(state_class=""), prometheus=Series("discharge_allowed"), modbus=Register(45)),
    Value(name="charge_mode", where="K", source=decided("charge_mode"), kind="enum", options=MODES,
          dbus=("/Info/ChargeMode",), status=("decision.charge_mode",), ha=ENUM,
          prometheus=Series("charge_mode", label="mode"), modbus=Register(46)),
    Value(name="cell_ovp", where="K", source=decided("cell_ovp"), kind="enum", options=CELL_OVP,
          title="Cell voltage controller", status=("decision.cell_ovp",), ha=ENUM,
          prometheus=Series("cell_ovp", label="state"), modbus=Register(47)),
    Value(name="soc_reset", where="K", source=decided("soc_reset"), kind="flag", title="Periodic higher voltage",
          status=("decision.soc_reset",), ha=HomeAssistant(state_class=""), prometheus=Series("soc_reset"),
          modbus=Register(48)),
    Value(name="force_charge", where="K", source=decided("force_charge"), kind="flag",
          title="Charge from the grid asked for", dbus=("/Info/ChargeRequest",), status=("decision.force_charge",),
          ha=HomeAssistant(state_class="", diagnostic=True), prometheus=Series("force_charge"), modbus=Register(49)),
    Value(name="full_charge", where="K", source=decided("full_charge"), kind="flag",
          title="Full charge from the grid asked for", status=("decision.full_charge",),
          prometheus=Series("full_charge")),
    Value(name="soc_source", where="K", source=decided("soc_source"), kind="enum", options=SOC_SOURCES,
          title="Whose SoC counts", status=("decision.soc_source",),
          ha=HomeAssistant("enum", state_class="", diagnostic=True), prometheus=Series("soc_source", label="source"),
          modbus=Register(50)),
    Value(name="cvl_sentence", where="K", source=sentence("cvl"), kind="text", slow=True,
          title="What binds the charge voltage", ha=TEXT),
    Value(name="ccl_sentence", where="K", source=sentence("ccl"), kind="text", slow=True,
          title="What binds the charge current", dbus=("/Info/ChargeLimitation",), ha=TEXT,
          modbus=Register(300, "text", count=100)),
    Value(name="dcl_sentence", where="K", source=sentence("dcl"), kind="text", slow=True,
          title="What binds the discharge current", dbus=("/Info/DischargeLimitation",), ha=TEXT,
          modbus=Register(400, "text", count=100)),
    Value(name="ccl_reason", where="K", source=lambda s: ", ".join(s.snapshot.decision.ccl_reason), kind="text",
          title="Rules that bind the charge current", status=("decision.ccl_reason",), ha=TEXT, modbus=Register(51)),
    Value(name="dcl_reason", where="K", source=lambda s: ", ".join(s.snapshot.decision.dcl_reason), kind="text",
          title="Rules that bind the discharge current", status=("decision.dcl_reason",), ha=TEXT,
          modbus=Register(52)),
    Value(name="cvl_caps", where="K", source=caps("cvl_caps"), kind="table", unit="V", digits=3,
          title="What each rule proposes for the charge voltage", status=("decision.cvl_caps",),
          prometheus=Series("charge_voltage_cap_volts")),
    Value(name="ccl_caps", where="K", source=caps("ccl_caps"), kind="table", unit="A", digits=2,
          title="What each rule proposes for the charge current", status=("decision.ccl_caps",),
          prometheus=Series("charge_current_cap_amperes")),
    Value(name="dcl_caps", where="K", source=caps("dcl_caps"), kind="table", unit="A", digits=2,
          title="What each rule proposes for the discharge current", status=("decision.dcl_caps",),
          prometheus=Series("discharge_current_cap_amperes")),
    Value(name="waiting", where="K", source=lambda s: "; ".join(s.snapshot.decision.waiting), kind="text",
          title="What the charge machine waits for", status=("decision.waiting",),
          ha=HomeAssistant(state_class="", diagnostic=True, enabled=False)),  # figures move in it
    Value(name="notes", where="K", source=lambda s: "; ".join(s.snapshot.decision.notes), kind="text",
          title="What was learnt just now", status=("decision.notes",)),
    Value(name="guard", where="K", source=lambda s: s.snapshot.guard, kind="text",
          title="Invariant that the guard found broken", dbus=("/ErrorCode", "/State", "/Mode", "/DeviceState"),
          status=("guard",)),
    Value(name="guard_active", where="K", source=lambda s: bool(s.snapshot.guard), kind="flag",
          title="The guard replaced the limits", ha=PROBLEM, prometheus=Series("guard_active"), modbus=Register(53)),
    Value(name="remote_limits", where="K", source=lambda s: len(s.snapshot.remote), kind="int",
          title="Limits asked for from outside", ha=NOTED, modbus=Register(54)),
    Value(name="remote_left", where="K", source=longest_left, unit="s", title="Limits from outside end in",
          modbus=Register(55, "u32")),
    Value(name="remote_until", where="K", source=latest_end, kind="moment", unit="s",
          title="Limits from outside end at", ha=HomeAssistant("timestamp", state_class="", diagnostic=True)),
    Value(name="remote_seconds", where="K", source=left_by_source, kind="map", unit="s",
          title="Limits from outside end in, by who asked",
          prometheus=Series("remote_limit_remaining_seconds", label="source")),
    Value(name="remote_asked", where="K", source=asked, kind="table", title="What is asked for from outside",
          status=("remote",)),
    Value(name="blocked", where="K", source=blocked_for, unit="s", title="Blocked by the loss of a BMS for",
          status=("decision.blocked_since",), ha=HIDDEN_SECONDS, prometheus=Series("blocked_seconds"),
          modbus=Register(57, "u32")),
    Value(name="bms_soc", where="K", source=of_bms("soc"), unit="%", digits=1, title="SoC as the BMSs say",
          dbus=("/SocBms",), ha=HIDDEN, prometheus=Series("bms_soc_ratio", PERCENT), modbus=Register(59, factor=10)),
    Value(name="bms_remaining_capacity", where="K", source=of_bms("remaining_capacity"), unit="Ah", digits=1,
          title="Remaining capacity as the BMSs say", dbus=("/CapacityBms", "/ConsumedAmphoursBms"), ha=HIDDEN,
          prometheus=Series("bms_remaining_amperehours")),
    Value(name="external_current", where="K", source=external("current"), unit="A", digits=1,
          title="Current by the external sensor", status=("bank.external.current",), ha=HIDDEN_AMPS,
          prometheus=Series("external_current_amperes")),
    Value(name="external_soc", where="K", source=external("soc"), unit="%", digits=1,
          title="SoC by the external sensor", status=("bank.external.soc",), ha=HIDDEN,
          prometheus=Series("external_soc_ratio", PERCENT)),
    Value(name="external_fault", where="K", source=external("fault"), kind="text", title="External sensor",
          status=("bank.external.fault",),
          ha=HomeAssistant(state_class="", diagnostic=True, enabled=False)),
    Value(name="inverter_currents", where="K", source=bank_has("inverter_currents"), kind="list", unit="A", digits=1,
          title="Currents as inverters report them", status=("bank.inverter_currents",),
          prometheus=Series("inverter_current_amperes", label="inverter")),
    Value(name="discharge_floor", where="K", source=bank_has("discharge_floor"), unit="%", digits=1,
          status=("bank.discharge_floor",), ha=HIDDEN, prometheus=Series("discharge_floor_ratio", PERCENT)),
)  # fmt: skip


def _alarm_path(name: str) -> tuple[str, ...]:
    """low_cell_voltage -> /Alarms/LowCellVoltage; a short circuit shows there as two others."""
    return () if name == "short_circuit" else ("/Alarms/" + "".join(word.capitalize() for word in name.split("_")),)


ALARM_ROWS: Final = tuple(
    Value(name=f"alarm_{name}", source=alarm(name), kind="level", title=f"{name.replace('_', ' ').capitalize()} alarm",
          dbus=_alarm_path(name), status=(f"decision.alarms.{name}", *(f"{of}.{name}" for of in both("alarms"))),
          ha=PROBLEM, prometheus=Series("alarm_level", one_of=("alarm", name)), modbus=Register(60 + number))
    for number, name in enumerate(ALARMS)
)  # fmt: skip
"""0 ok, 1 warning, 2 alarm; None = its BMS does not say."""
