"""A Modbus RTU device around a register image: what the simulators of BMSs with holding registers alone share."""

from collections.abc import Callable, Mapping
from typing import Final

from bms_drivers.sims.pack import Pack
from bms_drivers.sims.rtu import NO_ADDRESS, NO_FUNCTION, NO_VALUE, Refused, Rtu, crc

Image = Mapping[int, int]  # register -> value, 0..65535; what is not in it does not exist
Images = Callable[[int], Image | None]  # the image of a unit as of now; None = nobody has this address
Write = Callable[[int, int, int], bool]  # unit, register, value -> was it taken?

MOST: Final = 125  # registers in one read


def words(values: Mapping[int, float]) -> dict[int, int]:
    """Rounded and as two's complement, kept within 16 bits."""
    return {register: max(-32768, min(65535, round(value))) & 0xFFFF for register, value in values.items()}


def run(first: int, *values: float) -> dict[int, float]:
    """Values of registers in a row."""
    return dict(enumerate(values, first))


def long_word(register: int, value: float, *, low_first: bool = False) -> dict[int, float]:
    """A 32-bit number in two registers, high word first unless told otherwise."""
    raw = round(value) & 0xFFFFFFFF
    high, low = raw >> 16, raw & 0xFFFF
    return run(register, low, high) if low_first else run(register, high, low)


def letters(register: int, text: str, count: int, fill: bytes = b"\0") -> dict[int, float]:
    """A text in `count` registers, two characters each."""
    raw = text.encode()[: 2 * count].ljust(2 * count, fill)
    return run(register, *(int.from_bytes(raw[at : at + 2], "big") for at in range(0, 2 * count, 2)))


class ModbusDevice(Rtu):
    """Functions 03 and 04 read the image, 06 and 10 write, where `write` takes them."""

    def __init__(
        self,
        pack: Pack,
        images: Images,
        *,
        write: Write = lambda unit, register, value: False,
        answer_as: int | None = None,
        baud: int = 9600,
        turnaround: float = 0.03,
    ) -> None:
        """`answer_as`: the unit that replies bear, where it is not the one asked; `turnaround` in s."""
        self.pack, self.baud, self.turnaround = pack, baud, turnaround
        self._images, self._write, self._answer_as = images, write, answer_as

    def hears(self, unit: int) -> bool:
        """Units without an image are not here."""
        return self._images(unit) is not None

    def registers(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """Refused where one of them does not exist."""
        if not 1 <= count <= MOST:
            raise Refused(NO_VALUE)
        image = self._images(unit) or {}
        try:
            return [image[register] for register in range(address, address + count)]
        except KeyError:
            raise Refused(NO_ADDRESS) from None

    def write(self, unit: int, function: int, address: int, data: bytes) -> None:
        """Refused where one of them is not taken."""
        if function not in (6, 16):
            raise Refused(NO_FUNCTION)
        values = [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
        taken = [self._write(unit, address + n, value) for n, value in enumerate(values)]
        if not taken or not all(taken):
            raise Refused(NO_ADDRESS)

    def _replies(self, unit: int, function: int, body: bytes) -> list[bytes]:
        replies = super()._replies(unit, function, body)
        if self._answer_as is None:
            return replies
        named = [bytes((self._answer_as,)) + reply[1:-2] for reply in replies]
        return [reply + crc(reply) for reply in named]
