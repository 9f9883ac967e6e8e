"""What is said about a battery, be it the whole bank or one member: by D-Bus, and by whatever reads `outputs.values`.

Voltage, current and power are published only while the BMS answers; cells and temperatures until it counts as lost;
SoC and capacities remain the last known (limits.md 8.2: outputs invalidate V, I, P and set CCL = DCL = 0).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.model import BankState, BatteryState, Cap, Decision, Extreme, Health, Life, Reading, Snapshot

HUNG: Final = "the gateway has decided nothing for some seconds: limits withdrawn"
ABSURD: Final = 1e6  # V, A; no battery has it
SAID_AT_MOST: Final = 200  # characters of a reason, of a connection
MODE_WORDS: Final = {
    "bulk": "Bulk",
    "absorption": "Absorption",
    "float_transition": "Float Transition",
    "float": "Float",
    "fixed": "Keep always max voltage",
    "error": "Error",
}
UNKNOWN: Final = BankState()  # in the place of a bank of which nothing is known any more
CONTROL, HEALTH, JOINED = attrgetter("control"), attrgetter("health"), attrgetter("joined")
NAME, READING, CELLS = attrgetter("name"), attrgetter("reading"), attrgetter("cells")
SWITCHES: Final = attrgetter(
    "reading.charge_allowed", "reading.discharge_allowed", "reading.balance_allowed", "controls"
)
LIMITED: Final = attrgetter("cvl", "ccl", "dcl", "low_voltage", "allow_charge", "allow_discharge")
CONNECTION, DRIVER, CONTROLS = attrgetter("connection"), attrgetter("driver"), attrgetter("controls")


class Limits(NamedTuple):
    """What DVCC obeys.  cvl None = this service is no BMS; ccl and dcl are None exactly for a service watched only."""

    cvl: float | None = None  # V
    ccl: float | None = None  # A
    dcl: float | None = None  # A
    low_voltage: float | None = None  # V
    allow_charge: bool | None = None
    allow_discharge: bool | None = None


class Single(NamedTuple):
    """What only a single battery has; a bank of several leaves it empty."""

    cell_voltages: Sequence[float | None] = ()  # V
    cell_balancing: Sequence[bool | None] = ()
    temperatures: Sequence[float | None] = ()  # °C
    balance_allowed: bool | None = None


class About(NamedTuple):
    """What it is and how it is reached, for people."""

    connection: str = ""
    insecure: bool = False  # radio: systemcalc then does not take its voltage as a reference
    serial: str | None = None
    model: str | None = None
    manufacturer: str | None = None
    family: str | None = None  # kind of BMS: the driver's name
    firmware: str | None = None
    hardware: str | None = None


class Own(NamedTuple):
    """The BMSs' own figures beside those that count."""

    soc: float | None  # %
    remaining_capacity: float | None  # Ah


class View(NamedTuple):
    """One battery service's content before rounding; None = not known."""

    about: About = About()
    limits: Limits = Limits()
    voltage: float | None = None  # V
    current: float | None = None  # A, + = charging
    power: float | None = None  # W
    temperature: float | None = None  # °C
    soc: float | None = None  # %
    soh: float | None = None  # %
    capacity: float | None = None  # Ah
    remaining_capacity: float | None = None  # Ah
    time_to_go: int | None = None  # s
    time_to_soc: Mapping[float, int | None] = MappingProxyType({})  # SoC point [%] -> s
    current_average: float | None = None  # A
    bms: Own | None = None  # what the BMSs say themselves, where something else counts
    life: Life | None = None
    since_full: int | None = None  # s since the last completed charge
    min_cell: Extreme | None = None  # V; `where` as published
    max_cell: Extreme | None = None
    min_temperature: Extreme | None = None  # °C
    max_temperature: Extreme | None = None
    mosfet_temperature: float | None = None  # °C
    cell_count: int | None = None
    single: Single = Single()
    balancing: bool | None = None
    heating: bool | None = None
    charge_cycles: int | None = None
    alarms: Mapping[str, int] = MappingProxyType({})
    online: int = 0
    offline: int = 0
    blocking_charge: int = 0
    blocking_discharge: int = 0
    charge_mode: str | None = None
    ccl_caps: Sequence[Cap] = ()
    ccl_reason: Sequence[str] = ()  # rules that give the charge current
    dcl_caps: Sequence[Cap] = ()
    dcl_reason: Sequence[str] = ()
    connection_information: str | None = None
    error: int | None = None  # Victron's error code
    controls: frozenset[str] = frozenset()  # what can be commanded: names of actions, and "mode" where all can both
    on: frozenset[str] = frozenset()  # switches that some BMS has on: names of actions
    charge_request: bool | None = None  # a charge from the grid is asked for
    reasons: tuple[object, ...] = ()  # the slow texts are due at once when this changes


def vouched(snapshot: Snapshot, now: float) -> Snapshot:
    """The Snapshot while it is valid; past its deadline the same with 0 A both ways, nothing measured, BmsCable 2."""
    if now <= snapshot.valid_until:
        return snapshot
    since, bank = snapshot.decision.blocked_since, snapshot.bank
    decision = replace(
        snapshot.decision, ccl=0.0, dcl=0.0, allow_charge=False, allow_discharge=False, ccl_caps=(), dcl_caps=(),
        alarms={**snapshot.decision.alarms, "bms_cable": 2},
        blocked_since=snapshot.valid_until if since is None else since,
    )  # fmt: skip
    batteries = tuple([replace(battery, health=Health.LOST) for battery in bank.batteries])
    offline = bank.online + bank.offline
    bank = replace(bank, health=Health.LOST, batteries=batteries, online=0, offline=offline)
    return replace(snapshot, decision=decision, bank=bank, guard=HUNG)


def bank_view(snapshot: Snapshot, identity: str = "") -> View:
    """The bank as the one battery that Venus OS obeys; `identity` is the serial number of a bank of several."""
    bank, decision = snapshot.bank, snapshot.decision
    members = list(filter(CONTROL, bank.batteries))
    sole = members[0] if len(members) == 1 else None
    reading = sole.reading if sole is not None else None
    live = bank.health is Health.ONLINE
    flow, recent = bank if live else UNKNOWN, bank if bank.health is not Health.LOST else UNKNOWN
    readings = dict(zip(map(NAME, members), map(READING, members), strict=True))
    remaining = decision.remaining_capacity
    return View(
        about=_about_bank(members, identity) if sole is None or reading is None else _about(sole, reading),
        single=Single() if reading is None else _single(reading, bank.health),
        limits=_limits(*LIMITED(decision)),
        voltage=flow.voltage,
        current=flow.current,
        power=flow.power,
        temperature=recent.temperature,
        soc=bank.soc if decision.soc is None else decision.soc,
        soh=bank.soh,
        capacity=bank.capacity,
        remaining_capacity=bank.remaining_capacity if remaining is None else remaining,
        bms=_own(bank, decision),
        life=snapshot.life,
        since_full=_since_full(snapshot),
        time_to_go=snapshot.time_to_go if live else None,
        time_to_soc=snapshot.time_to_soc if live else dict.fromkeys(snapshot.time_to_soc),
        current_average=snapshot.current_average if live else None,
        min_cell=_placed(recent.min_cell, readings, "C"),
        max_cell=_placed(recent.max_cell, readings, "C"),
        min_temperature=_placed(recent.min_temperature, readings, "T"),
        max_temperature=_placed(recent.max_temperature, readings, "T"),
        mosfet_temperature=recent.mosfet_temperature,
        cell_count=_cell_count(readings.values()),
        balancing=bank.balancing,
        heating=bank.heating,
        charge_cycles=bank.charge_cycles,
        alarms=decision.alarms,
        online=bank.online,
        offline=bank.offline,
        blocking_charge=bank.blocking_charge,
        blocking_discharge=bank.blocking_discharge,
        charge_mode=charge_mode(decision, bank),
        ccl_caps=decision.ccl_caps,
        ccl_reason=decision.ccl_reason,
        dcl_caps=decision.dcl_caps,
        dcl_reason=decision.dcl_reason,
        connection_information=_information(bank.batteries, snapshot.guard),
        error=_error(snapshot.guard),
        controls=_controls(members),
        on=_switched_on(members),
        charge_request=decision.force_charge,
        reasons=(decision.ccl_reason, decision.dcl_reason, snapshot.guard, *map(HEALTH, bank.batteries)),
    )


def _own(bank: BankState, decision: Decision) -> Own | None:
    """The BMSs' own figures where another SoC may count, also while it does not."""
    if decision.soc_source == "bms" and bank.external is None:
        return None
    return Own(bank.soc, bank.remaining_capacity)


def _since_full(snapshot: Snapshot) -> int | None:
    at = snapshot.life.last_full_charge if snapshot.life is not None else None
    return None if at is None else max(0, int(snapshot.wall - at) // 60 * 60)  # once a minute is often enough


def battery_view(state: BatteryState) -> View:
    """One battery by itself, to look at: it never has limits, so that DVCC never takes it for a BMS."""
    reading = state.reading or Reading()
    live, recent = state.health is Health.ONLINE, state.health is not Health.LOST
    return View(
        about=_about(state, reading),
        single=_single(reading, state.health),
        voltage=reading.voltage if live else None,
        current=reading.current if live else None,
        power=reading.power if live else None,
        temperature=_mean(reading.temperatures) if recent else None,
        soc=reading.soc,
        soh=reading.soh,
        capacity=reading.capacity,
        remaining_capacity=reading.remaining_capacity,
        min_cell=_cell(reading, reading.min_cell) if recent else None,
        max_cell=_cell(reading, reading.max_cell) if recent else None,
        min_temperature=_sensor(reading, reading.coldest) if recent else None,
        max_temperature=_sensor(reading, reading.hottest) if recent else None,
        mosfet_temperature=reading.mosfet_temperature if recent else None,
        cell_count=reading.cells,
        balancing=reading.balancing,
        heating=reading.heating,
        charge_cycles=reading.charge_cycles,
        alarms={**reading.alarms, "bms_cable": 0 if recent else 2},
        online=int(live),
        offline=int(not live),
        blocking_charge=int(reading.charge_allowed is False),
        blocking_discharge=int(reading.discharge_allowed is False),
        connection_information=_information((state,), ""),
        controls=_controls((state,)),
        on=_switched_on((state,)),
        reasons=(state.health, state.joined),
    )


def charge_mode(decision: Decision, bank: BankState) -> str:
    """Mode word with what modifies it, as dbus-serialbattery's users know it (limits.md 3.5)."""
    text = MODE_WORDS.get(decision.charge_mode, decision.charge_mode)
    if decision.cell_ovp != "none":
        text += f" (Cell OVP{'*' if decision.cell_ovp == 'recovering' else ''}) {decision.cell_ovp}"
    text += " & SoC Reset" if decision.soc_reset else ""
    text += " + Balancing" if bank.balancing else ""
    return text + (" + Heating" if bank.heating else "")


@lru_cache(maxsize=16)
def _limits(
    cvl: float | None, ccl: float, dcl: float, low_voltage: float | None, charge: bool, discharge: bool
) -> Limits:
    """Fit to be obeyed: a current limit that is no number >= 0 becomes 0, never invalid beside a valid CVL."""
    return Limits(
        cvl=cvl if _sound(cvl) else None,
        ccl=ccl if _sound(ccl) else 0.0,
        dcl=dcl if _sound(dcl) else 0.0,
        low_voltage=low_voltage if _sound(low_voltage) else None,
        allow_charge=charge,
        allow_discharge=discharge,
    )


def _sound(value: float | None) -> bool:
    return value is not None and 0.0 <= value <= ABSURD  # false for what is no number


def _single(reading: Reading, health: Health) -> Single:
    """Cells and sensors of one battery; those of a lost one are not known any more."""
    if health is Health.LOST:
        return Single(
            cell_voltages=(None,) * len(reading.cell_voltages),
            cell_balancing=(None,) * len(reading.cell_balancing),
            temperatures=(None,) * len(reading.temperatures),
        )
    return Single(
        cell_voltages=reading.cell_voltages,
        cell_balancing=reading.cell_balancing,
        temperatures=reading.temperatures,
        balance_allowed=reading.balance_allowed,
    )


def _about(state: BatteryState, reading: Reading) -> About:
    return About(
        connection=state.connection or state.driver or state.name,
        insecure=_wireless(state.connection),
        serial=reading.serial_number or None,
        model=reading.model or None,
        manufacturer=reading.manufacturer or None,
        family=state.driver or None,
        firmware=reading.firmware_version or None,
        hardware=reading.hardware_version or None,
    )


def _about_bank(batteries: Sequence[BatteryState], identity: str) -> About:
    return _described(tuple(map(CONNECTION, batteries)), tuple(map(DRIVER, batteries)), identity)


@lru_cache(maxsize=8)
def _described(connections: tuple[str, ...], drivers: tuple[str, ...], identity: str) -> About:
    ways = ", ".join(dict.fromkeys(filter(None, connections)))
    return About(
        connection=f"{len(connections)} batteries: {ways}"[:SAID_AT_MOST],
        insecure=any(map(_wireless, connections)),
        serial=identity or None,
        family=", ".join(dict.fromkeys(filter(None, drivers))) or None,
    )


def _wireless(connection: str) -> bool:
    return connection.lower().startswith(("ble", "bluetooth"))


def _placed(extreme: Extreme | None, readings: Mapping[str, Reading | None], letter: str) -> Extreme | None:
    """The extreme with its id as Victron shows it: C3 where there is one battery, else rack-1:3."""
    if extreme is None:
        return None
    name, _, number = extreme.where.rpartition(":")
    if letter == "C" and ((owner := readings.get(name)) is None or not owner.cell_voltages):
        number = ""  # the BMS's own figure: nobody knows which cell
    if len(readings) == 1:
        return Extreme(extreme.value, f"{letter}{number}" if number else "")
    return extreme if number else Extreme(extreme.value, name)


def _cell(reading: Reading, value: float | None) -> Extreme | None:
    if value is None:
        return None
    where = reading.cell_voltages.index(value) + 1 if value in reading.cell_voltages else ""
    return Extreme(value, f"C{where}" if where else "")


def _sensor(reading: Reading, value: float | None) -> Extreme | None:
    return None if value is None else Extreme(value, f"T{reading.temperatures.index(value) + 1}")


def _cell_count(readings: Iterable[Reading | None]) -> int | None:
    """Cells in series of one battery; None when the members differ or none knows."""
    counts = set(map(CELLS, filter(None, readings)))
    return counts.pop() if len(counts) == 1 else None


def limitation(caps: Sequence[Cap], rules: Sequence[str]) -> str | None:
    """The sentences of the rules that win."""
    if not caps:
        return None
    least = min([cap.value for cap in caps])
    sentences = dict.fromkeys([cap.why for cap in caps if cap.rule in rules and cap.value <= least + 1e-9])
    return "; ".join(sentences)[:SAID_AT_MOST]


def _controls(batteries: Sequence[BatteryState]) -> frozenset[str]:
    """What some of them can do; "mode" where every one can be switched both ways."""
    return _together(frozenset(map(CONTROLS, batteries)))


@lru_cache(maxsize=32)
def _together(controls: frozenset[tuple[str, ...]]) -> frozenset[str]:
    both = all("charge" in some and "discharge" in some for some in controls)
    return frozenset(("mode",) if both else ()).union(*controls)


def _switched_on(batteries: Sequence[BatteryState]) -> frozenset[str]:
    """Switches that can be commanded, and that a BMS which answers has on."""
    answering = [state for state in batteries if state.health is Health.ONLINE and state.reading is not None]
    return frozenset().union(*[_on(*switches) for switches in set(map(SWITCHES, answering))])


@lru_cache(maxsize=64)
def _on(charge: bool | None, discharge: bool | None, balance: bool | None, controls: tuple[str, ...]) -> frozenset[str]:
    """The same of one battery."""
    switches = (("charge", charge), ("discharge", discharge), ("balance", balance))
    return frozenset([name for name, on in switches if on and name in controls])


def _information(batteries: Sequence[BatteryState], guard: str) -> str | None:
    """Who does not answer and why; None when all is well."""
    if not guard and all(map(JOINED, batteries)) and [*map(HEALTH, batteries)].count(Health.ONLINE) == len(batteries):
        return None
    silent = [_remark(state) for state in batteries if state.health is not Health.ONLINE or not state.joined]
    return "; ".join([text for text in (guard, *silent) if text])[:SAID_AT_MOST] or None


def _remark(state: BatteryState) -> str:
    if state.health is Health.ONLINE:
        return f"{state.name}: {state.remark or 'kept out of the bank'}"
    return f"{state.name}: {state.health.value}" + (f" ({state.remark})" if state.remark else "")


def _error(guard: str) -> int | None:
    """12 = watchdog: the gateway hangs; 8 = calculation: the guard replaced the decision."""
    if not guard:
        return None
    return 12 if guard == HUNG else 8


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
