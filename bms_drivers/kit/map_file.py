"""The shape of a register map: which Modbus register holds which value, in a YAML file of the user's own.

Entries are named as in `kit.named`.  What is said at the top holds for every entry that does not say otherwise.
"""

from typing import Annotated, Final, Literal

from gateway.model.section import Section, Within, declared

MOST: Final = 125  # registers in one read.  Modbus application protocol V1.1b3, section 6.3
MOST_BITS: Final = 2000  # coils or inputs in one read; section 6.1

Order = Literal["big", "little"]
Function = Literal[1, 2, 3, 4]
Number = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "float", "double", "string"]


Seconds = Annotated[float, Within(ge=0, le=86_400, unit="s")]


class Where(Section):
    """Where something stands."""

    register_: int = declared(key="register", ge=0, le=99_999, description="its number, less `base`; of the first one")
    function: Function | None = declared(
        None, description="3 holding registers, 4 input registers, 1 coils, 2 discrete inputs"
    )
    byte_order: Order | None = declared(None, description="big or little: which byte of a register comes first")
    word_order: Order | None = declared(None, description="big or little: which register of a number comes first")
    every: Seconds | Literal["once"] | None = declared(
        None, description="how often it is asked, or once; default: at each poll"
    )


class Value(Where):
    """One value, or a run of cells or sensors."""

    type: Number = declared("u16", description="how it is written")
    count: int | None = declared(None, ge=1, le=99, description="of cells or sensors in a row; registers of a string")
    bit: int | None = declared(None, ge=0, le=63, description="the value is this bit, 0 the lowest")
    length: int = declared(1, ge=1, le=63, description="so many bits from `bit` on, as a number")
    byte: Literal["high", "low"] | None = declared(None, description="of the register, for u8 and i8")
    scale: float = declared(1.0, description="value = number * scale + offset")
    offset: float = 0.0
    inverted: bool = declared(False, description="true = 0 means yes")
    invalid: tuple[int, ...] = declared((), description="numbers, before scale, that stand for: not known")
    min: float | None = declared(None, description="a value below is not known")
    max: float | None = declared(None, description="a value above is not known")
    unit: str | None = declared(None, description="what number * scale + offset is in, to be sure")


class Bits(Where):
    """A word of bits."""

    type: Literal["u16", "u32", "u64"] = declared("u16", description="how wide the word is")
    bits: dict[str, str] = declared(min_length=1, description="number of the bit, 0 the lowest: its name")


class Map(Section):
    """One file."""

    manufacturer: str | None = declared(None, description="where the BMS does not tell it")
    model: str | None = declared(None, description="likewise")
    baud: int = declared(9600, ge=300, le=4_000_000, description="of a serial line")
    parity: Literal["N", "E"] = declared("N", description="of a serial line: none or even")
    quiet: float = declared(
        0.03,
        ge=0,
        le=2,
        unit="s",
        description="silence that the BMS needs before a question",
    )
    timeout: float = declared(0.5, ge=0.05, le=5, unit="s", description="within which it answers")
    tries: int = declared(2, ge=1, le=5, description="how often a question may be asked")
    base: int = declared(0, ge=0, le=50_000, description="the document's number for register 0, as 1 or 40001")
    function: Function = 3
    byte_order: Order = "big"
    word_order: Order = "big"
    at_once: int = declared(MOST, ge=1, le=MOST, description="most registers in one question")
    gap: int = declared(0, ge=0, le=MOST, description="so many registers without a name may be read along")
    values: dict[str, Value] = declared(default_factory=dict, description="name: where it stands")
    bits: tuple[Bits, ...] = declared((), description="words whose bits are alarms and switches")

    def filled(self, where: Where) -> tuple[int, Order, Order]:
        """Function, byte order and word order of an entry."""
        return (
            where.function or self.function, where.byte_order or self.byte_order, where.word_order or self.word_order
        )  # fmt: skip
