"""Heltec: warning bits, switches and missing answers that the recording does not show.  From heltec_modbus.md."""

import pytest

from bms_drivers.heltec_modbus import DRIVER, alarms, own_temperatures, proof, run_state, sensors
from bms_drivers.kit.declare import Frame, Registers
from bms_drivers.sims.heltec_modbus import WARNING_BITS, build
from bms_drivers.sims.modbus import ModbusDevice
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session

ALARMS = {  # section 6
    0: ("high_cell_voltage", 2), 1: ("low_cell_voltage", 2), 3: ("high_voltage", 2), 4: ("low_voltage", 2),
    5: ("high_charge_current", 2), 6: ("high_discharge_current", 1), 7: ("high_discharge_current", 2),
    8: ("short_circuit", 2), 9: ("high_charge_temperature", 2), 10: ("low_charge_temperature", 2),
    11: ("high_temperature", 2), 12: ("low_temperature", 2), 13: ("high_internal_temperature", 2), 14: ("low_soc", 2),
    15: ("high_voltage", 2), **dict.fromkeys(range(16, 32), ("internal_failure", 2)),
}  # fmt: skip


def frame(data: bytes) -> list[Frame]:
    return [Frame(kind=0, payload=data)]


def image(word: int) -> list[Frame]:
    return frame(word.to_bytes(4, "little"))


@pytest.mark.parametrize("bit", range(32))
def test_each_bit_raises_its_alarm_and_no_other(bit: int) -> None:
    levels = alarms(image(1 << bit), {}, {})["alarms"]
    expected = dict([ALARMS[bit]]) if bit in ALARMS else {}
    assert {name: level for name, level in levels.items() if level} == expected


@pytest.mark.parametrize(
    ("word", "charge", "discharge"),
    [
        (0, True, True),
        (1 << 28, False, True),
        (1 << 29, True, False),
        (3 << 28, False, False),
        (0xCFFFFFFF, True, True),
    ],
)
def test_two_bits_of_the_run_state_are_the_switches(word: int, charge: bool, discharge: bool) -> None:
    assert run_state(image(word), {}, {}) == {"charge_allowed": charge, "discharge_allowed": discharge}


def test_temperatures_below_zero_and_in_their_order() -> None:
    assert sensors(frame(bytes((30, 62))), {}, {}) == {"temperatures": (22.0, -10.0)}
    assert own_temperatures(frame(bytes((0x41, 0x43))), {}, {}) == {"mosfet_temperature": 27.0}
    assert own_temperatures(frame(bytes((0x4F, 0x43))), {}, {}) == {"mosfet_temperature": 39.0}


@pytest.mark.parametrize("count", [0, 2, 33, 255])
def test_an_impossible_number_of_cells_is_an_error(count: int) -> None:
    talk = DRIVER.poll("cell_count").talk(DRIVER.setup({}), {})
    next(talk)
    with pytest.raises(BadLength):
        talk.send(frame(bytes((count, 1))))


def test_cells_wait_for_their_number() -> None:
    with pytest.raises(LinkTimeout, match="number"):
        next(DRIVER.poll("cells").talk(DRIVER.setup({}), {}))


def test_each_block_is_one_that_is_known_to_be_answered() -> None:
    known, asked = {"cell_count": 16}, set()
    for step in DRIVER.plan:
        question = next(step.talk(DRIVER.setup({}), known if step.name != "cell_count" else {}))
        assert isinstance(question, Registers)
        asked.add((question.address, question.count, question.timeout, question.tries))
    sheet = {
        (7, 13), (2, 4), (38, 1), (39, 2), (41, 6), (75, 1), (118, 1), (169, 1), (172, 1), (191, 1), (194, 1),
        (76, 2), (78, 2), (152, 2), (156, 2), (120, 1), (113, 1), (112, 1), (81, 16), (139, 2),
    }  # fmt: skip
    assert asked == {(*block, 0.4, 4) for block in sheet}


class Mute(ModbusDevice):
    """A pack that does not answer for some registers."""

    silent: tuple[int, ...] = ()

    def answer(self, received: bytearray) -> list[bytes]:
        return [] if int.from_bytes(received[2:4], "big") in self.silent else super().answer(received)


def mute(*registers: int) -> ModbusDevice:
    device = build(Pack.of(1), {})
    device.__class__ = Mute
    device.silent = registers  # type: ignore[attr-defined]
    return device


@pytest.mark.parametrize("register", [75, 76, 78, 120])
def test_without_the_main_registers_the_poll_fails(register: int) -> None:
    with pytest.raises(LinkTimeout):
        poll(session("heltec_modbus"), mute(register))


def test_what_is_missing_is_unknown_at_once() -> None:
    plan, device = session("heltec_modbus"), mute()
    assert poll(plan, device).charge_allowed is True
    device.silent = (81, 112, 113, 139, 152, 156)  # type: ignore[attr-defined]
    got = poll(plan, device)
    assert (got.cell_voltages, got.temperatures, got.mosfet_temperature) == ((), (), None)
    assert (got.charge_allowed, got.discharge_allowed, got.balancing, got.alarms) == (None, None, None, {})


@pytest.mark.parametrize("name", WARNING_BITS)
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1), {})
    device.pack.alarms = {name}
    assert raised(poll(session("heltec_modbus"), device)) == {name: 2}


def test_limits_and_identity_of_the_simulator() -> None:
    got = poll(session("heltec_modbus", address=7), build(Pack.of(1, current=-12.5), {"address": 7}))
    assert got.current == -12.5
    assert (got.max_charge_current, got.max_discharge_current) == (100.0, 150.0)
    assert (got.cell_overvoltage_protection, got.cell_undervoltage_protection) == (3.65, 2.5)
    assert (got.max_battery_voltage, got.min_battery_voltage) == (58.4, 40.0)
    assert (got.model, got.serial_number, got.hardware_version) == ("HT-16S100A-SIM", "5349-4d00-0000-0001", "3")
    assert (got.production_date, got.custom_name, got.soh) == ("2023-04-15", "HBMS-SIM", 100)


@pytest.mark.parametrize("changed", [{"model": None}, {"voltage": 60.0}, {"cell_voltages": (0.5,) * 106}])
def test_a_mere_answer_is_no_proof(changed: dict[str, object]) -> None:
    sound = {"model": "HT", "voltage": 52.8, "cell_voltages": (3.3,) * 16}
    assert proof(sound) == "Heltec HT with 16 cells"
    with pytest.raises(WrongDevice):
        proof({**sound, **changed})
