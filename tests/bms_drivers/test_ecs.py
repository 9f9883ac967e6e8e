"""ECS: state codes, the SoC's high word, modules that are silent or too many.  Expected values: ecs.md."""

from typing import Any

import pytest

from bms_drivers.ecs import DRIVER, proof, soc
from bms_drivers.kit.declare import Frame, Registers
from bms_drivers.sims.ecs import build
from bms_drivers.sims.modbus import ModbusDevice
from bms_drivers.sims.pack import Pack
from gateway.model import Implausible, LinkTimeout, WrongDevice
from tests.sims.wire import poll, raised, session


def line(cells: int = 4, **settings: Any) -> ModbusDevice:
    """A GreenMeter and its modules."""
    return build(Pack.of(2, cells=cells, current=-25.5), settings)


def without(device: ModbusDevice, *units: int, registers: tuple[int, ...] = (), of: int | None = None) -> ModbusDevice:
    """The line without these units, or without these registers, of all or of one."""
    images = device._images

    def left(unit: int) -> Any:
        image = images(unit)
        if image is None or unit in units:
            return None
        lacks = registers if of in (None, unit) else ()
        return {register: value for register, value in image.items() if register not in lacks}

    device._images = left
    return device


def read(code: int, name: str) -> dict[str, Any]:
    talk = DRIVER.poll(name).talk(DRIVER.setup({}), {})
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send([Frame(kind=0, payload=code.to_bytes(2, "big"))])
    values: dict[str, Any] = end.value.value
    return values


# ---- section 6

CHARGE = {
    1: ("high_voltage", 2), 2: ("high_charge_current", 1), 3: ("high_charge_temperature", 1),
    4: ("high_charge_temperature", 1), 5: ("low_charge_temperature", 1), 6: ("low_charge_temperature", 1),
}  # fmt: skip
DISCHARGE = {
    1: ("low_voltage", 2), 2: ("high_discharge_current", 1), 3: ("high_temperature", 1), 4: ("high_temperature", 1),
    5: ("low_temperature", 1), 6: ("low_temperature", 1),
}  # fmt: skip


@pytest.mark.parametrize("code", [*range(9), 255, 65535])
@pytest.mark.parametrize(("side", "table"), [("charge", CHARGE), ("discharge", DISCHARGE)])
def test_each_state_code_means_what_the_sheet_says(side: str, table: dict[int, tuple[str, int]], code: int) -> None:
    values = read(code, f"{side}_state")
    expected = dict([table.get(code, ("internal_failure", 1))]) if code else {}
    assert {name: level for name, level in values[f"_{side}_alarms"].items() if level} == expected
    assert values[f"{side}_allowed"] is (code == 0)


@pytest.mark.parametrize(
    "name",
    [
        "high_voltage", "high_charge_current", "high_charge_temperature", "low_charge_temperature", "low_voltage",
        "high_discharge_current", "high_temperature", "low_temperature", "internal_failure",
    ],
)  # fmt: skip
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = line()
    device.pack.alarms = {name}
    assert raised(poll(session("ecs"), device)) == {name: 2 if name in ("high_voltage", "low_voltage") else 1}


def test_a_side_that_is_silent_is_unknown_with_its_alarms() -> None:
    plan = session("ecs")
    assert poll(plan, line()).charge_allowed is True
    got = poll(plan, without(line(), registers=(130,)))
    assert (got.charge_allowed, got.discharge_allowed) == (None, True)
    assert "high_voltage" not in got.alarms
    assert got.alarms["low_voltage"] == 0


# ---- values


@pytest.mark.parametrize(
    ("low", "high", "percent"),
    [
        (6964, 1, 72.5),
        (50000, 0xFFFF, 50.0),
        (0, 0xFFFF, 0.0),
        (65535, 0xFFFF, 65.535),
        (0, 1, 65.536),
        (34464, 1, 100),
    ],
)
def test_the_high_word_of_the_soc_counts_only_where_it_is_one(low: int, high: int, percent: float) -> None:
    payload = low.to_bytes(2, "big") + high.to_bytes(2, "big")
    assert soc([Frame(kind=128, payload=payload)], {}, {}) == {"soc": percent}


@pytest.mark.parametrize("percent", [20.0, 70.0])
def test_the_simulator_sends_the_soc_both_ways(percent: float) -> None:
    device = line()
    device.pack.soc = percent
    assert poll(session("ecs"), device).soc == pytest.approx(percent, abs=0.01)


def test_limits_capacity_and_identity_of_the_simulator() -> None:
    got = poll(session("ecs"), line())
    assert (got.current, got.max_charge_current, got.max_discharge_current) == (-25.5, 100.0, 200.0)
    assert (got.model, got.serial_number, got.capacity) == ("GreenMeter 250 A", "123456", 100.0)
    assert got.remaining_capacity == pytest.approx(100.0 * got.soc / 100, abs=0.01)  # type: ignore[operator]


# ---- modules


def test_modules_are_looked_for_up_to_the_first_silent_unit() -> None:
    assert len(poll(session("ecs"), line(cells=6)).cell_voltages) == 6
    assert len(poll(session("ecs"), without(line(cells=6), 4)).cell_voltages) == 2


def test_with_a_last_unit_gaps_are_passed_over() -> None:
    got = poll(session("ecs", lipro_end_address=7), without(line(cells=6), 4))
    assert len(got.cell_voltages) == 5


def test_another_number_of_modules_than_the_users_is_no_battery() -> None:
    with pytest.raises(Implausible, match=r"LiPro modules 2 \(units 2, 3\).*6 of them"):
        poll(session("ecs", lipro_cell_count=6), without(line(cells=6), 4))
    assert poll(session("ecs", lipro_cell_count=6), line(cells=6)).voltage


def test_without_any_module_the_poll_fails() -> None:
    with pytest.raises(LinkTimeout, match="LiPro"):
        poll(session("ecs"), without(line(), 2))


def test_a_module_that_falls_silent_keeps_its_place() -> None:
    plan, device = session("ecs"), line()
    poll(plan, device)
    got = poll(plan, without(device, 3))
    assert [volts is None for volts in got.cell_voltages] == [False, True, False, False]
    assert (got.cell_balancing, got.balancing) == ((), None)


@pytest.mark.parametrize(("register", "volts"), [(100, [True, False, True, True]), (102, [True] * 4)])
def test_a_module_of_old_firmware_that_lacks_a_register_spoils_no_other(register: int, volts: list[bool]) -> None:
    plan, device = session("ecs"), line()
    poll(plan, device)
    got = poll(plan, without(device, of=3, registers=(register,)))
    assert ([cell is not None for cell in got.cell_voltages], got.cell_balancing) == (volts, ())


def test_a_device_that_is_no_module_does_not_end_the_search() -> None:
    assert len(poll(session("ecs"), without(line(cells=6), of=4, registers=(0,))).cell_voltages) == 5


def test_only_the_highest_cell_balances() -> None:
    device = line()
    device.pack.balancing = True
    device.pack.cells[2] = max(device.pack.cells) + 0.01
    got = poll(session("ecs"), device)
    assert (got.cell_balancing, got.balancing) == ((False, False, True, False), True)


def test_modules_are_looked_for_once() -> None:
    plan, device = session("ecs"), line()
    poll(plan, device)
    for name in ("meter", "modules"):
        with pytest.raises(StopIteration):
            next(plan.driver.poll(name).talk(plan.setup, plan.known))


@pytest.mark.parametrize("register", [108, 114, 128])
def test_without_the_main_values_the_poll_fails(register: int) -> None:
    talk = DRIVER.poll({108: "voltage", 114: "current", 128: "soc"}[register]).talk(DRIVER.setup({}), {})
    question = next(talk)
    assert isinstance(question, Registers)
    assert (question.address, question.count, question.tries) == (register, 2, 2)
    assert all(DRIVER.poll(name).essential for name in ("voltage", "current", "soc"))


# ---- detection


@pytest.mark.parametrize("identity", [0, 102, 499, 503, 65535])
def test_only_a_greenmeters_id_is_proof(identity: int) -> None:
    talk = DRIVER.poll("meter").talk(DRIVER.setup({}), {})
    next(talk)
    with pytest.raises(WrongDevice):
        talk.send([Frame(kind=0, payload=identity.to_bytes(2, "big"))])
    with pytest.raises(WrongDevice):
        proof({})


def test_the_line_has_even_parity() -> None:
    assert DRIVER.line is not None
    assert (DRIVER.line.baud, DRIVER.line.parity) == (19200, "E")
