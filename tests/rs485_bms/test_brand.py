"""Brands on RS485 and the settings of the output: what is chosen, what is refused, what is doubted."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config.doubts import absent
from gateway.config.doubts import doubts as all_doubts
from gateway.config.load import parse
from gateway.model import ConfigError
from outputs.rs485_bms import brand
from outputs.rs485_bms.check import problems
from outputs.rs485_bms.dialects import make
from outputs.rs485_bms.doubts import doubts
from outputs.rs485_bms.prepare import prepare
from outputs.rs485_bms.settings import Settings
from outputs.rs485_bms.wire import Wire

PORT = "/dev/ttyUSB7"


def chosen(**settings: Any) -> brand.Spoken:
    made = Settings(port=PORT, **settings)
    return brand.spoken(made, brand.of(made))


@pytest.mark.parametrize("name", brand.SHELF.names())
def test_what_we_ship_is_sound_and_says_what_it_rests_on(name: str) -> None:
    found = brand.SHELF.load(name)
    assert found.title and found.facts
    spoken = chosen(inverter=name)
    assert make(spoken.dialect, spoken.wire, spoken.address).name == found.dialect
    assert list(doubts(Settings(port=PORT, inverter=name))) == list(problems(Settings(port=PORT, inverter=name))) == []


def test_a_brand_chooses_and_gateway_yaml_wins() -> None:
    assert (chosen().dialect, chosen().address, chosen().baud) == ("pylontech", 2, 9600)
    assert (chosen(inverter="growatt").dialect, chosen(inverter="growatt").address) == ("growatt", 1)
    assert chosen(inverter="epever").baud == 115200
    assert chosen(inverter="srne").wire.reply_address == 2
    other = chosen(inverter="srne", dialect="growatt", address=5, baud=19200, wire=Wire(limit_unit_63=0.01))
    assert (other.dialect, other.address, other.baud) == ("growatt", 5, 19200)
    assert (other.wire.reply_address, other.wire.limit_unit_63) == (2, 0.01)


def test_a_file_of_ones_own_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("like: anenji\naddress: 0x12\nwire: {dcl_sign_63: -1}\nquirks: {least_charge_current: 0.1}\n")
    spoken = chosen(inverter=str(file))
    assert (spoken.address, spoken.wire.dcl_sign_63) == (0x12, -1)
    assert brand.SHELF.load(str(file)).quirks.least_charge_current == 0.1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dialect: pylon\n", "dialect: 'pylon' is not a choice, did you mean pylontech?"),
        ("wire: {limit_unit_63: 1.0}\n", "limit_unit_63: 1 is no unit of it, expected one of (0.1, 0.01)"),
        ("wire: {limt_unit_63: 0.1}\n", "wire.limt_unit_63: unknown key, did you mean limit_unit_63?"),
        ("wire: {framing: words16}\n", "did you mean words?"),
        ("address: 300\n", "address: 300 is out of range, expected "),
    ],
)
def test_a_mistake_is_named_with_file_and_key(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        brand.SHELF.load(str(file))
    assert expected in str(caught.value), caught.value
    ((key, said),) = problems(Settings(port=PORT, inverter=str(file)))
    assert key == ("inverter",) and expected in said


# ---- in gateway.yaml


def config(outputs: str, batteries: str = "[{name: a, driver: jbd, port: simulated}]") -> str:
    return f"batteries: {batteries}\noutputs:\n{outputs}"


def wrong(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_one_or_several_lines() -> None:
    one = parse(config(f"  rs485_bms: {{port: {PORT}, inverter: anenji}}\n"))
    assert list(one.outputs) == ["rs485_bms"]
    several = parse(config("  rs485_bms:\n    - {port: /dev/a, inverter: anenji}\n    - {port: /dev/b}\n"))
    assert list(several.outputs) == ["rs485_bms:/dev/a", "rs485_bms:/dev/b"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("{}", "gateway.yaml:3: outputs.rs485_bms.port: missing, expected text: the adapter on the inverter's line"),
        ("{port: socket://x:1}", "'socket://x:1' is no serial port of this machine, expected one as /dev/ttyUSB1"),
        (
            "{port: /dev/a, inverter: anenij}",
            "outputs.rs485_bms.inverter: no inverter is called 'anenij', did you mean",
        ),
        ("{port: /dev/a, baud: 9601}", "outputs.rs485_bms.baud: 9601 is not a choice"),
        ("{port: /dev/a, wire: {dcl_sign_92: 2}}", "outputs.rs485_bms.wire.dcl_sign_92: 2 is not a choice"),
        ("{port: /dev/a, dialect: growatt, address: 250}", "address: 250 is no unit of growatt, expected 1..247"),
        ("[{port: /dev/a}, {port: /dev/a}]", "/dev/a is taken, see line 3"),
    ],
)
def test_what_cannot_be_is_refused(given: str, expected: str) -> None:
    assert expected in wrong(config(f"  rs485_bms: {given}\n"))


def test_a_port_belongs_to_one_alone(tmp_path: Path) -> None:
    (tmp_path / "ttyX").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyX")
    port, other = tmp_path / "ttyX", tmp_path / "by-id"
    battery = f"[{{name: rack, driver: jbd, port: {port}}}]"
    assert f"outputs.rs485_bms.port: {other} is the port of rack, too" in wrong(
        config(f"  rs485_bms: {{port: {other}}}\n", battery)
    )
    assert f"{other} is the port of outputs.rs485_bms:{port}, too" in wrong(
        config(f"  rs485_bms: [{{port: {port}}}, {{port: {other}}}]\n")
    )
    slcan = f"  can_bms: {{interface: slcan, channel: {port}}}\n  rs485_bms: {{port: {other}}}\n"
    assert f"{other} is the port of outputs.can_bms, too" in wrong(config(slcan))


def test_what_is_perhaps_not_meant_is_doubted() -> None:
    settings = parse(config("  rs485_bms: {port: /dev/ttyOfNobody, wire: {limit_unit_63: 0.01}, silence_after: 0}\n"))
    said = "\n".join([*all_doubts(settings), *absent(settings)])
    assert "outputs.rs485_bms.wire.limit_unit_63: 0.01 A" in said
    assert "outputs.rs485_bms.silence_after: 0 s" in said
    assert "outputs.rs485_bms.port: /dev/ttyOfNobody is not there now" in said
    assert "dialect: growatt, but axpert is known to ask in pylontech" in "; ".join(
        doubts(Settings(port=PORT, inverter="axpert", dialect="growatt"))
    )
    assert "also_answers" in "; ".join(doubts(Settings(port=PORT, wire=Wire(also_answers=(18,)))))


def test_a_file_that_went_bad_is_refused_when_it_is_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        prepare(Settings(port=PORT, inverter=str(tmp_path / "gone.yaml")))


def test_nothing_of_it_is_loaded_where_it_is_not_configured() -> None:
    program = (
        "import sys; from gateway.config.load import parse; from gateway.config.doubts import doubts;"
        f"doubts(parse({config('  can_bms: {}' + chr(10))!r})); import gateway.wiring;"
        "print([name for name in sys.modules if 'rs485' in name])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
