"""What inverters of one dialect want otherwise than each other on the wire: in a brand's file and in gateway.yaml.

Defaults: rs485-inverter-protocols.md sections 1 to 6; where sources differ by a factor on a limit, the smaller result.
"""

from typing import Annotated, Any, Final, Literal

from gateway.model.section import Section, Within, declared

Flag = Annotated[str, Within(pattern=r"^[0-9A-Fa-f]{2}$")]
Address = Annotated[int, Within(ge=1, le=254)]
UNITS: Final = {
    "current_unit_61": (0.01, 0.1, 0.001),
    "limit_unit_63": (0.1, 0.01),
    "capacity_unit": (0.01, 0.1),
}


def _unit(default: float, what: str) -> Any:
    """A number of the wire, as it may be counted."""
    return declared(default, description=what, unit="Ah" if "Ah" in what else "A")


class Wire(Section):
    """Units, signs and habits."""

    # pylontech
    commands: tuple[Flag, ...] | None = declared(
        None, description='what is answered, as ["61", "63"]; null = all that the dialect has'
    )
    reply_address: Address | None = declared(None, description="that answers bear; null = the one that was asked")
    also_answers: tuple[Address, ...] = declared((), description="further addresses that are answered")
    protocol_version: Flag = declared("20", description="in the answer to 4F; two hex digits")
    current_unit_61: float = _unit(0.01, "step of the current in 61: 0.01, 0.1 or 0.001 A")
    limit_unit_63: float = _unit(
        0.1, "step of the current limits in 63: 0.1 or 0.01 A; a wrong 0.01 makes them ten times too big"
    )
    dcl_sign_63: Literal[1, -1] = declared(1, description="sign of the discharge current limit in 63: 1, -1")
    dcl_sign_92: Literal[1, -1] = declared(-1, description="sign of the discharge current limit in 92: 1, -1")
    full_charge_63: bool = declared(
        False, description="ask for a full charge in 63, too: one inverter stopped discharging upon it"
    )
    user_defined_items: Literal[2, 4] | None = declared(
        None, description="2 or 4 items behind the voltage in 42; null = 4 above 65 Ah"
    )
    info_flag_42: Flag = declared("00", description="first byte of the answer to 42, hex")
    info_flag_44: Flag = declared("00", description="first byte of the answer to 44, hex")
    info_flag_47: Flag = declared("00", description="first byte of the answer to 47, hex")
    # growatt
    capacity_unit: float = _unit(0.01, "step of the capacities in 1A and 1B: 0.01 or 0.1 Ah")
    register_1c: str = declared("0000", pattern=r"^[0-9A-Fa-f]{4}$", description="register 1C (versions), hex")
    registers_end: int | None = declared(
        None, ge=0, le=0xFFFF, description="last register; beyond it exception 01; null = as the map says"
    )
    # voltronic
    framing: Literal["words", "bytes16", "bytes"] = declared(
        "words",
        description="length field of answers: number of registers, of bytes in two bytes, of bytes in one: "
        "words, bytes16, bytes",
    )

    def __post_init__(self) -> None:
        for name, units in UNITS.items():
            if getattr(self, name) not in units:
                raise ValueError(f"{name}: {getattr(self, name):g} is no unit of it, expected one of {units}")
