"""Pylontech's ASCII frames: the module's commands (42 to 4F, 92 to 96) and the system's (60 to 63), by one server.

    ~  VER  ADR  CID1  CID2 or RTN  LENGTH  INFO  CHKSUM  CR        two hex digits a byte

An answer has RTN where the question has CID2.  Questions come in many forms: INFO of 0 to 2 bytes, digits in lower
case, noise before ~.  94, 95 and 64 (set, turn off) are never obeyed.
Sheet: rs485-inverter-protocols.md sections 1 to 3.
"""

from binascii import Error, unhexlify
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.model import BadChecksum, BadLength, DeviceRefused
from gateway.wire import HEX_END, hex_frame
from outputs.inverter.keys import Values
from outputs.rs485_bms import pylontech_records as records
from outputs.rs485_bms.heard import Heard, Image, Other, Request
from outputs.rs485_bms.parts import Found, Record
from outputs.rs485_bms.wire import Wire

START: Final = b"~"
CID1: Final = 0x46
EMPTY: Final = 16  # characters between ~ and CR without INFO
ALL: Final = 0xFF  # in the last byte of INFO: all packs
OK, BAD_CHECKSUM, BAD_LENGTH, UNKNOWN, BAD_FORMAT, NO_SUCH_PACK = 0, 2, 3, 4, 5, 0x90
RETURNED: Final = (0, 1, 2, 3, 4, 5, 6, 0x90, 0x91)  # RTN of answers; no command has such a number
OF_A_PACK: Final = ("42", "44", "92", "93", "96")  # whose INFO names the pack
COMMANDS: Final = ("42", "44", "47", "4F", "51", "60", "61", "62", "63", "92", "93", "96")


class Pylontech:
    """One battery at one address."""

    name = "pylontech"
    baud = 9600

    def __init__(self, wire: Wire, address: int = 2) -> None:
        self._wire, self._address = wire, address
        self._addresses = {address, *wire.also_answers}
        self._pack = bytes((wire.reply_address or address,))
        self._known = COMMANDS if wire.commands is None else tuple(code.upper() for code in wire.commands)
        self._module = records.Module(wire.user_defined_items)
        self._records: Mapping[str, Record] = {
            "47": Record(records.System()),
            "51": records.MAKER_INFO,
            "60": records.BASIC,
            "61": records.analog(wire),
            "62": records.ALARMS,
            "63": records.management(wire),
            "92": records.module_management(wire, self._pack),
            "93": records.serial(self._pack),
            "96": records.firmware(self._pack),
        }
        named = {key for record in self._records.values() for key in record.keys}
        self.keys = frozenset({*named, *self._module.keys, *records.Alarms.keys, "modules", "packs"})

    # ---- questions

    def split(self, buffer: bytearray) -> Iterator[Heard]:
        """As Dialect; a ~ inside a frame begins a new one."""
        while (end := buffer.find(HEX_END)) >= 0:
            line = bytes(buffer[: end + 1])
            del buffer[: end + 1]
            begin = line.rfind(START)
            if begin:
                yield Other("noise", line[:begin] if begin > 0 else line)
            if begin >= 0:
                yield self._understood(line[begin:])
        begin = buffer.rfind(START)
        if noise := bytes(buffer[: begin if begin >= 0 else len(buffer)]):
            del buffer[: len(noise)]
            yield Other("noise", noise)

    def _understood(self, whole: bytes) -> Heard:
        text = whole[1:-1]
        try:
            version, address, cid1, cid2 = unhexlify(text[:8])
        except (Error, ValueError):
            return Other("noise", whole)
        if len(text) < EMPTY or cid1 != CID1:
            return Other("noise", whole)
        code = wrong(text)
        if cid2 in RETURNED:
            return Other("checksum" if code else "answer", whole)
        info = b"" if code else unhexlify(text[12:-4])
        return Request(f"{cid2:02X}", address, whole, address in self._addresses, code, info, version)

    # ---- answers

    def image(self, values: Values, clamped: list[str]) -> Image:
        """As Dialect: INFO by command, "42 all" for all packs."""
        wire, pack = self._wire, self._pack
        made = {what: record.encode(values, clamped) for what, record in self._records.items()}
        first = unhexlify(wire.info_flag_42)
        module = self._module.encode(values, clamped)
        made["42"] = first + pack + module
        made["42 all"] = first + self._module.all(values, module, clamped)
        alarms = records.Alarms().encode(values, clamped)
        made["44"] = unhexlify(wire.info_flag_44) + pack + alarms
        made["44 all"] = unhexlify(wire.info_flag_44) + b"\x01" + alarms
        made["47"] = unhexlify(wire.info_flag_47) + made["47"]
        made["4F"] = b""
        return made

    def reply(self, request: Request, image: Image) -> bytes:
        """As Dialect."""
        all_packs = request.what in ("42", "44") and request.body[-1:] == bytes((ALL,))
        info = image.get(f"{request.what} all" if all_packs else request.what)
        if request.code or info is None or request.what not in self._known:
            return self._frame(request, request.code or UNKNOWN, b"")
        if request.what in OF_A_PACK and not self._means_us(request):
            return self._frame(request, NO_SUCH_PACK, b"")
        if request.what == "4F":
            request = replace(request, version=int(self._wire.protocol_version, 16))
        return self._frame(request, OK, info)

    def _means_us(self, request: Request) -> bool:
        """Does INFO name no other pack?  A second one that answers would be counted, and its limits added."""
        return not request.body or bool({0, ALL, request.address, self._address, *self._pack} & {*request.body})

    def _frame(self, request: Request, code: int, info: bytes) -> bytes:
        address = self._wire.reply_address or request.address
        return hex_frame(request.version, address, CID1, code, info)

    # ---- the way back

    def read(self, question: bytes, answer: bytes) -> dict[str, Any]:
        """As Dialect.  Raises DeviceRefused for an error answer."""
        info = info_of(answer)
        what = unhexlify(question[1:9])[3]
        if f"{what:02X}" in self._records:
            record = self._records[f"{what:02X}"]
            return record.decode(info[1:] if what == 0x47 else info)
        if what == 0x4F:
            version = unhexlify(answer[1:3])[0]
            return {"protocol_version": f"{version >> 4}.{version & 15}"}
        body = unhexlify(question[13:-5])
        return self._packs(what, info, all_packs=body[-1:] == bytes((ALL,)))

    def _packs(self, what: int, info: bytes, *, all_packs: bool) -> Found:
        if what == 0x44:
            return records.Alarms().decode(info[2:])
        if what != 0x42:
            raise BadLength(f"command {what:02X}: not known")
        rest, packs = info[2:], []
        for _ in range(info[1] if all_packs else 1):
            found, rest = self._module.decode(rest)
            packs.append(found)
        return {"modules": len(packs), "packs": packs} if all_packs else packs[0]


def wrong(text: bytes) -> int:
    """Which error is answered to these characters between ~ and CR; 0 = none."""
    try:
        check, length = int.from_bytes(unhexlify(text[-4:]), "big"), int.from_bytes(unhexlify(text[8:12]), "big")
    except Error:
        return BAD_CHECKSUM
    if (sum(text[:-4]) + check) & 0xFFFF:
        return BAD_CHECKSUM
    if length & 0xFFF != len(text) - EMPTY or sum(length >> shift & 15 for shift in (0, 4, 8, 12)) & 15:
        return BAD_LENGTH
    try:
        unhexlify(text[12:-4])
    except Error:
        return BAD_FORMAT
    return OK


def info_of(answer: bytes) -> bytes:
    """INFO of an answer.  Raises BadChecksum, BadLength, DeviceRefused."""
    text = answer[1:-1]
    if answer[:1] != START or answer[-1:] != HEX_END or len(text) < EMPTY:
        raise BadLength(f"no frame: {answer[:40]!r}")
    if code := wrong(text):
        raise BadChecksum(f"{answer[:40]!r}: {'CHKSUM' if code == BAD_CHECKSUM else 'LENGTH'} is wrong")
    if returned := unhexlify(text[:8])[3]:
        raise DeviceRefused(f"RTN {returned:02X}")
    return unhexlify(text[12:-4])
