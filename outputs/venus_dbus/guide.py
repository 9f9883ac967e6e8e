"""Every path that a battery service may have, with what it is: for the documentation and for who looks.  Pure."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from outputs.values import VALUES
from outputs.venus_dbus.cells import LEAST_FOR_MIDPOINT, Seen, cell_entries
from outputs.venus_dbus.controls import APPLY, CLEAR, HAS_SETTINGS, MODE, OUTCOME, SOC, SWITCHES, Controls
from outputs.venus_dbus.lifetime import HISTORY, OWN, point_entries
from outputs.venus_dbus.paths import LIMITS, TABLE
from outputs.venus_dbus.plan import Plan, fixed_items
from outputs.venus_dbus.tree import Item

ACTIONS: Final = frozenset({"charge", "discharge", "balance", "soc"})
MOST: Final = Seen(cells=LEAST_FOR_MIDPOINT, balancing=1, sensors=1)
PLAN: Final = Plan(
    name="", identity="", instance=1, battery="", custom_name="", product_name="", product_id=0, version="",
    writable=True, bms=True, cells="both", midpoint=True, min_interval=1.0, slow_interval=30.0,
)  # fmt: skip
KINDS: Final = {"d": "number", "i": "integer", "s": "text"}
DOING: Final = {"charge": "charging", "discharge": "discharging", "balance": "balancing"}
FIXED: Final = {  # what it is; the rows of the tables have their words in the list of published values
    "/Mgmt/ProcessName": "the program",
    "/Mgmt/ProcessVersion": "its version, and Python's",
    "/DeviceInstance": "what VRM's history and the choice of battery and BMS hang on; kept by Venus OS",
    "/ProductId": "`product_id`, our own",
    "/ProductName": "BMS gateway",
    "/CustomName": "the user's name for it; kept by Venus OS",
    "/Connected": "1",
    "/Settings/HasTemperature": "1: the history has temperatures",
    "/History/CanBeCleared": "1 where the history may be begun anew",
    "/Capabilities/ChargeVoltageControl": "1: it decides its charge voltage itself",
    HAS_SETTINGS: "1 once something can be switched",
    CLEAR: "1 all, 2 capacity, 3 voltages, 4 time, 5 alarms, 6 temperature, 7 energy",
    MODE: "3 on, 4 switched off, 252 standby: nothing may flow; writable where every BMS can be switched",
    "/State": "9 running, 14 standby, 10 error",
    "/ErrorCode": "8 the guard replaced the limits, 12 the gateway hangs",
    "/DeviceState": "256 ok, 257 hot, 258 warm, 259 internal failure, 260 nothing may flow, 261 low voltage",
    "/Balancer/Status": "1 balanced, 2 balancing, 3 imbalance",
    "/Mgmt/Connection": "how it is reached",
    "/Mgmt/InsecureConnection": "1 = by radio: its voltage is no reference for chargers",
    "/Info/MaxChargeCellVoltage": "charge voltage limit, a cell's share",
    "/Dc/0/MidVoltage": "what the lower half of the cells adds up to (`midpoint`)",
    "/Dc/0/MidVoltageDeviation": "by how much the upper half is higher, % of the whole (`midpoint`)",
    "/ConsumedAmphours": "what lacks to full, negative",
    "/ConsumedAmphoursBms": "the same as the BMSs say",
    "/ConnectionInformation": "who does not answer, and why",
    "/Io/AllowToBalance": "the BMS may balance",
    "/History/TimeSinceLastFullCharge": "time since the last full charge, in whole minutes",
    **{path: f"1 = {DOING[action]} switched off in the BMS, 0 = on again" for path, action in SWITCHES.items()},
    SOC: "the SoC to set",
    APPLY: "1 = set it",
    OUTCOME: "what became of the last wish",
}


class Row(NamedTuple):
    """One path, for people."""

    path: str
    kind: str  # number, integer, text
    unit: str
    writable: bool
    slow: bool  # told now and then only
    words: str


def rows() -> Iterator[Row]:
    """Every path; <n> stands for a number."""
    tree = fixed_items(PLAN)
    controls = Controls(tree, "", lambda command, tell: False, tree.put, lambda: 0.0, writable=True, history=True)
    controls.offer(ACTIONS)
    words = {path: value.words for value in VALUES for path in value.dbus} | FIXED
    items = [(path, tree[path], False) for path in tree]
    for entry in (*TABLE, *LIMITS, *cell_entries(MOST, "both", midpoint=True), *HISTORY, *OWN, *point_entries((1.0,))):
        items.append((numbered(entry.path), Item(entry.kind, entry.text, writable=entry.path == MODE), entry.slow))
    for path, (item, slow) in {path: (item, slow) for path, item, slow in items}.items():
        yield Row(path, KINDS[item.kind], _unit(item), item.writable, slow, words.get(path, ""))


def numbered(path: str) -> str:
    """/Voltages/Cell7 -> /Voltages/Cell<n>."""
    return re.sub(r"(?<=Cell|ture)\d+$|(?<=/TimeToSoC/)[\d_]+$|(?<=/Cell/)\d+(?=/)", "<n>", path)


def _unit(item: Item) -> str:
    """What stands behind the number in its text."""
    unit = item.text(0).lstrip("0.x") if item.kind != "s" else ""
    return "°C" if unit == "C" else unit
