"""The batteries of a config.ini: types, ports, addresses, names.

Sheets: limits.md section 10 (names of the options); daly.md sections 2 and 5 (addresses, sign of the current).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway.config.draft import Draft
from gateway.config.schema import AUTO, NAME, Catalogue

PORT: Final = "/dev/ttyUSB0"
CHIP: Final = "spi:0.0"  # bus and chip select, where a BMS is on the computer's own SPI bus
INVERT: Final = "INVERT_CURRENT_MEASUREMENT"
HELTEC: Final = "HeltecModbus"
SAME: Final = {"jkbms": "jk", "lltjbd": "jbd", "lifepower": "eg4lifepower", "eg4eg4lifepower": "eg4lifepower"}
MAC: Final = r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"

Battery = dict[str, Any]


def batteries(draft: Draft, catalogue: Catalogue) -> None:
    """The list of batteries: those that are named, else one whose port is a guess that the owner must look at."""
    types = draft.words("BMS_TYPE")
    driver = driver_name(types[0], catalogue) if len(types) == 1 else AUTO
    found = [*_bluetooth(draft, catalogue), *_can(draft, driver, catalogue), *_serial(draft, driver, types, catalogue)]
    found = found or _named(draft, driver) or [{"driver": driver, "port": _guess(driver, catalogue)}]
    _invert(draft, found, catalogue)
    interval = draft.values.get("POLL_INTERVAL")
    for number, battery in enumerate(found):
        battery |= {"poll_interval": interval} if interval is not None else {}
        _explain(draft, battery, ("batteries", number), types)
    draft.data["batteries"] = [{"name": f"battery-{n}", **battery} for n, battery in enumerate(found, 1)]
    if "CUSTOM_BATTERY_NAMES" in draft.entries and draft.text("CUSTOM_BATTERY_NAMES"):
        draft.leave("CUSTOM_BATTERY_NAMES", "see `name` under batteries")
    _trace(draft, found)


def _guess(driver: str, catalogue: Catalogue) -> str:
    """Where such a BMS mostly is."""
    return CHIP if catalogue.transports(driver) == ("spi",) else PORT


def driver_name(old: str, catalogue: Catalogue) -> str:
    """Our driver for one of that project's BMS types (Jkbms_Pb, LltJbd, ...); auto when there is none."""
    plain = old.lower().replace("_", "")
    for theirs, ours in SAME.items():
        plain = plain.replace(theirs, ours)
    return next((name for name in catalogue.names() if name.replace("_", "") == plain), AUTO)


def _explain(draft: Draft, battery: Battery, path: tuple[str, int], types: list[str]) -> None:
    """What the owner has to look at."""
    if battery["driver"] == AUTO:
        was = f"{', '.join(types)}: " if types else ""
        draft.remarks[(*path, "driver")] = f"{was}write your BMS, see `bms-gateway drivers`"
    if "host_address" in battery:
        draft.remarks[(*path, "host_address")] = f"{battery['host_address']:#x}"
    if battery["port"] in (PORT, CHIP):
        draft.remarks[(*path, "port")] = "config.ini does not say where it is: write your port"


def _trace(draft: Draft, found: Sequence[Battery]) -> None:
    """From which option a key of any battery comes."""
    for index, battery in enumerate(found):
        port = "BLUETOOTH_BMS" if battery["port"].startswith("ble:") else "CAN_PORT"
        for name, key in (("POLL_INTERVAL", "poll_interval"), ("BATTERY_ADDRESSES", "address"), (port, "port")):
            if name in draft.entries:
                draft.origin["batteries", index, key] = draft.entries[name]


# ---- where they are


def _bluetooth(draft: Draft, catalogue: Catalogue) -> list[Battery]:
    """BLUETOOTH_BMS: type and MAC, comma separated."""
    found = []
    for pair in draft.words("BLUETOOTH_BMS"):
        match = re.fullmatch(rf"(\w+)\s+({MAC})", pair)
        if match is None:
            draft.refuse(draft.entries["BLUETOOTH_BMS"], f"{pair!r}, expected TYPE AA:BB:CC:DD:EE:FF, ...")
            continue
        driver = driver_name(match[1], catalogue)
        if "ble" not in catalogue.transports(driver):
            driver = AUTO
        found.append({"driver": driver, "port": f"ble:{match[2].upper()}"})
    return found


def _can(draft: Draft, driver: str, catalogue: Catalogue) -> list[Battery]:
    """CAN_PORT: interfaces with a BMS, comma separated."""
    speaks_can = driver if "can" in catalogue.transports(driver) else AUTO
    return [{"driver": speaks_can, "port": port} for port in draft.words("CAN_PORT")]


def _named(draft: Draft, driver: str) -> list[Battery]:
    """CUSTOM_BATTERY_NAMES of 2023: PORT:NAME, comma separated; a port with a name is one with a battery."""
    pairs = [word.partition(":") for word in draft.words("CUSTOM_BATTERY_NAMES")]
    names = [name.strip() for _, _, name in pairs]
    sound = all(
        port.startswith("/") and len(name) <= 40 and re.fullmatch(NAME, name.strip()) for port, _, name in pairs
    )
    if not pairs or not sound or len({name.lower() for name in names}) < len(names):
        return []
    del draft.entries["CUSTOM_BATTERY_NAMES"]
    return [{"name": name, "driver": driver, "port": port} for (port, _, _), name in zip(pairs, names, strict=True)]


# ---- several on one line


def _serial(draft: Draft, driver: str, types: list[str], catalogue: Catalogue) -> list[Battery]:
    """BATTERY_ADDRESSES and, of the release that had it, HELTEC_MODBUS_ADDR: several on one serial port."""
    option = "BATTERY_ADDRESSES"
    if types == [HELTEC] and not draft.text(option) and draft.text("HELTEC_MODBUS_ADDR"):
        option = "HELTEC_MODBUS_ADDR"
    elif "HELTEC_MODBUS_ADDR" in draft.entries:
        draft.leave("HELTEC_MODBUS_ADDR", "see `address` under batteries, for a Heltec board")
    numbers = _numbers(draft, option)
    if not numbers:
        return []
    if not catalogue.has_addresses(driver):
        why = "name the driver of each" if driver == AUTO else f"{driver} has one BMS on a port"
        draft.leave(option, f"{why}, see `address` under batteries")
        return [{"driver": driver, "port": _guess(driver, catalogue)}]
    translate = ADDRESSES.get(driver, _plain)
    found = []
    for number in numbers:
        if (setup := translate(number)) is None:
            draft.refuse(
                draft.entries[option], f"{number:#04x} is no address of a {driver}, expected 0x40..0x5F or 0x80"
            )
        else:
            found.append({"driver": driver, "port": PORT, **setup})
    return found


def _numbers(draft: Draft, option: str) -> list[int]:
    """Addresses, hexadecimal or decimal, each once."""
    found: list[int] = []
    for word in draft.words(option):
        if not re.fullmatch(r"0[xX][0-9A-Fa-f]{1,4}|\d{1,4}", word):
            draft.refuse(draft.entries[option], f"{word!r}, expected addresses such as 0x01, 0x02")
        elif (number := int(word, 16 if word[1:2] in ("x", "X") else 10)) in found:
            draft.refuse(draft.entries[option], f"{word} is given twice")
        else:
            found.append(number)
    return found


def _plain(number: int) -> Battery | None:
    return {"address": number}


def _daly(number: int) -> Battery | None:
    """There it is a request's sender: 0x40 asks board 1, 0x41 board 2, 0x80 is the phone app; daly.md section 2."""
    if number == 0x80:
        return {"host_address": number}
    return {"address": number - 0x3F} if 0x40 <= number < 0x60 else None


ADDRESSES: Final[Mapping[str, Callable[[int], Battery | None]]] = {"daly": _daly}
"""Drivers whose address means something else there; None = it is no address."""


# ---- the sign of the current


def _invert(draft: Draft, found: list[Battery], catalogue: Catalogue) -> None:
    """INVERT_CURRENT_MEASUREMENT, of Daly boards alone: -1 = above zero is charging; daly.md section 5."""
    sign = draft.values.get(INVERT)
    if INVERT not in draft.values or sign in (1, None):
        return
    if sign != -1:
        draft.refuse(draft.entries[INVERT], f"{draft.entries[INVERT].text}, expected 1 or -1")
        return
    able = [battery for battery in found if _has(catalogue, battery["driver"], "invert_current")]
    for battery in able:
        battery["invert_current"] = True
    if not able:
        draft.leave(INVERT, "was for Daly boards alone, write `invert_current: true` under such a battery")


def _has(catalogue: Catalogue, driver: str, option: str) -> bool:
    return any(option == known.name for known in catalogue.options(driver))
