"""ANT: state codes, probes, framing and commands that the recordings do not show.  Expected values: ant.md."""

import json
from pathlib import Path
from typing import Any

import pytest

from bms_drivers.ant import DRIVER, alarms, decoded, new_status, request, split_new, split_old
from bms_drivers.kit.declare import Ask, Dropped, Frame
from bms_drivers.sims.ant import build
from bms_drivers.sims.pack import Pack
from gateway.model import BadLength, DeviceRefused, LinkTimeout, WrongDevice
from tests.sims.wire import command, poll, raised, session

VECTORS = Path(__file__).parent.parent / "vectors" / "ant"
SETUP = DRIVER.setup({})


def recorded(name: str, number: int = 0) -> bytes:
    case = json.loads((VECTORS / f"{name}.json").read_text())
    return bytes.fromhex("".join(case["exchanges"][number]["rx"]))


NEW, OLD = recorded("new_14s_2021_charge_blocked"), recorded("old_14s_2019_discharging")


# ---- section 6

BOTH = {
    2: ("high_cell_voltage", "low_cell_voltage"), 3: ("high_charge_current", "high_discharge_current"),
    5: ("high_voltage", "low_voltage"), 6: ("high_charge_temperature", "high_temperature"),
    7: ("high_internal_temperature", "high_internal_temperature"), 8: ("internal_failure", "internal_failure"),
    9: ("bms_cable", "bms_cable"), 10: ("high_internal_temperature", "high_internal_temperature"),
    12: (None, "short_circuit"), 13: ("internal_failure", "internal_failure"), 14: (None, "internal_failure"),
}  # fmt: skip
NEW_ONLY = {
    4: (None, "high_discharge_current"), 12: ("internal_failure", "short_circuit"),
    16: ("high_cell_voltage", "low_cell_voltage"), 17: ("low_charge_temperature", "low_temperature"),
    18: ("cell_imbalance", "cell_imbalance"), 19: (None, "internal_failure"), 20: ("internal_failure", None),
}  # fmt: skip


@pytest.mark.parametrize("generation", ["old", "new"])
@pytest.mark.parametrize("code", range(24))
def test_each_code_of_a_switch_raises_what_the_sheet_says(generation: str, code: int) -> None:
    table = BOTH | NEW_ONLY if generation == "new" else BOTH
    charge, discharge = table.get(code, (None, None))
    assert _raised(alarms(generation, code, 1, 0)) == ({charge: 2} if charge else {})
    assert _raised(alarms(generation, 1, code, 0)) == ({discharge: 2} if discharge else {})


@pytest.mark.parametrize("code", range(12))
def test_a_hot_balancer_is_a_warning(code: int) -> None:
    assert _raised(alarms("new", 1, 1, code)) == ({"high_internal_temperature": 1} if code in (3, 10) else {})


def test_a_hot_balancer_does_not_hide_a_hot_switch() -> None:
    assert _raised(alarms("new", 7, 1, 3)) == {"high_internal_temperature": 2}


def _raised(levels: dict[str, int]) -> dict[str, int]:
    return {name: level for name, level in levels.items() if level}


# ---- values


def changed(frame: bytes, **bytes_at: int) -> bytes:
    """A recorded new frame's content, with bytes changed: at_9=3."""
    content = bytearray(frame[:-4])
    for place, value in bytes_at.items():
        content[int(place.removeprefix("at_"))] = value
    return bytes(content)


def test_the_length_counts_the_probes_when_their_own_byte_is_wrong() -> None:
    assert len(new_status(changed(NEW, at_8=9))["_temperatures"]) == 4


def test_a_frame_whose_length_cannot_hold_its_cells_is_dropped() -> None:
    with pytest.raises(BadLength):
        new_status(changed(NEW, at_9=30))


@pytest.mark.parametrize(("probes", "expected"), [(None, (28.0, 28.0, 28.0)), (2, (28.0, 28.0)), (0, ())])
def test_only_fitted_probes_count(probes: int | None, expected: tuple[float, ...]) -> None:
    assert decoded(NEW[:-4], DRIVER.setup({"probes": probes}))["temperatures"] == expected


def test_a_capacity_of_zero_is_not_known() -> None:
    values = decoded(recorded("old_16s_ble_overcharge"), SETUP)
    assert (values["capacity"], values["charge_cycles"]) == (None, None)


def test_an_old_frame_without_cells_is_another_device() -> None:
    frame = bytearray(OLD)
    frame[123] = 0
    with pytest.raises(WrongDevice):
        decoded(bytes(frame), SETUP)


# ---- framing


def frames(split: Any, stream: bytes) -> list[bytes]:
    return [item.raw for item in split(bytearray(stream)) if isinstance(item, Frame)]


INFO = recorded("new_16s_ble_info_and_status", 0)


@pytest.mark.parametrize("stream", [NEW + INFO, INFO + NEW, b"\x7e" + NEW, NEW[:50] + NEW, b"\xaa\x55" + INFO])
def test_both_trailers_end_a_frame(stream: bytes) -> None:
    assert [raw for raw in (NEW, INFO) if raw in frames(split_new, stream)]
    assert b"".join(frames(split_new, stream)) in stream
    assert len(frames(split_new, stream)) == (NEW in stream) + (INFO in stream)


@pytest.mark.parametrize(("split", "frame"), [(split_new, NEW), (split_old, OLD)])
def test_a_changed_byte_is_no_frame(split: Any, frame: bytes) -> None:
    spoilt = frame[:40] + bytes((frame[40] ^ 1,)) + frame[41:]
    items = list(split(bytearray(spoilt)))
    assert not [item for item in items if isinstance(item, Frame)]
    assert [item for item in items if isinstance(item, Dropped) and item.reason == "checksum"]


def test_the_generations_do_not_take_each_others_frames() -> None:
    assert frames(split_new, OLD) == frames(split_old, NEW) == []


# ---- asking


def test_requests_are_those_of_the_sheet() -> None:
    assert request(0x01, 0, 0xBE).hex() == "7ea1010000be1855aa55"
    assert request(0x02, 0x026C, 0x20).hex() == "7ea1026c022058c4aa55"
    assert request(0x02, 0, 56).hex() == "7ea10200003899b3aa55"


def test_the_way_that_was_answered_is_kept() -> None:
    known, device = session("ant"), build(Pack.of(1), {"generation": "old_uart"})
    talk = known.driver.poll("status").talk(known.setup, known.known)
    question, asked = next(talk), []
    while True:
        assert isinstance(question, Ask)
        asked.append(question.request.hex())
        if asked[-1].startswith("5a5a"):
            break
        question = talk.throw(LinkTimeout("silent"))
    assert asked == ["7ea1010000be1855aa55", "dbdb00000000", "5a5a00000101"]
    poll(known, device)
    again = next(known.driver.poll("status").talk(known.setup, known.known))
    assert isinstance(again, Ask)
    assert (again.request.hex(), again.tries) == ("5a5a00000101", 2)


@pytest.mark.parametrize("generation", ["new", "old", "old_uart"])
def test_discharging_is_negative_and_each_switch_is_the_right_one(generation: str) -> None:
    device = build(Pack.of(3, current=-20.0), {"generation": generation})
    device.pack.charge_switch = False
    got = poll(session("ant"), device)
    assert (got.current, got.charge_allowed, got.discharge_allowed) == (-20.0, False, True)
    assert got.voltage == pytest.approx(device.pack.voltage, abs=0.06)
    assert raised(got) == {}


@pytest.mark.parametrize("generation", ["new", "old"])
@pytest.mark.parametrize("name", ["high_cell_voltage", "low_cell_voltage", "short_circuit", "bms_cable"])
def test_the_simulators_alarms_arrive(generation: str, name: str) -> None:
    device = build(Pack.of(3), {"generation": generation})
    device.pack.alarms = {name}
    assert raised(poll(session("ant"), device)) == {name: 2}


def test_thresholds_and_identity_of_the_new_protocol() -> None:
    got = poll(session("ant"), build(Pack.of(3), {}))
    assert (got.cell_overvoltage_protection, got.cell_undervoltage_protection) == (3.65, 2.5)
    assert (got.model, got.firmware_version) == ("16ZM", "16ZMUB00-SIM")


# ---- commands

COMMANDS = {
    ("discharge", 0): "7EA151010000D8E5AA55", ("discharge", 1): "7EA1510300007925AA55",
    ("charge", 0): "7EA151040000C8E4AA55", ("charge", 1): "7EA1510600006924AA55",
    ("balance", 1): "7EA1510D000018E6AA55", ("balance", 0): "7EA1510E0000E8E6AA55",
}  # fmt: skip


@pytest.mark.parametrize(("action", "value"), COMMANDS)
def test_commands_are_those_of_the_sheet(action: str, value: int) -> None:
    device = build(Pack.of(1), {})
    assert command(session("ant"), device, action, value) == [bytes.fromhex(COMMANDS[action, value])]
    assert getattr(device.pack, f"{action}_switch") is bool(value)


def test_another_acknowledge_is_a_refusal() -> None:
    talk = DRIVER.controls["charge"].talk(0.0, SETUP, {})
    next(talk)
    with pytest.raises(DeviceRefused, match="answers 03 00"):
        talk.send([Frame(kind=0x61, payload=b"\x7e\xa1\x61\x04\x00\x02\x03\x00")])


def test_old_boards_are_not_commanded() -> None:
    known, device = session("ant"), build(Pack.of(1), {"generation": "old"})
    poll(known, device)
    with pytest.raises(DeviceRefused, match="old protocol"):
        command(known, device, "charge", 0.0)
