"""Notifications and chunks that come twice, are cut anywhere, or are another device's never make a wrong Reading.

A value may be missing then, never another one.  What cannot be (gateway.plausible) is no Reading of a battery.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers.kit import registry
from bms_drivers.kit.decode import decode
from gateway.model import Implausible, Reading
from gateway.plausible import plausible
from tests.vectors import Case, cases, is_write

OTHERWISE: Final = {  # known in another way where an answer is lost: what stands in for it
    "daly": {"temperatures", "custom_name", "hardware_version"},  # the extremes; nothing says how long a text is
    "daly_ble": {"temperatures"},
    "jbd_up16s": {"model", "soc", "firmware_version"},  # the name; the SoC in whole percents; a shorter version
}
UNCHECKED: Final = {"hlpdata_bms4s"}  # text without any checksum: what comes twice in the middle of it cannot be seen
COUNTED: Final = {"sinowealth"}  # nothing is read before the count of cells is known
NAMES = [name for name in registry.names() if registry.load(name).transports != ("can",) and cases(name)]
MAKERS = ("jk", "seplos", "daly", "jbd", "ant", "renogy", "felicity", "modbus_map")  # one maker's frames are alike
Pieces = list[bytes]


@cache
def recorded(name: str) -> list[Case]:
    return [case for case in cases(name) if not is_write(case)]


@cache
def answers(name: str) -> Pieces:
    return [bytes.fromhex(part) for case in cases(name) for e in case.data["exchanges"] for part in e["rx"] if part]


def maker(name: str) -> str:
    return next((maker for maker in MAKERS if name.startswith(maker)), name)


@cache
def foreign(name: str) -> Pieces:
    """What other devices say.  A Modbus reply tells its unit and no more: two of one unit cannot be told apart."""
    units = {case.data["exchanges"][0]["tx"][:2] for case in recorded(name) if case.data["exchanges"]}
    taken = {int(unit, 16) for unit in units if unit} | {255} if "modbus" in registry.load(name).transports else set()
    said = [part for other in NAMES if maker(other) != maker(name) for part in answers(other)]
    return [part for part in said if part[0] not in taken]


def cut(rng: random.Random, stream: bytes) -> Pieces:
    cuts = sorted(rng.randint(0, len(stream)) for _ in range(rng.randint(0, 6)))
    return [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]


def troubled(rng: random.Random, name: str, case: Case, kind: str) -> Mapping[str, Any]:
    """The recording with one kind of trouble in each of its answers."""
    exchanges = []
    for exchange in case.data["exchanges"]:
        parts = [bytes.fromhex(part) for part in exchange["rx"]]
        if kind == "cut" or (kind == "twice" and case.data["transport"] != "ble"):
            parts = cut(rng, b"".join(parts))
        if parts and kind == "twice":
            number = rng.randrange(len(parts))
            parts.insert(number, parts[number])
        elif kind == "all twice":
            parts = [*parts, *parts]
        elif kind == "foreign":  # in the middle of a frame a sum of 8 bits fits by 1 : 256
            parts.insert(rng.randint(0, len(parts)), rng.choice(foreign(name)))
        exchanges.append({**exchange, "rx": [part.hex() for part in parts]})
    return {**case.data, "exchanges": exchanges}


def believed(name: str, readings: Mapping[str, Reading]) -> Iterator[tuple[str, Reading]]:
    """Those that a battery would take."""
    for pack, reading in readings.items():
        if name in COUNTED and reading.cell_count is None:
            continue
        with suppress(Implausible):
            yield pack, plausible(reading)


def wrong(name: str, have: Reading, want: Reading) -> list[str]:
    """Values that are known and not those of the recording."""
    apart = {"rejected", "held", "untold"} | OTHERWISE.get(name, set())
    both = {f.name: (getattr(have, f.name), getattr(want, f.name)) for f in fields(Reading) if f.name not in apart}
    return [f"{n}: {value!r}, recorded {right!r}" for n, (value, right) in both.items() if not missing(value, right)]


def missing(value: Any, right: Any) -> bool:
    """The same, or not known; of a list in each place."""
    if isinstance(value, Mapping):
        return all(right.get(name) == level for name, level in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == len(right):
        return all(item in (None, other) for item, other in zip(value, right, strict=True))
    return value is None or value == () or value == right


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1 << 30))
def test_trouble_on_the_way_makes_no_wrong_reading(name: str, seed: int) -> None:
    rng, driver = random.Random(seed), registry.load(name)
    case = rng.choice(recorded(name))
    whole = dict(believed(name, decode(driver, case.data).readings))
    for kind in ("cut", "all twice") if name in UNCHECKED else ("cut", "all twice", "twice", "foreign"):
        found = dict(believed(name, decode(driver, troubled(rng, name, case, kind)).readings))
        for pack, reading in found.items():
            nothing = Reading(manufacturer=reading.manufacturer)
            assert wrong(name, reading, whole.get(pack, nothing)) == [], f"{case}: {kind}"
        assert kind != "cut" or found == whole, f"{case}: {kind}"
