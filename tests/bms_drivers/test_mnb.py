"""MNB-Li: there is no recording; the sheet's words and formulas, and a chip that is simulated from the sheet alone."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import kit
from bms_drivers.kit.decode import decode
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.record import RecordLink
from bms_drivers.mnb import DRIVER, crc3, decoded, die_temperature, sensor, split_into, word
from bms_drivers.sims.mnb import Chip, build, check
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.spi import SpiDevice
from gateway.model import DeviceRefused, FrameError, Implausible, LinkTimeout, Reading, WrongDevice
from tests.sims.wire import Wire, poll, raised, session


def chip(setup: dict[str, Any] | None = None, **pack: Any) -> Chip:
    return build(Pack.of(4, cells=8, **pack), setup or {})


def read(device: Chip, **setup: Any) -> Reading:
    return poll(session("mnb", **setup), device)


def writes(asked: list[bytes]) -> dict[int, int]:
    """Registers that were written, with the last value of each."""
    words = [int.from_bytes(request[at : at + 4], "big") for request in asked for at in range(0, len(request), 4)]
    return {word >> 23 & 0xFF: word >> 4 & 0xFFFF for word in words if not word >> 31}


def told(setup: dict[str, Any] | None = None) -> dict[int, int]:
    """What a chip that has just been powered on is told."""
    wire = Wire(chip())
    own = Session(DRIVER, setup)
    asyncio.run(converse(wire, DRIVER.plan[0].talk(own.setup, own.known)))
    return writes(wire.asked)


# ---- words


@given(value=st.integers(0, 0xFFFF), a=st.integers(0, 15), b=st.integers(0, 15))
def test_the_check_finds_wrong_bits(value: int, a: int, b: int) -> None:
    assert crc3(value ^ 1 << a, 16) != crc3(value, 16)
    if (a - b) % 7:  # x³ + x + 1 has the period 7
        assert crc3(value ^ 1 << a ^ 1 << b, 16) != crc3(value, 16)


@given(value=st.integers(0, 0xFFFF), bits=st.sampled_from([9, 16]))
def test_the_check_is_the_sheet_s_division_bit_by_bit(value: int, bits: int) -> None:
    value &= (1 << bits) - 1
    assert crc3(value, bits) == check(value, bits)


def test_a_word_is_laid_out_as_the_sheet_has_it() -> None:
    asked = int.from_bytes(word(0x48), "big")
    assert (asked >> 31, asked >> 23 & 0xFF, asked >> 4 & 0xFFFF, asked >> 3 & 1) == (1, 0x48, 0, 1)
    assert asked >> 20 & 7 == crc3(0x148, 9)
    told = int.from_bytes(word(0x66, 0x0E21), "big")
    assert (told >> 31, told >> 23 & 0xFF, told >> 4 & 0xFFFF, told >> 3 & 1) == (0, 0x66, 0x0E21, 0)
    assert told & 7 == crc3(0x0E21, 16)


@given(data=st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=9), bad=st.integers(0, 8), bit=st.integers(0, 19))
def test_one_wrong_word_spoils_the_whole_answer(data: list[int], bad: int, bit: int) -> None:
    words = [value << 4 | crc3(value, 16) for value in data]
    (frame,) = split_into(len(data))(bytearray(b"".join(value.to_bytes(4, "big") for value in words)))
    assert isinstance(frame, kit.Frame) and kit.words(frame.payload, 0, len(data)) == tuple(data)
    words[bad % len(data)] ^= 1 << bit if bit != 3 else 1 << 2
    (dropped,) = split_into(len(data))(bytearray(b"".join(value.to_bytes(4, "big") for value in words)))
    assert isinstance(dropped, kit.Dropped)


# ---- values


def test_the_formulas_are_those_of_the_sheet() -> None:
    assert sensor(9999) == pytest.approx(11.97, abs=0.06)  # ln(16383 / 10000) / 0.01998 - 12.74
    assert die_temperature(6500) == pytest.approx(21.41, abs=0.06)  # 6500 / 16384 * 2.3077 / 0.0032 + 8.3 - 273


def test_a_sensor_at_either_end_of_the_scale_is_not_known() -> None:
    assert [sensor(0), sensor(0x3FFF)] == [None, None]


@pytest.mark.parametrize("amps", [-60.0, -0.5, 0.0, 37.0])
def test_current_is_read_with_the_shunt_that_the_user_has(amps: float) -> None:
    for setup in ({}, {"volts_per_ampere": 0.01}, {"current_offset": 2.2}, {"invert_current": True}):
        assert read(chip(setup, current=amps), **setup).current == pytest.approx(amps, abs=0.025)


@pytest.mark.parametrize("amps", [-150.0, 150.0])
def test_a_current_beyond_the_scale_is_not_known(amps: float) -> None:
    assert read(chip(current=amps)).current is None


def test_a_shorter_pack_is_measured_alone() -> None:
    device = chip({"cell_count": 4, "sensors": 2})
    reading = read(device, cell_count=4, sensors=2)
    assert reading.cell_voltages == pytest.approx(device.pack.cells, abs=0.001)
    assert len(reading.cell_voltages) == 4
    assert len(reading.temperatures) == 2
    assert reading.voltage == pytest.approx(sum(device.pack.cells), abs=0.01)


def test_the_soc_is_not_its_own() -> None:
    assert (read(chip()).soc, read(chip()).capacity) == (None, None)


def test_a_cell_that_is_not_there_is_not_left_out() -> None:
    device = chip()
    device.pack.held_cells[3] = 0.0
    device.pack.advance(0.0)
    assert read(device).cell_voltages[3] == 0.0


def test_what_was_recorded_of_a_chip_decodes_to_what_it_said() -> None:
    async def recorded() -> tuple[dict[str, Any], Reading]:
        device = SpiDevice(chip(current=-7.0))
        await device.start()
        own, link = session("mnb"), RecordLink(device.link(DRIVER), driver="mnb", transport="spi")
        await link.open()
        (step,) = own.driver.plan
        own.learnt(step, await converse(link, step.talk(own.setup, own.known)), 0.0)
        return link.case(), own.readings()[""]

    case, reading = asyncio.run(recorded())
    found = decode(DRIVER, case)
    assert (found.errors, found.unanswered, dict(found.readings)) == ([], [], {"": reading})
    assert reading.current == pytest.approx(-7.0, abs=0.03)


# ---- alarms


@pytest.mark.parametrize(
    ("what", "levels"),
    [
        ({"held_cells": {2: 3.70}}, {"high_cell_voltage": 2, "cell_imbalance": 1}),
        ({"held_cells": {2: 2.40}}, {"low_cell_voltage": 2, "cell_imbalance": 1}),
        ({"held_cells": dict.fromkeys(range(8), 4.1)}, {"high_cell_voltage": 2, "high_voltage": 2}),
        ({"held_cells": dict.fromkeys(range(8), 2.3)}, {"low_cell_voltage": 2, "low_voltage": 2}),
        ({"temperatures": [20.0, 53.0]}, {"high_charge_temperature": 2}),
        ({"temperatures": [20.0, -3.0]}, {"low_charge_temperature": 2}),
        ({"alarms": {"internal_failure"}}, {"internal_failure": 2}),
    ],
)
def test_the_chip_s_own_thresholds_raise_its_alarms(what: dict[str, Any], levels: dict[str, int]) -> None:
    device, own = chip(), session("mnb")
    assert raised(poll(own, device)) == {}
    before = {name: getattr(device.pack, name) for name in what}
    for name, value in what.items():
        setattr(device.pack, name, value)
    device.pack.advance(0.0)
    assert raised(poll(own, device)) == levels
    for name, value in before.items():
        setattr(device.pack, name, value)
    device.pack.held_cells = {}
    device.pack.alarms = set()
    device.pack.advance(0.0)
    assert raised(poll(own, device)) == {}, "what was read is cleared"


def test_thresholds_are_the_user_s() -> None:
    setup = {"cell_high": 3.5, "cell_low": 2.8, "temperature_high": 45.0, "temperature_low": 5.0}
    registers = told(setup)
    assert [registers[0x20] >> 2, registers[0x22] >> 2] == [round(3.5 / 0.000305), round(2.8 / 0.000305)]
    assert [registers[0x1F] < registers[0x20], registers[0x21] > registers[0x22]] == [True, True]
    assert sensor(registers[0x33] >> 2) == pytest.approx(45.0, abs=0.1)
    assert sensor(registers[0x31] >> 2) == pytest.approx(5.0, abs=0.1)


# ---- what the chip is told


def test_balancing_is_kept_off() -> None:
    registers = told()
    assert (registers[0x80], registers[0x6F]) == (0, 0)
    assert not registers.keys() & {*range(0x71, 0x7F)}


def test_it_is_configured_once_and_again_when_it_lost_its_configuration() -> None:
    device, own, wire = chip(), session("mnb"), Wire(chip())
    wire.device = device

    def round_() -> dict[int, int]:
        wire.asked.clear()
        (step,) = own.driver.plan
        own.learnt(step, asyncio.run(converse(wire, step.talk(own.setup, own.known))), 0.0)
        return writes(wire.asked)

    assert 0x64 in round_()
    assert 0x64 not in round_()
    device.power_on()
    assert 0x64 in round_()
    assert own.readings()[""].cell_voltages == pytest.approx(device.pack.cells, abs=0.001)


def test_a_chip_that_does_not_keep_what_it_is_told_is_not_read() -> None:
    class Forgetful(Chip):
        def _write(self, register: int, data: int) -> None:
            super()._write(register, 0xFFFC if register == 0x20 else data)

    with pytest.raises(DeviceRefused, match=r"register 0x20 was set to 0x\w+ and is 0xFFFC"):
        read(Forgetful(Pack.of(4, cells=8), {}))


def test_a_scan_that_never_ends_is_no_reading() -> None:
    class Stuck(Chip):
        def _scan(self) -> None:
            self._scanning = False

    with pytest.raises(LinkTimeout, match="the scan does not end"):
        read(Stuck(Pack.of(4, cells=8), {}))


# ---- where the board is not


class Line:
    """Whatever is sent, the same byte comes in."""

    def __init__(self, byte: int) -> None:
        self.pack, self.baud, self.turnaround, self.byte = Pack.of(4), 500_000, 0.0, byte

    def answer(self, received: bytearray) -> list[bytes]:
        return [bytes((self.byte,)) * len(received)]


@pytest.mark.parametrize("byte", range(256))
def test_a_line_that_nothing_drives_gives_no_reading(byte: int) -> None:
    with pytest.raises((LinkTimeout, FrameError, DeviceRefused)):
        poll(session("mnb"), Line(byte))


def test_zeros_in_place_of_values_are_no_chip() -> None:
    with pytest.raises(WrongDevice, match="no MAX17853 answers: its temperature would be -26"):
        die_temperature(0)


def test_cells_that_the_block_contradicts_are_refused() -> None:
    class Lying(Chip):
        def _channels(self) -> Iterator[tuple[int, int]]:
            for register, content in super()._channels():
                yield register, content // 2 if register == 0x55 else content

    with pytest.raises(Implausible, match="block voltage 13"):
        read(Lying(Pack.of(4, cells=8), {}))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_sound_words_give_a_reading_or_a_frame_error(data: st.DataObject) -> None:
    setup = DRIVER.setup({})
    talk = DRIVER.plan[0].talk(setup, {"_configured": True})
    question = next(talk)
    try:
        while True:
            size = len(question.request) // 2
            question = talk.send([kit.Frame(0, data.draw(st.binary(min_size=size, max_size=size)))])
    except StopIteration as end:
        assert DRIVER.assemble(end.value, setup)[""].cell_voltages
    except (FrameError, LinkTimeout, DeviceRefused):
        pass


@given(
    cells=st.lists(st.integers(0, 0xFFFF), min_size=8, max_size=8), rest=st.lists(st.integers(0, 0xFFFF), min_size=9)
)
def test_whatever_the_registers_hold_every_cell_and_sensor_has_its_place(cells: list[int], rest: list[int]) -> None:
    block = round(sum(raw >> 2 for raw in cells) * 0.000305 / 0.003967) << 2
    values = decoded([*rest[:3], block, 6500 << 2, *cells, *rest[3:9]], DRIVER.setup({}))
    assert values["cell_voltages"] == pytest.approx([(raw >> 2) * 0.000305 for raw in cells], abs=0.0006)
    assert len(values["temperatures"]) == 6
    assert all(found is None or -13 <= found <= 120 for found in values["temperatures"])
