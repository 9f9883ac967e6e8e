"""Any BMS by the user's own register map: it reads what our drivers read, over every way, and says what is wrong."""

import asyncio
import json
import re
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bms_drivers import modbus_map
from bms_drivers.kit import registry
from bms_drivers.kit.declare import Driver, Registers
from bms_drivers.kit.decode import decode, recorded_settings
from bms_drivers.kit.map_file import MOST
from bms_drivers.kit.map_read import Place, blocks
from bms_drivers.kit.session import Session
from bms_drivers.links import converse
from bms_drivers.links.factory import open_link
from bms_drivers.links.rtu import sealed
from gateway.model import ConfigError, Reading
from gateway.model.validation import validated
from tests.bms_drivers.modbus_server import rtu, rtu_over_tcp, tcp
from tests.vectors import Case, cases, differences

MAPS = Path(__file__).parent.parent / "vectors" / "modbus_map"
ACME = (MAPS / "acme.yaml").read_text()
RECORDED = json.loads((MAPS / "acme.json").read_text())
OTHERWISE = {  # (driver, recording): what our driver knows better than a map can say
    ("eg4_ll", "ll_12v_discharging_ble"): {"temperatures", "charge_cycles"},  # sensors that are not fitted
    ("seplos_v3", "sg16s200a_sp57b_via_ble_gateway"): {  # answered by another unit
        "heating", "charge_allowed", "discharge_allowed", "alarms", "cell_overvoltage_protection",
        "cell_undervoltage_protection",
    },
}  # fmt: skip
OURS = [(name, case) for name in ("eg4_ll", "heltec_modbus", "seplos_v3") for case in cases(name)]


def driver_of(file: Path) -> Driver:
    return registry.load("modbus_map").made_for({"map": str(file)})


def gives(driver: Driver) -> set[str]:
    return {name for poll in driver.plan for name in poll.gives}


@pytest.mark.parametrize(("name", "case"), OURS, ids=str)
def test_a_map_gives_the_reading_of_our_own_driver(name: str, case: Case) -> None:
    own, file = registry.load(name), str(MAPS / f"{name}.yaml")
    address = own.setup(recorded_settings(own, case.data))["address"]
    found = decode(registry.load("modbus_map"), {**case.data, "config": {"map": file, "address": address}})
    assert found.errors == []
    expected = decode(own, case.data).readings[""]
    names = gives(driver_of(Path(file))) - OTHERWISE.get((name, case.name), set())
    assert len(names) > 10
    assert differences(found.readings[""], {n: listed(getattr(expected, n)) for n in names}) == []


def listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


# ---- over every way


@pytest.mark.parametrize("server", [rtu, tcp, rtu_over_tcp])
def test_a_real_server_is_read_by_the_map(server: Any) -> None:
    """pymodbus's own server answers on a pty, and on TCP sockets."""

    async def read() -> Mapping[str, Reading]:
        session = Session(registry.load("modbus_map"), {"map": str(MAPS / "acme.yaml"), "address": 7})
        async with server(7, image()) as where:
            link = open_link(where, session.driver)
            await link.open()
            for poll in session.due(0.0):
                session.learnt(poll, await converse(link, poll.talk(session.setup, session.known)), 0.0)
            await link.close()
        return session.readings()

    assert differences(asyncio.run(read())[""], RECORDED["expected"]) == []


def image() -> dict[int, list[int]]:
    """The registers of the recording: first one and what they hold."""
    held = {}
    for exchange in RECORDED["exchanges"]:
        request, answer = bytes.fromhex(exchange["tx"]), bytes.fromhex(exchange["rx"][0])
        words = struct.unpack(f">{answer[2] // 2}H", answer[3:-2])
        held[int.from_bytes(request[2:4], "big")] = list(words)
    return held


# ---- numbers

FORMATS = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q", "float": "f", "double": "d"}


def sent(type_: str, number: float, byte_order: str, word_order: str) -> bytes:
    """A number as such a device sends it, written from the definition of the orders."""
    whole = struct.pack(">" + FORMATS[type_], number)
    registers = [whole[n : n + 2] for n in range(0, len(whole), 2)]
    if word_order == "little":
        registers.reverse()
    return b"".join(register[::-1] if byte_order == "little" else register for register in registers)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_number_comes_back_as_it_was_sent(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(list(FORMATS)))
    orders = [data.draw(st.sampled_from(["big", "little"])) for _ in "ab"]
    size = struct.calcsize(">" + FORMATS[type_])
    if type_ in ("float", "double"):
        number: float = data.draw(st.floats(-1e6, 1e6, width=8 * size))
    else:
        signed = type_[0] == "i"
        number = data.draw(st.integers(-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1) if signed else
                           st.integers(0, (1 << 8 * size) - 1))  # fmt: skip
    file = validated(modbus_map.Map, {
        "byte_order": orders[0], "word_order": orders[1],
        "values": {"voltage": {"register": 5, "type": type_}, "soc": {"register": 100}},
    })  # fmt: skip
    (place, _) = modbus_map.map_read.places(file)
    assert (place.first, place.count) == (5, size // 2)
    assert place.read(sent(type_, number, *orders)) == pytest.approx(number, rel=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    starts=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 4)), min_size=1, max_size=40),
    at_once=st.integers(4, MOST), gap=st.integers(0, 60), lanes=st.lists(st.sampled_from([0.0, 60.0]), min_size=1),
)  # fmt: skip
def test_blocks_hold_every_value_once_and_are_never_too_long(
    starts: list[tuple[int, int]], at_once: int, gap: int, lanes: list[float]
) -> None:
    found = [
        Place(f"_{n}", (), 3, first, count, lanes[n % len(lanes)], bytes) for n, (first, count) in enumerate(starts)
    ]
    asked = blocks(found, at_once, gap)
    assert sorted(place.name for block in asked for place in block.places) == sorted(place.name for place in found)
    assert len({block.name for block in asked}) == len(asked)
    for block in asked:
        assert 0 < block.end - block.first <= at_once
        assert all(block.first <= place.first <= place.first + place.count <= block.end for place in block.places)
        held = {n for place in block.places for n in range(place.first, place.first + place.count)}
        assert all(after - before <= gap + 1 for before, after in pairwise(sorted(held)))
        assert {place.lane for place in block.places} == {block.lane}


def test_what_is_asked_seldom_is_a_block_of_its_own() -> None:
    driver, asked = driver_of(MAPS / "acme.yaml"), {}
    for poll in driver.plan:
        question = next(poll.talk(driver.setup({}), {}))
        assert isinstance(question, Registers)
        asked[question.address] = (question.count, poll.every, poll.essential)
    assert asked == {
        0: (5, 0.0, True), 10: (4, 0.0, False), 20: (2, 0.0, False), 30: (2, 0.0, False), 60: (1, 60.0, False),
        40: (4, float("inf"), False),
    }  # fmt: skip
    assert (driver.line.baud, driver.line.quiet) == (9600, 0.03) if driver.line else False


@pytest.mark.parametrize(
    ("first", "shown"),
    [(0x8000, (None, None)), (0xFFFF, (-0.1, None)), (0, (0.0, None))],
)
def test_a_mark_for_no_sensor_is_not_a_temperature(first: int, shown: tuple[float | None, ...]) -> None:
    answer = sealed(bytes.fromhex("010304") + first.to_bytes(2, "big") + bytes.fromhex("8000"))
    exchanges = [e if e["tx"][4:8] != "0014" else {**e, "rx": [answer.hex()]} for e in RECORDED["exchanges"]]
    found = decode(registry.load("modbus_map"), {**RECORDED, "exchanges": exchanges})
    assert found.readings[""].temperatures == shown


def test_a_block_that_is_not_answered_leaves_its_values_unknown() -> None:
    for n, gone in enumerate(RECORDED["exchanges"]):
        rest = [exchange for exchange in RECORDED["exchanges"] if exchange is not gone]
        found = decode(registry.load("modbus_map"), {**RECORDED, "exchanges": rest})
        assert len(found.unanswered) == 1, n
        told = {k: v for k, v in RECORDED["expected"].items() if known(getattr(found.readings[""], k))}
        assert differences(found.readings[""], told) == []
        assert len(told) < len(RECORDED["expected"])


def known(value: Any) -> bool:
    """Not None, and not a list of nothing known."""
    return any(item is not None for item in value) if isinstance(value, tuple) else value not in (None, {})


# ---- mistakes


def wrong(text: str, folder: Path) -> list[str]:
    """Mistakes of a map of this text, without its path."""
    file = folder / "my.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        driver_of(file)
    return [problem.removeprefix(f"{file}:") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("voltage:", "Voltage_V:", "6: values.Voltage_V: no value of that name, did you mean voltage?"),
        ("scale: 0.01,", "scal: 0.01,", "6: values.voltage.scal: unknown key, did you mean scale?"),
        ("scale: 0.01,", "scale: 0,01,", "6: values.voltage.scale: decimal comma, write 0.01"),
        ("type: i16, scale: -0.1", "type: i61, scale: -0.1", "7: values.current.type: 'i61' is not a choice, did you"),
        ("register: 0,", "register: 70000,", "6: values.voltage.register: register 70000 is beyond 65535"),
        ("unit: V}", "unit: mV}", "6: values.voltage.unit: 'mV', but voltage is told in V; choose scale so"),
        ("register: 2,", "register: 1,", "8: values.soc: soc is read from register 1, which is current already"),
        ("register: 10, count: 4", "register: 1, count: 4",
         "11: values.cell_voltage_1: cell_voltage_1 is read from register 1, which is current already"),
        ("bit: 1}", "bit: 16}", "10: values.discharge_allowed.bit: bit 16 is none of a u16, expected 0..15"),
        ("bit: 1}", "inverted: yes}", "10: values.discharge_allowed.inverted: 'yes' is text to YAML, write true"),
        ("invalid: [0x8000]", "invalid: 0x8000", "12: values.temperature_1.invalid: 32768, expected a list"),
        ("count: 2, type: i16", "count: 2, type: i8", "12: values.temperature_1.byte: missing, expected high or low"),
        ("type: string, count: 4", "type: string", "14: values.model.count: missing, expected how many registers"),
        ("model:", "soh:", "14: values.soh.type: a string, but soh is a number"),
        ("unit: V}", "unit: V, every: once}", "6: values.voltage.every: once, but limits rest on voltage: expected 10"),
        ("every: 60}", "every: 3600}", "15: values.max_charge_current.every: 3600 s, but limits rest on"),
        ("every: 60}", "every: sometimes}", "15: values.max_charge_current.every: 'sometimes', expected"),
        ("2: warning_high_temperature", "2: warning_high_temp", "18: bits[0].bits.2: no value of that name, did you"),
        ("2: warning_high_temperature", "2: soc", "18: bits[0].bits.2: soc is a number, expected an alarm or a switch"),
        ("2: warning_high_temperature", "99: alarm_low_soc", "18: bits[0].bits.99: no bit of a u16, expected 0..15"),
        ("3: alarm_high_temperature", "3: charge_allowed",
         "18: bits[0].bits.3: charge_allowed is told twice, first in line 9; keep one of them"),
        ("function: 3 ", "function: 5 ", "4: function: 5 is not a choice"),
        ("function: 3 ", "function: 1 ", "6: values.voltage.scale: does not go with function 1, which reads bits"),
        ("baud: 9600", "baud: fast", "2: baud: 'fast', expected a whole number 300..4000000"),
        ("  voltage:", "  _voltage:", "5: values: missing, expected voltage: a battery without it cannot be watched"),
        ("quiet: 0.03", "base: 1", "6: values.voltage.register: 0 is before base 1, the number of the first register"),
        ("values:", "valeus:", "5: valeus: unknown key, did you mean values?"),
        ("count: 4, scale", "count: 400, scale", "11: values.cell_voltage_1.count: 400 is out of range, expected"),
        ("manufacturer: Acme", "manufacturer:", "1: manufacturer: no value; remove the line"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    text = ACME.split("\n", 1)[1]  # without the comment in front: lines count from manufacturer
    assert old in text
    found = wrong(text.replace(old, new, 1), tmp_path)
    assert any(problem.startswith(said) for problem in found), found


def test_every_mistake_of_a_map_is_said_at_once(tmp_path: Path) -> None:
    found = wrong("values:\n  voltag: {register: 0}\n  soc: {register: 1, scale: 0}\n  foo: {registr: 2}\n", tmp_path)
    assert len(found) == 2, "what is no entry at all comes first"
    found = wrong("values:\n  voltag: {register: 0}\n  soc: {register: 1, scale: 0}\n", tmp_path)
    assert [problem.partition(":")[0] for problem in found] == ["2", "3"]
    assert wrong("values:\n  soh: {register: 0}\n", tmp_path) == [
        "1: values: missing, expected voltage: a battery without it cannot be watched",
    ]


@pytest.mark.parametrize("text", ["", "[1, 2]\n", "values: [}\n", "values: 3\n", "bits: {1: a}\n"])
def test_what_is_no_map_is_one_sentence_with_its_place(text: str, tmp_path: Path) -> None:
    assert all("my.yaml" not in problem and problem for problem in wrong(text, tmp_path))


WORDS = st.sampled_from([
    "values", "bits", "voltage", "soc", "cell_voltage_1", "register", "count", "bit", "type", "string", "u8", "float",
    "every", "once", "0", "-1", "65535", "0x10", "1e400", "null", "true", "alarm_high_voltage", "scale", "2",
])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_text_is_a_map_or_a_named_mistake(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    tokens = re.findall(r"\w+|\W", ACME)
    for _ in range(data.draw(st.integers(1, 4))):
        tokens[data.draw(st.integers(0, len(tokens) - 1))] = data.draw(WORDS | st.sampled_from("\n:{}[],- "))
    file = tmp_path_factory.mktemp("torn") / "my.yaml"
    file.write_text("".join(tokens))
    try:
        driver = driver_of(file)
    except ConfigError as problem:
        assert all(line.startswith(str(file)) for line in problem.problems)
        return
    found = decode(driver, RECORDED)
    assert found.readings or found.unanswered or found.errors


def test_a_serial_number_leaves_no_house(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(ACME.replace("  model:", "  serial_number:"))
    (mask,) = driver_of(file).secrets
    for exchange in RECORDED["exchanges"]:
        request, answer = bytes.fromhex(exchange["tx"]), bytes.fromhex(exchange["rx"][0])
        secret = request[2:4] == bytes((0, 40))
        assert mask(request, answer) == (sealed(answer[:3] + b"*" * 8) if secret else answer)
