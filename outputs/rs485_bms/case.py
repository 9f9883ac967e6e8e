"""A recording of an inverter and its battery: answered by us, or read back.  Form: vectors/README.md, rs485_inverter.

"config" names what the answers depend on beyond the values.  A battery that bears one `reply_address` and names no
`answer_addresses` answers every address (JK), except those in `silent_addresses`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from gateway.model import DeviceRefused, GatewayError
from gateway.model.validation import validated
from outputs.inverter.keys import Value
from outputs.rs485_bms.dialects import ADDRESSES, CLASSES, make
from outputs.rs485_bms.heard import Dialect, Other, Request
from outputs.rs485_bms.values import filled, parameters
from outputs.rs485_bms.wire import Wire

EVERY: Final = tuple(range(1, 255))
ADDRESSING: Final = ("address", "unit", "answer_addresses", "silent_addresses")


def answers(case: Mapping[str, Any]) -> list[bytes]:
    """What we would answer to each question of the case; b"" = silence.  Raises GatewayError for what is no case."""
    dialect, config = dialect_of(case)
    told, _ = filled(_values(case))
    image = dialect.image({"system_parameters": parameters(told), **told}, [])
    silent = config.get("silent_addresses", ())
    return [_answer(dialect, question, image, silent) for question, _ in exchanges(case)]


def values(case: Mapping[str, Any]) -> dict[str, Any]:
    """What the answers of the case say; "rtn" lists what each exchange returned, where one refused.

    Raises GatewayError for what is no case, FrameError for an answer that is none.
    """
    dialect, _ = dialect_of(case)
    found: dict[str, Any] = {}
    returned = []
    for question, answer in exchanges(case):
        try:
            found |= dialect.read(question, answer) if answer else {}
            returned.append(0)
        except DeviceRefused as refusal:
            returned.append(int(str(refusal).rpartition(" ")[2], 16))
    return {**found, "rtn": returned} if any(returned) else found


def dialect_of(case: Mapping[str, Any]) -> tuple[Dialect, Mapping[str, Any]]:
    """The dialect as the case configures it, and its config.  Raises GatewayError."""
    name, config = case.get("dialect"), case.get("config") or {}
    if name not in CLASSES:
        raise GatewayError(f"dialect: {name!r}, expected one of {', '.join(CLASSES)}")
    if not isinstance(config, Mapping):
        raise GatewayError('config: expected an object such as {"address": 2}')
    given = {key: value for key, value in config.items() if key not in ADDRESSING}
    address = config.get("address", config.get("unit", ADDRESSES[str(name)]))
    others = config.get("answer_addresses", EVERY if "reply_address" in config else ())
    try:
        wire = validated(Wire, {"full_charge_63": True, **given, "also_answers": others})
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        raise GatewayError(f"config: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
    if not isinstance(address, int) or not 0 < address < 255:
        raise GatewayError(f"config: address: {address!r}, expected 1..254")
    return make(str(name), wire, address), config


def exchanges(case: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Questions and answers.  Raises GatewayError where there are none."""
    try:
        return [(bytes.fromhex(one["tx"]), bytes.fromhex(one.get("rx") or "")) for one in case["exchanges"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GatewayError('exchanges: expected [{"tx": hex, "rx": hex}, ...]') from None


def _values(case: Mapping[str, Any]) -> dict[str, Value]:
    given = case.get("values")
    if not isinstance(given, Mapping):
        raise GatewayError('values: expected an object such as {"soc": 86, "voltage": 53.2}')
    return {key: value for key, value in given.items() if value is not None}


def _answer(dialect: Dialect, question: bytes, image: Mapping[str, bytes], silent: Any) -> bytes:
    """The one answer to what is found in a question."""
    for heard in dialect.split(bytearray(question)):
        if isinstance(heard, Request) and heard.ours and heard.address not in silent:
            return dialect.reply(heard, image)
        if isinstance(heard, Other) and heard.reason == "checksum":
            break
    return b""
