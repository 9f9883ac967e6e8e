"""Brands of inverters on RS485, for `bms-gateway inverters`: a page and a list."""

from collections.abc import Iterable, Iterator
from typing import Final

from gateway.cli.brand_words import STANDING, TRUST, cable_of, keys_of
from gateway.cli.markdown import table
from gateway.model.section import of_the_file
from outputs.rs485_bms.brand import ANY, SHELF, Brand
from outputs.rs485_bms.dialects import ADDRESSES
from outputs.rs485_bms.wire import Wire

INTRODUCTION: Final = """\
# Inverters on RS485

For inverters without CAN: the gateway answers on their RS485 line as one battery. `inverter: NAME` below
`outputs: rs485_bms:` chooses dialect, address, speed and what the brand needs otherwise, from the files in
`dbc/inverters/rs485/`; `dialect`, `address`, `baud` and `wire` beside it win. What is not listed: try `pylontech`.
"""
WIRING: Final = """\
## Wiring of RS485

```
   USB-RS485 adapter                                     inverter
 ┌───────────┐                                        ┌─────────────┐
 │         A │────┬──────── twisted pair ────────┬────│ A           │
 │           │  [120 Ω]      9600 bit/s        [120 Ω]│             │
 │         B │────┴──────────────────────────────┴────│ B           │
 │       GND │────────────────────────────────────────│ GND         │
 └───────────┘                                        └─────────────┘
```

* An isolated adapter that switches its direction by itself. 120 Ω at both ends; on a metre of cable none is needed.
* Makers swap the names A and B. `status` says "bytes come, but no question is among them" where the two wires are
  exchanged: exchange them.
* One line, one inverter, one battery. The battery's own BMS must not answer there, and no second inverter may ask.
* Which pins are A and B is each maker's own; where it is not told below, the manual says it. Measure before you plug
  in: other pins of such a socket may be CAN or carry a supply.
* `bms-gateway status` shows what is asked, how often and when last.
"""
OWN: Final = """\
## A file of your own for RS485

`inverter: ./mine.yaml` may begin `like: pylontech` and say what differs; its keys:
"""


def page() -> Iterator[str]:
    """The second half of docs/inverters.md."""
    brands = {name: SHELF.load(name) for name in SHELF.names()}
    yield INTRODUCTION
    head = ("`inverter:`", "inverters", "dialect", "address", "bit/s", "`wire:`", "rests on")
    yield from table(head, ((f"`{name}`", *_line(found)) for name, found in brands.items()))
    yield ""
    yield WIRING
    for name, found in brands.items():
        yield f"## RS485 `{name}`: {found.title}"
        yield ""
        yield from (f"* {sentence}" for sentence in _facts(found))
        yield ""
    yield OWN
    yield from table(("key", "meaning"), ((f"`{key}`", meaning) for key, meaning in keys_of(Brand)))


def words() -> Iterator[str]:
    """A line a brand."""
    yield "on RS485 (outputs.rs485_bms):"
    for name in SHELF.names():
        found = SHELF.load(name)
        yield f"{name}  {found.title}  ({found.dialect}; rests on {STANDING[found.standing]})"
        if differing := wire_in_words(found.wire):
            yield f"    {differing}"


def wire_in_words(wire: Wire) -> str:
    """What differs from the usual; "" = nothing."""
    names = [one.name for one in of_the_file(Wire) if getattr(wire, one.name) != one.default]
    return ", ".join(f"{name} {getattr(wire, name)}" for name in names)


def _address(found: Brand) -> str:
    return f"0x{ADDRESSES[found.dialect] if found.address is None else found.address:02X}"


def _line(found: Brand) -> tuple[str, ...]:
    differing = wire_in_words(found.wire) or "-"
    return found.title, f"`{found.dialect}`", _address(found), f"{found.baud}", differing, STANDING[found.standing]


def _facts(found: Brand) -> Iterable[str]:
    if found.setting:
        yield f"On the inverter: {found.setting}."
    others = f"; also `{'`, `'.join(found.also_asks)}`" if found.also_asks else ""
    yield f"Dialect `{found.dialect}`{others}; address {_address(found)}, {found.baud} bit/s."
    if found.asks:
        yield f"It asks {found.asks}."
    yield cable_of(found.cable)
    if found.asks_within != ANY.asks_within:
        yield f"It counts as silent after {found.asks_within:g} s without a question."
    if found.time_out is not None:
        yield f"It acts by itself after {found.time_out:g} s without answers."
    yield from (f"{fact.says} ({TRUST[fact.trust]})" for fact in found.facts)
