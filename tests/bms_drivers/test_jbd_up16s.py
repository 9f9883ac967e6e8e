"""UP16S: bits, limits of pack and bank, blocks that do not answer, control writes.  Expected values: jbd_up16s.md."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.jbd_up16s import (
    DRIVER,
    FINE_SOC,
    IDENTITY,
    OWN_PACK,
    PRODUCT,
    PROTECTION,
    STATUS,
    alarms,
    frame,
    limit,
    proof,
    split,
    status,
)
from bms_drivers.kit.declare import Ask, Frame
from bms_drivers.kit.framing import Answer
from bms_drivers.sims.jbd_up16s import FAULT_BITS, build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from tests.sims.wire import command, poll, raised, session

FILE = Path(__file__).parent.parent / "vectors" / "jbd_up16s" / "master_16s_idle_direct.json"
RECORDED = bytes.fromhex(json.loads(FILE.read_text())["exchanges"][0]["rx"][0])


# ---- frames


@pytest.mark.parametrize(
    ("address", "block", "sent"),
    [
        (1, STATUS, "0178100010A000007FB2"), (2, STATUS, "0278100010A000003FA7"), (1, OWN_PACK, "0145000000540000D4D3"),
        (2, OWN_PACK, "024500000054000094C6"), (1, FINE_SOC, "01782006201800007D67"),
        (1, IDENTITY, "01781C001CA000007C2E"), (1, PRODUCT, "01782810283C00007787"),
        (1, PROTECTION, "01781800190000007D44"),
    ],
)  # fmt: skip
def test_requests_are_those_of_the_sheet(address: int, block: Any, sent: str) -> None:
    assert frame(address, block) == bytes.fromhex(sent)


def question(**setup: int) -> Ask:
    asked = next(DRIVER.poll("status").talk(DRIVER.setup(setup), {}))
    assert isinstance(asked, Ask)
    return asked


def test_an_echo_is_no_answer_and_the_reply_behind_it_is() -> None:
    answer = Answer(question())
    assert not answer.feed(question().request)
    assert answer.feed(RECORDED)


@pytest.mark.parametrize("cut", range(0, len(RECORDED), 13))
def test_requests_of_another_master_and_replies_of_other_packs_are_foreign(cut: int) -> None:
    others = frame(2, (0x45, 0x0000, 0x0054)) + frame(2, STATUS, RECORDED[8:-2]) + frame(1, FINE_SOC, bytes(18))
    stream, answer = others + RECORDED, Answer(question())
    whole = [answer.feed(stream[start:end]) for start, end in pairwise([0, cut, len(stream)])]
    assert whole[-1]
    assert answer.foreign == 3
    assert answer.frames[0].raw == RECORDED


@pytest.mark.parametrize("at", [0, 1, 3, 5, 7, 60, -1])
def test_a_changed_byte_is_no_answer(at: int) -> None:
    spoilt = bytearray(RECORDED)
    spoilt[at] ^= 1
    assert not [item for item in split(spoilt) if isinstance(item, Frame)]


# ---- section 6

FAULTS = [
    "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "high_charge_current",
    "high_charge_current", "high_discharge_current", "high_discharge_current", "high_charge_temperature",
    "low_charge_temperature", "high_temperature", "low_temperature", "high_internal_temperature", "high_temperature",
    "low_temperature", "cell_imbalance", "cell_imbalance", "low_soc", "short_circuit", *["internal_failure"] * 6,
    None, "internal_failure", "internal_failure", None, None, None, None,
]  # fmt: skip
WARNINGS = [
    "high_cell_voltage", "low_cell_voltage", "high_voltage", "low_voltage", "high_charge_current",
    "high_discharge_current", "high_charge_temperature", "low_charge_temperature", "high_temperature",
    "low_temperature", "high_internal_temperature", "high_temperature", "low_temperature", "cell_imbalance",
    "cell_imbalance", "low_soc", "internal_failure",
]  # fmt: skip


def shown(faults: int, warnings: int) -> dict[str, int]:
    return {name: level for name, level in alarms(faults, warnings).items() if level}


@pytest.mark.parametrize("bit", range(32))
def test_each_bit_raises_its_alarm_and_no_other(bit: int) -> None:
    fault = FAULTS[bit]
    assert shown(1 << bit, 0) == ({fault: 2} if fault else {})
    warning = WARNINGS[bit] if bit < len(WARNINGS) else None
    assert shown(0, 1 << bit) == ({warning: 2 if bit == 16 else 1} if warning else {})


def test_a_fault_wins_over_its_warning() -> None:
    assert shown(1, 1) == {"high_cell_voltage": 2}


@pytest.mark.parametrize("name", FAULT_BITS)
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1), {})
    device.pack.alarms = {name}
    assert raised(poll(session("jbd_up16s"), device)) == {name: 2}


# ---- values


def read(changes: dict[int, int], size: int | None = None) -> dict[str, Any]:
    """The recorded status with 16-bit words changed at offsets, cut to `size`."""
    data = bytearray(RECORDED[8:-2])
    for at, value in changes.items():
        data[at : at + 2] = value.to_bytes(2, "big")
    return status([Frame(kind=0x1000, payload=bytes(data[:size]))], DRIVER.setup({}), {})


@pytest.mark.parametrize(
    ("word", "charge", "discharge", "heating"),
    [(0, False, False, False), (1, False, True, False), (2, True, False, False), (3, True, True, False),
     (4, False, False, False), (11, True, True, True), (16, False, False, False)],
)  # fmt: skip
def test_switches(word: int, charge: bool, discharge: bool, heating: bool) -> None:
    values = read({32: word})
    assert (values["charge_allowed"], values["discharge_allowed"], values["heating"]) == (charge, discharge, heating)


@pytest.mark.parametrize("cells", [0, 2, 33, 0xFFFF])
def test_an_impossible_number_of_cells_is_another_device(cells: int) -> None:
    with pytest.raises(WrongDevice):
        read({66: cells})


@pytest.mark.parametrize(("changes", "size"), [({}, 60), ({}, 101), ({66: 32}, 130), ({100: 200}, None)])
def test_a_status_that_ends_too_early_is_an_error(changes: dict[int, int], size: int | None) -> None:
    with pytest.raises(BadLength):
        read(changes, size)


def test_balancing_is_unknown_where_the_status_ends_before_it() -> None:
    values = read({}, 110)
    assert (values["cell_balancing"], values["balancing"], values["_firmware"]) == ((), None, None)


@pytest.mark.parametrize(
    ("own", "said", "slave", "expected"),
    [
        (100.0, 200.0, 0, 100.0), (100.0, 50.0, 0, 50.0), (None, 200.0, 0, None), (None, 80.0, 5317, 80.0),
        (100.0, 80.0, 5317, 80.0), (100.0, None, 0, 100.0), (None, None, 0, None),
    ],
)  # fmt: skip
def test_a_banks_limit_is_never_the_packs(
    own: float | None, said: float | None, slave: int, expected: float | None
) -> None:
    assert limit({"_own_charge_limit": own, "_charge_limit": said, "_is_slave": slave}, "charge") == expected


def test_the_simulated_master_tells_its_own_limits_and_a_linked_slave_its() -> None:
    master = poll(session("jbd_up16s"), build(Pack.of(1), {}))
    assert (master.max_charge_current, master.max_discharge_current) == (100.0, 100.0)
    linked = poll(session("jbd_up16s", address=2), build(Pack.of(1), {"address": 2, "linked": True}))
    assert (linked.max_charge_current, linked.serial_number, linked.firmware_version) == (100.0, None, None)
    alone = poll(session("jbd_up16s"), build(Pack.of(1), {"linked": True}))
    assert alone.max_charge_current is None, "a master whose own block is silent: the bank's limit is not its own"


def test_older_firmware_has_the_coarser_texts() -> None:
    new = poll(session("jbd_up16s"), build(Pack.of(1), {}))
    assert (new.firmware_version, new.model, new.hardware_version) == ("12.1.7", "UP16S015.16S200A", "3")
    old = poll(session("jbd_up16s"), build(Pack.of(1), {"firmware": 10}))
    assert (old.firmware_version, old.model, old.hardware_version) == ("10.4", "SIM-LFP48100", None)
    assert (old.serial_number, old.production_date) == ("UP16S019SIM0000001", "2025-04-17")
    assert (old.cell_overvoltage_protection, old.cell_undervoltage_protection) == (3.65, 2.5)


def test_blocks_that_never_answer_are_left_in_peace() -> None:
    plan, device = session("jbd_up16s", address=2), build(Pack.of(1), {"address": 2, "linked": True})
    for second in range(5):
        assert {"own_pack", "fine_soc"} <= {step.name for step in plan.due(second)}
        poll(plan, device)
    assert [step.name for step in plan.due(6.0)] == ["status"]


def test_where_each_pack_has_a_port_one_behind_a_master_is_not_read_twice() -> None:
    linked, direct = build(Pack.of(1), {"address": 2, "linked": True}), build(Pack.of(1), {"address": 2})
    assert poll(session("jbd_up16s", address=2, direct_only=True), direct).voltage
    with pytest.raises(WrongDevice, match="not on the port itself"):
        poll(session("jbd_up16s", address=2, direct_only=True), linked)
    assert poll(session("jbd_up16s", address=2), linked).voltage


# ---- control writes

WRITES = {  # of discharge off, the sheet's last byte (85) is not what the CRC gives
    ("charge", 0, 0): "0179290229040006114A424400011585", ("discharge", 0, 0): "0179290229040006114A424400025584",
    ("charge", 1, 0): "0179290229040006114A424400039444", ("discharge", 0, 2): "0179290229040006114A42440000D445",
    ("discharge", 1, 2): "0179290229040006114A424400011585",
}  # fmt: skip


@pytest.mark.parametrize(("action", "value", "off"), WRITES)
def test_writes_are_those_of_the_sheet_and_built_from_what_we_commanded(action: str, value: int, off: int) -> None:
    plan, device = session("jbd_up16s"), build(Pack.of(1), {})
    plan.known["_off"] = off
    assert command(plan, device, action, value) == [bytes.fromhex(WRITES[action, value, off])]
    assert getattr(device.pack, f"{action}_switch") is bool(value)
    assert device.pack.charge_switch is not bool(plan.known["_off"] & 2)


@pytest.mark.parametrize(
    ("percent", "sent"),
    [(100.0, "0179200620080006114A42442710427A"), (98.0, "0179200620080006114A424426484210")],
)
def test_the_soc_is_written_as_recorded(percent: float, sent: str) -> None:
    plan, device = session("jbd_up16s"), build(Pack.of(1), {})
    assert command(plan, device, "soc", percent) == [bytes.fromhex(sent)]
    assert poll(plan, device).soc == pytest.approx(percent, abs=0.4)
    recorded = DRIVER.controls["soc"].recorded
    assert recorded is not None
    assert recorded(bytes.fromhex(sent)) == (percent, {})
    assert recorded(frame(1, STATUS)) is None


def test_a_pack_behind_a_master_is_not_written_to() -> None:
    plan, device = session("jbd_up16s", address=2), build(Pack.of(1), {"address": 2, "linked": True})
    poll(plan, device)
    for action in ("charge", "discharge", "soc"):
        with pytest.raises(DeviceRefused, match="through a master"):
            command(plan, device, action, 0.0)


def test_an_echo_of_a_write_is_no_acknowledge() -> None:
    talk = DRIVER.controls["charge"].talk(0.0, DRIVER.setup({}), {})
    write = next(talk)
    assert isinstance(write, Ask)
    answer = Answer(write)
    assert not answer.feed(write.request)
    assert answer.feed(frame(1, (0x79, 0x2902, 0x2904)))


# ---- detection


def test_other_addresses_do_not_answer() -> None:
    with pytest.raises(LinkTimeout):
        poll(session("jbd_up16s", address=4), build(Pack.of(1), {"address": 3}))


def test_cells_that_do_not_add_up_are_another_device() -> None:
    values = read({})
    assert proof(values) == "JBD UP16S pack with 16 cells"
    with pytest.raises(WrongDevice):
        proof({**values, "voltage": 55.0})
