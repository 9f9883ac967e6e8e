"""Recordings in the vector format, read and found sound before anybody plays them.

{"driver", "exchanges": [{"tx": hex, "rx": [hex, ...]}], perhaps "registers": {unit: {register: value}},
 "frames": [{"id", "ext", "data"}], "config": {driver setting: value}, "expected": {canonical name: value}}
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.model import ConfigError

OBJECTS: Final = ("config", "expected", "registers")
LOGGED: Final = re.compile(  # "(1700000000.123456) can0 351#1402C012", as candump -L writes it
    r"\(\d+\.\d+\)\s+\S+\s+(?P<id>[0-9A-F]{3}|[0-9A-F]{8})#(?P<data>([0-9A-F]{2}){0,8})(\s+[RT])?$", re.I
)
PRINTED: Final = re.compile(  # "can0  351   [8]  14 02 C0 12", as candump shows it
    r"(\(\S+( \S+)?\)\s+)?\S+\s+([RT]X\s+\S+\s+\S+\s+)?(?P<id>[0-9A-F]{3}|[0-9A-F]{8})"
    r"\s+\[\d\]\s*(?P<data>(\s[0-9A-F]{2}){0,8})(\s+'.*')?$", re.I
)  # fmt: skip
CAN_MOST: Final = 8  # bytes of data in a frame
OTHERS: Final = (  # a key, and what a file that has it is
    ("rows", "a limits scenario, expected a recording; run it with: bms-gateway limits"),
    ("dialect", "a case of an inverter's side, expected a recording of a BMS"),
    ("protocol", "a recording of frames towards inverters; read it with: bms-gateway can decode"),
)


def load(file: Path) -> dict[str, Any]:
    """The recording in `file`.  Raises ConfigError with one line that says what is wrong, and where."""
    try:
        text = file.read_text(encoding="utf-8")
        if frames := candump(text):
            return {"transport": "can", "kind": "captured", "origin": str(file), "frames": frames}
        data = json.loads(text)
    except OSError as problem:
        raise ConfigError(f"{file}: {problem.strerror}") from None
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{file}: not a recording in the vector format ({problem})") from None
    if what := wrong(data):
        raise ConfigError(f"{file}: {what}")
    recording: dict[str, Any] = data
    return recording


def candump(text: str) -> list[dict[str, Any]]:
    """The frames of a log of candump in either of its forms; [] = it is none, other lines are left out."""
    found = [LOGGED.match(line.strip()) or PRINTED.match(line.strip()) for line in text.splitlines()]
    return [
        {"id": f"0x{frame['id']}", "ext": len(frame["id"]) == 8, "data": "".join(frame["data"].split()).lower()}
        for frame in found
        if frame and not (len(frame["id"]) == 8 and int(frame["id"], 16) > 0x1FFFFFFF)  # an error frame
    ]


def wrong(data: Any) -> str:
    """What is wrong with a recording; "" = nothing."""
    if not isinstance(data, dict):
        return 'not a recording in the vector format, expected an object with "exchanges": [{"tx": hex, "rx": [hex]}]'
    for key in OBJECTS:
        if not isinstance(data.get(key, {}), dict):
            return f'"{key}" is {_kind(data[key])}, expected an object'
    if "driver" not in data and (other := next((what for key, what in OTHERS if key in data), "")):
        return other
    if not data.keys() & {"exchanges", "registers", "frames"}:
        return 'holds no "exchanges" (nor "registers" or "frames"), expected [{"tx": hex, "rx": [hex]}]'
    return _wrong_exchanges(data.get("exchanges", [])) or (
        _wrong_registers(data.get("registers", {})) or _wrong_frames(data.get("frames", []))
    )


def _wrong_exchanges(exchanges: Any) -> str:
    if not isinstance(exchanges, list):
        return f'"exchanges" is {_kind(exchanges)}, expected a list'
    for number, exchange in enumerate(exchanges, 1):
        if not isinstance(exchange, dict) or not isinstance(exchange.get("rx"), list):
            return f'exchange {number}: needs "tx" in hex and "rx" as a list of hex'
        for part in (exchange.get("tx"), *exchange["rx"]):
            if not _is_hex(part):
                return f'exchange {number}: {_kind(part)} where hex belongs, as "a5409008"'
    return ""


def _is_hex(part: Any) -> bool:
    try:
        bytes.fromhex(part)
    except (TypeError, ValueError):
        return False
    return True


def _wrong_registers(units: Mapping[str, Any]) -> str:
    for unit, registers in units.items():
        if not unit.isdecimal() or not isinstance(registers, dict):
            return f'registers: {_kind(unit)}: expected {{"1": {{"4096": 5300}}}}: unit, register and value, decimal'
        for register, value in registers.items():
            if not register.isdecimal() or type(value) is not int or not 0 <= value <= 0xFFFF:
                return f"registers: unit {unit}: register {register[:20]!r} is {_kind(value)}, expected 0..65535"
    return ""


def _wrong_frames(frames: Any) -> str:
    if not isinstance(frames, list):
        return f'"frames" is {_kind(frames)}, expected a list'
    for number, frame in enumerate(frames, 1):
        if not isinstance(frame, dict) or not _is_id(frame.get("id")) or not _is_hex(frame.get("data")):
            return f'frame {number}: expected {{"id": "0x2F4", "ext": false, "data": hex}}'
        if len(bytes.fromhex(frame["data"])) > CAN_MOST:
            return f"frame {number}: {len(bytes.fromhex(frame['data']))} bytes, a CAN frame has {CAN_MOST} at most"
    return ""


def _is_id(id_: Any) -> bool:
    try:
        return 0 <= int(str(id_), 0) < 1 << 29
    except ValueError:
        return False


def _kind(value: Any) -> str:
    """A short word for what stands there."""
    words = {dict: "an object", list: "a list", type(None): "nothing"}
    return words.get(type(value)) or repr(value)[:40]
