"""BMS4S: text that is not whole, not a number or not plausible; sensors and beep codes.  From hlpdata_bms4s.md."""

import pytest

from bms_drivers.hlpdata_bms4s import ASK_MEASURED, DRIVER, MEASURED, alarms, measured, proof, splitter
from bms_drivers.kit.declare import Ask, Frame, Values
from bms_drivers.kit.framing import Answer
from bms_drivers.sims.hlpdata_bms4s import build
from bms_drivers.sims.pack import Pack
from gateway.model import FrameError, WrongDevice
from tests.sims.wire import poll, raised, session

LINE = "3.283,3.283,3.283,3.284,-1.500,41,1,0,13.1,41,0,0,1,b1 21,b2 -3"


def read(line: str) -> Values:
    return measured([Frame(kind=0, payload=line.encode())], {}, {})


def changed(field: int, text: str) -> str:
    fields = LINE.split(",")
    fields[field] = text
    return ",".join(fields)


def test_a_line_is_read_field_by_field() -> None:
    values = read(LINE)
    assert (values["voltage"], values["current"], values["soc"]) == (13.133, -1.5, 41)
    assert (values["charge_allowed"], values["discharge_allowed"]) == (True, False)
    assert values["temperatures"] == (21.0, -3.0)


@pytest.mark.parametrize(
    "line",
    [
        changed(0, "r.283"), changed(1, "0.5"), changed(2, "5.1"), changed(3, "nan"), changed(4, "1e3"),
        changed(5, "101"), changed(5, "-1"), changed(6, "2"), changed(7, ""), changed(11, "x"),
        ",".join(LINE.split(",")[:12]), "3,283,3,283,3,283,3,284,0,000,41,1,1,13,1,41,0,0,1", "",
    ],
)  # fmt: skip
def test_what_is_no_number_or_cannot_be_is_no_reading(line: str) -> None:
    with pytest.raises(FrameError):
        read(line)


@pytest.mark.parametrize(
    ("sensors", "expected"),
    [
        ("", ()), (",b1 21", (21.0,)), (",b1 -21", (-21.0,)), (",b1 21,b2 23,b3 22", (23.0, 21.0)),
        (",m 60,b1 5", (5.0,)), (",b1 ?", ()), (",b1 20.5", (20.5,)),
    ],
)  # fmt: skip
def test_only_the_batterys_sensors_count_with_their_signs(sensors: str, expected: tuple[float, ...]) -> None:
    assert read(",".join(LINE.split(",")[:13]) + sensors)["temperatures"] == expected


BEEPS = {
    2: ("low_charge_temperature", 1), 3: ("high_charge_temperature", 1), 4: ("low_voltage", 2), 5: ("high_voltage", 2),
}  # fmt: skip


@pytest.mark.parametrize("code", range(-1, 10))
def test_each_beep_code_raises_its_alarm_and_no_other(code: int) -> None:
    expected = dict([BEEPS[code]]) if code in BEEPS else {}
    assert {name: level for name, level in alarms(code).items() if level} == expected


@pytest.mark.parametrize("echo", ["m1\r\n", "m1\n", "m1 ", "> m1\r\r\n", "\xff\x00m1\r\n"])
@pytest.mark.parametrize("cut", [1, 3, 5, 20, 60])
def test_the_line_is_found_behind_any_echo_however_it_is_cut(echo: str, cut: int) -> None:
    answer, stream = Answer(ASK_MEASURED), (echo + LINE + "\r\n").encode("latin-1")
    assert not answer.feed(stream[:cut])
    assert answer.feed(stream[cut:])
    assert answer.frames[0].payload == LINE.encode()


@pytest.mark.parametrize("stream", [LINE + "\r\n", "m1\r\n" + LINE, "m1\r\n"])
def test_without_the_echo_or_the_lines_end_there_is_no_answer(stream: str) -> None:
    assert not list(splitter(MEASURED)(bytearray(stream.encode())))


@pytest.mark.parametrize("comma", [False, True])
def test_settings_are_read_with_points_and_commas(comma: bool) -> None:
    got = poll(session("hlpdata_bms4s"), build(Pack.of(1, cells=4, capacity=300.0), {"decimal_comma": comma}))
    assert (got.capacity, got.max_battery_voltage, got.min_battery_voltage) == (300.0, 14.2, 11.6)
    assert got.hardware_version == "BMS4S 4.2.89"


def test_nothing_but_the_three_reads_is_ever_sent() -> None:
    asked = set()
    for step in DRIVER.plan:
        talk = step.talk({}, {})
        question = next(talk)
        assert isinstance(question, Ask)
        asked.add(question.request)
    assert asked == {b"\n", b"ps\n", b"m1\n"}
    assert not DRIVER.controls


@pytest.mark.parametrize("name", ["low_charge_temperature", "high_charge_temperature", "low_voltage", "high_voltage"])
def test_the_simulators_alarms_arrive(name: str) -> None:
    device = build(Pack.of(1, cells=4), {})
    device.pack.alarms = {name}
    assert raised(poll(session("hlpdata_bms4s"), device)) == {name: 2 if name.endswith("voltage") else 1}


@pytest.mark.parametrize("version", [None, "", "OTHER BMS4S"])
def test_only_its_name_is_proof(version: str | None) -> None:
    with pytest.raises(WrongDevice):
        proof({"hardware_version": version})
