"""Batteries in the RV-C network (Lithionics, Battle Born, Renogy REGO and others): DC source messages, nobody asks.

Sheet: rvc_can.md; frames: dbc/rvc_can.dbc.  RV-C counts discharging; here + = charging.  Any node of the network may be
the battery: the one with the wanted instance and the highest priority is, and stays so while it is heard.
"""

from collections.abc import Callable, Sequence
from typing import Final

import dbc
from bms_drivers import kit
from bms_drivers.kit import can, named
from gateway.model import LinkTimeout, WrongDevice

FRAMES: Final = can.Dbc(dbc.path("rvc_can"))
GROUP: Final = 0x01FFFF00  # bits of an identifier that name the message; the others are priority and source
SOURCE: Final = 0xFF
REBROADCAST: Final = 119  # priority of a GX that repeats what others said
BATTERY: Final = 120  # priority of a device that counts SoC itself
LIFE, SLOW_LIFE = 5.0, 16.0  # s; of measurements, of limits and alarms that come every 5 s (sheet section 2)
ALARMS: Final = (
    "high_voltage", "low_voltage", "low_soc", "low_temperature", "high_temperature", "high_discharge_current",
)  # fmt: skip

Read = Callable[[kit.Values], kit.Values]


def heard(name: str, setup: kit.Setup, known: kit.Values, life: float, settle: float) -> kit.Talk:
    """What the battery says in one message, of all nodes that send it.  Raises LinkTimeout where it says nothing."""
    message = FRAMES.messages[name]
    frames = yield kit.CanAsk(
        (message.at(mask=GROUP),),
        life,
        settle=settle,
        complete=lambda got: known.get("_source") in sources(got),
        partial=True,
    )
    said = {frame.kind & SOURCE: FRAMES.values(name, frame.payload) for frame in frames}
    mine = {source: values for source, values in said.items() if wanted(values, setup)}
    source = known.get("_source")
    if name == "Status_1" and source not in mine and mine:
        source = max(mine, key=lambda node: mine[node]["_priority"])
    if source not in mine:
        raise LinkTimeout(f"no {name} of instance {setup['instance']} from node {source}")
    return {**mine[source], "_source": source}


def sources(frames: Sequence[kit.Frame]) -> set[int]:
    """Who sent these."""
    return {frame.kind & SOURCE for frame in frames}


def wanted(values: kit.Values, setup: kit.Setup) -> bool:
    """Is it the battery asked for, in its own words?"""
    return values.get("_instance") == setup["instance"] and values.get("_priority") not in (None, REBROADCAST)


def step(
    name: str, message: str, *, read: Read = dict, gives: tuple[str, ...] = (), slow: bool = False
) -> kit.Poll:  # fmt: skip
    """One message; `slow`: it is sent every five seconds or so."""
    life, settle = (SLOW_LIFE, 6.0) if slow else (LIFE, 1.5)

    def talk(setup: kit.Setup, known: kit.Values) -> kit.Talk:
        values = yield from heard(message, setup, known, life, settle)
        return read({name if name in named.KINDS or name[0] == "_" else f"_{name}": v for name, v in values.items()})

    given = tuple(dict.fromkeys((*FRAMES.messages[message].gives, *gives)))
    return kit.Poll(name, talk, given, essential=message == "Status_1", keep=0, slow=life if slow else 0.0)


def charging(values: kit.Values) -> kit.Values:
    """The current the other way round."""
    amps = values.get("_current")
    return {**values, "current": None if amps is None else -amps + 0.0}


def alarms(values: kit.Values) -> kit.Values:
    """Two pairs of bits an alarm: a limit is reached, the battery is disconnected; 01 alone is yes."""
    levels = {name: 2 if values.get(f"_cut_{name}") == 1 else int(values.get(f"_limit_{name}") == 1) for name in ALARMS}
    return {"alarms": levels}


def switched(values: kit.Values) -> kit.Values:
    """Contactors: on, off, or not known."""
    for name in ("charge_allowed", "discharge_allowed"):
        state = values.get(name)
        values[name] = None if state is None else bool(state)
    return values


def proof(values: kit.Values) -> str:
    """A device that counts SoC for a battery, and has a voltage (sheet section 8)."""
    if values.get("_priority") != BATTERY or values.get("voltage") is None or values.get("soc") is None:
        raise WrongDevice("an RV-C battery sends 1FFFD and 1FFFC with priority 120, this network's does not")
    return f"RV-C battery, node {values['_source']:02X}, {values['voltage']} V"


DRIVER: Final = kit.Driver(
    name="rvc_can",
    title="RV-C house batteries (Lithionics, Battle Born, Renogy REGO)",
    frames=FRAMES,
    transports=("can",),
    options=(kit.Option("instance", 1, "which DC source of the network; 1 = the house bank", least=1, most=250),),
    plan=(
        step("status", "Status_1", read=charging, gives=("current",)),
        step("charge", "Status_2"),
        step("health", "Status_3"),
        step("switches", "Status_11", read=switched),
        step("limits", "Status_4", slow=True),
        step("alarms", "Status_6", read=alarms, gives=("alarms",), slow=True),
    ),
    assemble=can.assemble(FRAMES),
    detection=kit.Detection(rank=6, polls=("status", "charge"), proof=proof),
    unseen=("alarms",),
)
