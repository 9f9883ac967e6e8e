"""bms-gateway drivers: every driver, its transports, and the feature table, generated from the drivers themselves."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import click

from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver
from gateway.cli.markdown import table as _table
from gateway.cli.skeleton import skeleton
from gateway.model import Reading
from gateway.model.command import ACTIONS


@dataclass(frozen=True, slots=True)
class Facts:
    """What a driver declares that it can do."""

    gives: frozenset[str]  # canonical names that its plan delivers
    controls: frozenset[str]
    daisy_chain: bool
    limits: bool  # the currents it reports are limits


Row = Callable[[Facts], bool]


def reads(*names: str) -> Row:
    """True where all of these values are read."""
    return lambda facts: facts.gives.issuperset(names)


def either(*rows: Row) -> Row:
    """True where one of these is."""
    return lambda facts: any(row(facts) for row in rows)


def sets(control: str) -> Row:
    """True where this can be commanded."""
    return lambda facts: control in facts.controls


CAPACITY_LEFT: Final = either(reads("remaining_capacity"), reads("capacity", "soc"))

FEATURES: Final[dict[str, dict[str, Row]]] = {  # heading -> the table's rows in their order, and what makes each true
    "Measured": {
        "Voltage": reads("voltage"),
        "Current": reads("current"),
        "Power": reads("voltage", "current"),
        "State of Charge": reads("soc"),
        "Battery temperature": reads("temperatures"),
        "MOSFET temperature": reads("mosfet_temperature"),
        "Capacity installed": reads("capacity"),
        "Capacity available": CAPACITY_LEFT,
        "Capacity consumed": CAPACITY_LEFT,
    },
    "Cells and switches": {
        "Min/max cell voltages": either(reads("cell_voltages"), reads("lowest_cell_voltage", "highest_cell_voltage")),
        "Min/max temperature": reads("temperatures"),
        "Balancing status": either(reads("balancing"), reads("cell_balancing")),
        "Allow to charge state": reads("charge_allowed"),
        "Allow to discharge state": reads("discharge_allowed"),
        "Allow to balance state": reads("balance_allowed"),
        "Single cell details": reads("cell_voltages"),
        "Raise alarms from the BMS": reads("alarms"),
    },
    "Bus, history, limits and commands": {
        "Daisy chain BMS with one cable": lambda facts: facts.daisy_chain,
        "History of charge cycles": reads("charge_cycles"),
        "Get CCL/DCL from the BMS": lambda facts: (
            facts.limits and {"max_charge_current", "max_discharge_current"} <= facts.gives
        ),
        "SOC reset via driver on BMS": sets("soc"),
        "Disable charging via driver on BMS": sets("charge"),
        "Disable discharging via driver on BMS": sets("discharge"),
        "Disable balancing via driver on BMS": sets("balance"),
    },
    "Further": {
        "State of Health": reads("soh"),
        "Which cells are balanced": reads("cell_balancing"),
        "Ambient temperature": reads("ambient_temperature"),
        "Charge voltage the BMS asks for": reads("max_battery_voltage"),
        "Cell protection thresholds": reads("cell_overvoltage_protection", "cell_undervoltage_protection"),
        "Serial number": reads("serial_number"),
    },
}


def facts_of(driver: Driver) -> Facts:
    """Read off its polling plan, controls and declarations."""
    gives = frozenset(name for poll in driver.plan for name in poll.gives)
    return Facts(gives, frozenset(driver.controls), driver.daisy_chain, driver.limits_from_bms)


def provided(driver: Driver) -> dict[str, bool | None]:
    """Each feature; None = where the user's own file says so, that describes the BMS."""
    facts = facts_of(driver)
    found: dict[str, bool | None] = {name: holds(facts) for table in FEATURES.values() for name, holds in table.items()}
    if driver.made_of is not None:
        every = Facts(frozenset(Reading.__dataclass_fields__), facts.controls, facts.daisy_chain, limits=True)
        may = {name for table in FEATURES.values() for name, holds in table.items() if holds(every)}
        found |= {name: None for name, there in found.items() if name in may and not there}
    return found


def row(driver: Driver) -> dict[str, Any]:
    """What one driver provides, and how sure that is."""
    return {
        "driver": driver.name,
        "title": driver.title,
        "transports": list(driver.transports),
        "baud": driver.line.baud if driver.line else None,
        "hertz": driver.spi.hertz if driver.spi else None,
        "standing": driver.standing,
        "unseen": list(driver.unseen),
        "daisy_chain": driver.daisy_chain,
        "features": provided(driver),
        "controls": sorted(driver.controls),
        "options": {option.name: {"default": option.default, "help": option.help} for option in driver.options},
    }


def page(rows: list[dict[str, Any]]) -> Iterator[str]:
    """docs/drivers.md: a line a driver; the features in several tables, so that each fits on a screen."""
    yield "# Drivers"
    yield ""
    yield "Generated by `bms-gateway drivers --markdown` from the drivers themselves. One file a BMS in `bms_drivers/`."
    yield "`dbc` and `modbus_map` read any BMS that you describe in a file of your own: what stands in it is what they"
    yield "provide ([add-a-bms.md](add-a-bms.md))."
    yield ""
    yield from _table(("driver", "reads", "link"), ((_name(e), e["title"], _link(e)) for e in rows))
    for heading, table in FEATURES.items():
        yield ""
        yield f"## {heading}"
        yield ""
        cells = ((_name(e), *(_yes(e["features"][name]) for name in table)) for e in rows)
        yield from _table(("driver", *table), cells)
    yield from _standings(rows)
    for entry in rows:
        yield from _settings(entry)


def _standings(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield ""
    yield "## How sure it is"
    yield ""
    yield "What no recording of a real device has shown yet rests on documents alone. A recording of yours changes"
    yield "that: see [add-a-bms.md](add-a-bms.md). Names in `code` are values and commands as the gateway calls them."
    yield ""
    yield from _table(
        ("driver", "standing", "not shown by a capture yet"), ((_name(e), e["standing"], _unseen(e)) for e in rows)
    )


def _settings(entry: dict[str, Any]) -> Iterator[str]:
    if not entry["options"]:
        return
    yield ""
    yield f"## Settings of `{entry['driver']}`"
    yield ""
    options = entry["options"].items()
    yield from _table(("key", "default", ""), ((f"`{name}`", str(o["default"]), o["help"]) for name, o in options))


def _name(entry: dict[str, Any]) -> str:
    return f"`{entry['driver']}`"


def _unseen(entry: dict[str, Any]) -> str:
    """What no capture shows; where there is none at all, that is everything."""
    words = ", ".join(map(_word, entry["unseen"]))
    if "captures" in entry["standing"]:
        return words or "-"
    return f"anything; {words}" if words else "anything"


def _word(unseen: str) -> str:
    is_name = unseen in Reading.__dataclass_fields__ or unseen.removeprefix("set ") in ACTIONS
    return f"`{unseen}`" if is_name else unseen


def _link(entry: dict[str, Any]) -> str:
    known = [f"{entry['baud']} baud"] if entry["baud"] else []
    known += [f"{entry['hertz'] // 1000} kHz"] if entry["hertz"] else []
    return ", ".join((*entry["transports"], *known))


def _yes(there: bool | None) -> str:
    return "file" if there is None else "yes" if there else "-"


@click.command(name="drivers")
@click.option("--json", "as_json", is_flag=True, help="Everything, as a JSON list.")
@click.option("--markdown", is_flag=True, help="The page docs/drivers.md.")
@click.option("--skeleton", "new", metavar="NAME", help="A driver file for a BMS called NAME, to start from.")
def command(as_json: bool, markdown: bool, new: str | None) -> None:
    """List the BMSs that can be read, with what each of them provides."""
    if new is not None:
        click.echo(skeleton(new), nl=False)
        return
    rows = [row(registry.load(name)) for name in registry.names()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif markdown:
        click.echo("\n".join(page(rows)))
    else:
        for entry in rows:
            _show(entry)


def _show(entry: dict[str, Any]) -> None:
    click.echo(f"{entry['driver']}  {entry['title']}  ({_link(entry)})")
    features = entry["features"].items()
    click.echo(f"    has: {', '.join(name for name, there in features if there) or 'nothing by itself'}")
    if as_said := [name for name, there in features if there is None]:
        click.echo(f"    as your file says: {', '.join(as_said)}")
    click.echo(f"    lacks: {', '.join(name for name, there in features if there is False) or 'nothing'}")
    click.echo(f"    controls: {', '.join(entry['controls']) or 'none'}; standing: {entry['standing']}")
    if entry["unseen"]:
        click.echo(f"    no capture shows: {', '.join(entry['unseen'])}")
    for name, option in entry["options"].items():
        click.echo(f"    {name} (default {option['default']}): {option['help']}")
