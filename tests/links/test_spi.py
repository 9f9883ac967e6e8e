"""The SPI link: word by word, and what is said when the bus or the library is not there."""

import asyncio
import errno
import sys
from collections.abc import Iterator

import pytest

from bms_drivers.kit.declare import Ask, Dropped, Frame, Registers, SpiLine
from bms_drivers.links.absent import AbsentLink
from bms_drivers.links.factory import open_link, place, port_kind
from bms_drivers.links.record import RecordLink
from bms_drivers.links.replay import ReplayLink
from bms_drivers.links.spi import SpiLink
from bms_drivers.mnb import DRIVER
from gateway.model import ConfigError, GatewayError, LinkBusy, LinkClosed, LinkTimeout

LINE = SpiLine(hertz=500_000, word=2, pause=0.0)


class Inverting:
    """A chip that answers each word with its complement, but the first `wrong` words with zeros."""

    def __init__(self, wrong: int = 0) -> None:
        self.wrong, self.closed = wrong, False
        self.words: list[bytes] = []
        self.problem: OSError | None = None

    def xfer2(self, values: list[int]) -> list[int]:
        if self.problem is not None:
            raise self.problem
        self.words.append(bytes(values))
        self.wrong -= 1
        return [0] * len(values) if self.wrong >= 0 else [0xFF - value for value in values]

    def close(self) -> None:
        self.closed = True


def split(buffer: bytearray) -> Iterator[Frame | Dropped]:
    while len(buffer) >= 4:
        whole = bytes(buffer[:4])
        del buffer[:4]
        yield Frame(kind=0, payload=whole) if any(whole) else Dropped("checksum", whole)


ASK = Ask(request=b"\x01\x02\x03\x04", split=split)


def linked(chip: Inverting) -> SpiLink:
    return SpiLink("spi:0.0", LINE, lambda where, line: chip)


async def asked(link: SpiLink | RecordLink | ReplayLink, ask: Ask = ASK) -> bytes:
    await link.open()
    return (await link.exchange(ask))[0].payload


def test_each_word_is_a_transfer_and_what_came_in_is_the_answer() -> None:
    chip = Inverting()
    assert asyncio.run(asked(linked(chip))) == b"\xfe\xfd\xfc\xfb"
    assert chip.words == [b"\x01\x02", b"\x03\x04"]


def test_an_answer_that_is_not_sound_is_asked_for_again_as_often_as_allowed() -> None:
    link = linked(Inverting(wrong=2))
    assert asyncio.run(asked(link, Ask(ASK.request, split, tries=2))) == b"\xfe\xfd\xfc\xfb"
    assert link.counters == {"requests": 2, "checksum": 1, "replies": 1, "reopened": 0}
    with pytest.raises(LinkTimeout, match=r"spi:0\.0: no sound answer to 01020304"):
        asyncio.run(asked(linked(Inverting(wrong=2))))


def test_registers_of_modbus_are_no_question_for_a_chip() -> None:
    with pytest.raises(TypeError):
        asyncio.run(linked(Inverting()).exchange(Registers(1, 2, 3)))


@pytest.mark.parametrize(
    ("code", "error", "advice"),
    [
        (errno.ENOENT, LinkClosed, "/dev/spidev0.0 is not there; on a Raspberry Pi switch SPI on with"),
        (errno.EACCES, LinkClosed, "/dev/spidev0.0 may not be used; add the user to the group spi"),
        (errno.EBUSY, LinkBusy, "/dev/spidev0.0 is in use by another program"),
        (errno.EIO, LinkClosed, "Input/output error"),
    ],
)
def test_a_bus_that_cannot_be_opened_says_what_to_do(code: int, error: type[GatewayError], advice: str) -> None:
    def refused(where: str, line: SpiLine) -> Inverting:
        raise OSError(code, "Input/output error")

    with pytest.raises(error, match=f"^spi:0.0: {advice}"):
        asyncio.run(SpiLink("spi:0.0", LINE, refused).open())


def test_a_bus_that_went_is_closed_and_can_be_opened_again() -> None:
    async def run() -> None:
        chip = Inverting()
        link = linked(chip)
        await asked(link)
        chip.problem = OSError(errno.ENODEV, "No such device")
        with pytest.raises(LinkClosed, match="is not there"):
            await link.exchange(ASK)
        assert chip.closed
        with pytest.raises(LinkClosed, match="not open"):
            await link.exchange(ASK)
        chip.problem = None
        assert await asked(link) == b"\xfe\xfd\xfc\xfb"
        assert link.counters["reopened"] == 1

    asyncio.run(run())


def test_what_is_recorded_can_be_played() -> None:
    record = RecordLink(linked(Inverting()), driver="mnb", transport="spi")
    asyncio.run(asked(record))
    assert record.exchanges == [{"tx": "01020304", "rx": ["fefdfcfb"]}]
    assert asyncio.run(asked(ReplayLink(record.case()))) == b"\xfe\xfd\xfc\xfb"


def test_the_name_of_a_port_tells_bus_and_chip() -> None:
    assert port_kind("spi:0.1") == "spi"
    assert place("spi:0.1") != place("spi:0.0")
    for no_port in ("spi:0", "spi:a.b", "spi:"):
        with pytest.raises(ConfigError, match=r"spi:0\.0"):
            port_kind(no_port)


def test_the_kernel_s_device_is_opened_as_the_driver_s_line_says(monkeypatch: pytest.MonkeyPatch) -> None:
    class SpiDev:
        def open(self, bus: int, chip: int) -> None:
            opened.append((bus, chip))

        def xfer2(self, values: list[int]) -> list[int]:
            return values

        def close(self) -> None:
            opened.append(("closed", self.max_speed_hz, self.mode))  # type: ignore[attr-defined]

    opened: list[tuple[object, ...]] = []
    monkeypatch.setitem(sys.modules, "spidev", type(sys)("spidev"))
    monkeypatch.setattr(sys.modules["spidev"], "SpiDev", SpiDev, raising=False)
    monkeypatch.delitem(sys.modules, "bms_drivers.links.spi_bus", raising=False)

    async def run() -> None:
        link = open_link("spi:0.1", DRIVER)
        await link.open()
        await link.close()

    asyncio.run(run())
    monkeypatch.delitem(sys.modules, "bms_drivers.links.spi_bus")
    assert opened == [(0, 1), ("closed", 500_000, 0)]


def test_without_the_library_the_link_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spidev", None)
    monkeypatch.delitem(sys.modules, "bms_drivers.links.spi_bus", raising=False)
    link = open_link("spi:0.0", DRIVER)
    assert isinstance(link, AbsentLink)
    assert "spi:0.0 needs spidev" in link.problem
    assert "pip install spidev" in link.problem
