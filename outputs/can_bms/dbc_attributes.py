"""Attributes of a dialect's DBC file: which there are, what each may say, and how one is read.

What they mean is told in `dbc_file`.
"""

from collections.abc import Iterator
from typing import Any, Final

ATTRIBUTES: Final[dict[str, type | tuple[str, ...]]] = {
    "Purpose": str,
    "RefusedNames": str,
    "GenMsgCycleTime": int,
    "SendOrder": int,
    "SendWhen": ("always", "known"),
    "GenSigStartValue": int,
    "WhenUnknown": ("start_value", "absent", "cut", "withhold"),
    "Rounding": ("nearest", "down", "up"),
    "Coding": ("by_name", "number", "flag", "text", "hex_version", "constant"),
    "Raised": int,
    "TextPad": int,
    "TextOffset": int,
    "Default": str,
    "Fallback": str,
    "FlagGroup": str,
}
_OF_TOOLS: Final = """
    BusType DBName ProtocolType Manufacturer Baudrate VersionNumber VersionDate VFrameFormat CANFD_BRS DiagRequest
    DiagResponse DiagState NmAsrMessage NmMessage NmStationAddress NodeLayerModules TpTxIndex GenMsgSendType
    GenMsgCycleTimeFast GenMsgDelayTime GenMsgILSupport GenMsgNrOfRepetition GenMsgStartDelayTime GenMsgFastOnStart
    GenSigSendType GenSigInactiveValue GenSigCycleTime GenSigCycleTimeActive GenSigTimeoutTime GenSigTimeoutValue
    GenSigILSupport GenSigEVName SystemSignalLongSymbol SystemMessageLongSymbol SystemNodeLongSymbol SPN
"""
OF_TOOLS: Final = frozenset(_OF_TOOLS.split())
"""What editors of DBC files add, without a meaning for us."""


def value_of(database: Any, owner: Any, attribute: str, default: object) -> Any:
    """An attribute of a message, a signal or the file, enumerations by their word; `default` where it has none."""
    specifics = owner.dbc
    definition = database.dbc.attribute_definitions.get(attribute) if database.dbc else None
    if definition is None or specifics is None or attribute not in specifics.attributes:
        return default
    value = specifics.attributes[attribute].value
    if definition.type_name == "ENUM" and isinstance(value, int):
        return definition.choices[value] if 0 <= value < len(definition.choices) else value
    return value


def wrong_values(database: Any, owner: Any) -> Iterator[str]:
    """What attributes of a message or signal say that means nothing."""
    for name, wanted in ATTRIBUTES.items():
        value = value_of(database, owner, name, None)
        if value is None:
            continue
        if isinstance(wanted, tuple):
            if value not in wanted:
                yield f"{name} is {value!r}, expected one of {', '.join(wanted)}"
        elif wanted is int and not (isinstance(value, int | float) and value == int(value)):
            yield f"{name} is {value!r}, expected a whole number"
