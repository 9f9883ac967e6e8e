"""Every mistake in a gateway.yaml is named with its line, its key and what would be right; nothing is guessed."""

import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.load import load
from gateway.model import ConfigError
from tests.config.bench import CATALOGUE, ONE, mistakes, read

ARCHITECTURE_EXAMPLE = """\
batteries:
  - name: rack-1                 # shown everywhere; part of the cell ids
    driver: plain                # a driver's name
    port: /dev/ttyUSB0
    address: 1                   # where the bus has addresses
    poll_interval: 1.0           # s
    control: true                # false = watched only
bank:
  charge_current_limit: 100      # A
  start_timeout: 60              # s
limits:
  cell_voltage: {max: 3.45, float: 3.375, min: 2.9}       # V
outputs:
  can_bms: {interface: socketcan, channel: can0, bitrate: 500000, dialect: pylontech}
  venus_dbus: {}
"""


def section(text: str) -> list[str]:
    """Mistakes of one good battery followed by `text`, which begins in line 5."""
    return mistakes(ONE + text)


def battery(text: str) -> list[str]:
    """Mistakes of a battery whose first own line, `text`, is line 5."""
    return mistakes(ONE + "".join(f"    {line}\n" for line in text.splitlines()))


def test_the_shortest_file_is_one_battery_and_everything_else_has_a_default() -> None:
    found = read(ONE)
    assert [(b.name, b.driver, b.port, b.address) for b in found.batteries] == [
        ("rack-1", "plain", "/dev/ttyUSB0", None)
    ]
    assert found.batteries[0].poll_interval == 1.0 and found.batteries[0].control
    assert (found.bank.start_timeout, found.bank.join_voltage_difference, found.bank.any_blocks) == (60, 1.0, False)
    assert found.bank.charge_current_limit is None and found.bank.discharge_current_limit is None
    assert found.outputs == {} and found.state_dir is None
    assert found.limits_of(found.batteries[0]) is found.limits


def test_example_of_the_architecture_loads() -> None:
    found = read(ARCHITECTURE_EXAMPLE)
    assert list(found.outputs) == ["can_bms", "venus_dbus"]
    assert found.bank.charge_current_limit == 100.0


def test_several_can_outputs_are_a_list_each_named_after_its_bus() -> None:
    found = read(ONE + "outputs:\n  can_bms:\n    - {channel: can0}\n    - {channel: can1, dialect: pylontech_v13}\n")
    assert list(found.outputs) == ["can_bms:can0", "can_bms:can1"]
    assert found.outputs["can_bms:can1"].plain()["dialect"] == "pylontech_v13"
    assert list(read(ONE + "outputs:\n  can_bms:\n    - {channel: can0}\n").outputs) == ["can_bms"], "a list of one"


def test_whole_numbers_serve_where_decimals_are_expected() -> None:
    assert read(ONE + "bank: {start_timeout: 30}\n").bank.start_timeout == 30.0


TEN = """\
batteries:
  - name: rack-1
    driver: plane
    port: ttyUSB0
    poll_interval: 500
    adress: 3
  - name: rack-1
    driver: chain
    port: /dev/ttyUSB1
    control: yes
bank:
  charge_current_limit: 80A
  start_timeout: 1 min
limits:
  cell_voltage: {max: 3,45}
  MAX_CELL_VOLTAGE: 3.45
"""

TEN_LINES = [
    "g.yaml:3: batteries[0].driver: no driver is called 'plane', did you mean plain?",
    "g.yaml:4: batteries[0].port: 'ttyUSB0' is no port, write /dev/ttyUSB0",
    "g.yaml:5: batteries[0].poll_interval: 500 is out of range, expected a number 0.1..20 s",
    "g.yaml:6: batteries[0].adress: unknown key, did you mean address?",
    "g.yaml:7: batteries[1].name: 'rack-1' is taken, see line 2",
    "g.yaml:10: batteries[1].control: 'yes' is text to YAML, write true or false (here: true)",
    "g.yaml:12: bank.charge_current_limit: '80A' holds its unit, write 80 (A is the unit)",
    "g.yaml:13: bank.start_timeout: '1 min' holds another unit, write 60 (s is the unit)",
    "g.yaml:15: limits.cell_voltage.max: decimal comma, write 3.45",
    "g.yaml:16: limits.MAX_CELL_VOLTAGE: dbus-serialbattery's name, here it is limits.cell_voltage.max",
]


def test_ten_mistakes_give_ten_lines() -> None:
    assert mistakes(TEN) == TEN_LINES


SLIPS = [
    # text that begins in line 5, and what is said about it
    ("limits:\n  cell_voltage:\n    max: 3,45\n", "7: limits.cell_voltage.max: decimal comma, write 3.45"),
    ("limits:\n  cell_voltage: {max: 3,45, float: 3.3}\n", "6: limits.cell_voltage.max: decimal comma, write 3.45"),
    ("limits:\n  cell_voltage: {max: 3450mV}\n", "'3450mV' holds another unit, write 3.45 (V is the unit)"),
    ("limits:\n  cell_voltage: {max: 3.45 V}\n", "'3.45 V' holds its unit, write 3.45 (V is the unit)"),
    ("limits:\n  cell_voltage: {max: 3450}\n", "3450 is out of range, expected a number"),
    ("limits:\n  cell_voltage: {max: .inf}\n", ".inf is no number to work with, expected a finite one"),
    ("limits:\n  cell_voltage: {max: .nan}\n", ".nan is no number to work with"),
    ("limits:\n  cell_voltage: {max: '3.45'}\n", "'3.45' is text, write 3.45 without quotes"),
    ("limits:\n  cell_voltage: {mx: 3.45}\n", "6: limits.cell_voltage.mx: unknown key, did you mean max?"),
    ("limits:\n  cell_voltage: 3.45\n", "6: limits.cell_voltage: 3.45, expected a section with"),
    ("limits:\n  cell_voltage: [3.45]\n", "6: limits.cell_voltage: a list, expected a section with"),
    ("limits: 3\n", "5: limits: 3, expected a section with"),
    ("limits:\n  cell_voltage:\n    max:\n", "7: limits.cell_voltage.max: no value, expected a number"),
    ("limits:\n  start_timeout: 3\n", "6: limits.start_timeout: unknown key here, it belongs to bank"),
    ("limits:\n  max_cell_voltage: 3\n", "here it is limits.cell_voltage.max"),
    ("MAX_CELL_VOLTAGE: 3.45\n", "5: MAX_CELL_VOLTAGE: dbus-serialbattery's name, here it is limits.cell_voltage.max"),
    ("bank: [1]\n", "5: bank: a list, expected a section with charge_current_limit, "),
    ("bank: {charge_current_limit: -1}\n", "-1 is out of range, expected a number 0..10000 A"),
    ("bank: {charge_current_limit: 1_000}\n", "'1_000' is no number, write 1000"),
    ("bank: {charge_current_limit: 0.1kA}\n", "write 100 (A is the unit)"),
    ("bank: {charge_current_limit: 80V}\n", "'80V' has another unit, expected a number (A is the unit)"),
    ("bank: {charge_current_limit: true}\n", "true, expected a number 0..10000 A"),
    ("bank: {charge_current_limit: a lot}\n", "'a lot', expected a number 0..10000 A"),
    ("bank: {any_blocks: on}\n", "'on' is text to YAML, write true or false (here: true)"),
    ("bank: {any_blocks: No}\n", "'No' is text to YAML, write true or false (here: false)"),
    ("bank: {any_blocks: 1}\n", "1 is a number, write true"),
    ("bank:\n  charge_current_limit:\n", "6: bank.charge_current_limit: no value, expected a number"),
    ("bank: {join_voltage_difference: 0}\n", "expected a number above 0 and at most 10 V"),
    ("bank: {any_blocks: true, any_blocks: false}\n", "5: bank.any_blocks: given twice, first in line 5; keep one"),
    ("bank: {}\nbank: {}\n", "6: bank: given twice, first in line 5; keep one of them"),
    ("bnak: {}\n", "5: bnak: unknown key, did you mean bank?"),
    ("charge_current_limit: 80\n", "5: charge_current_limit: unknown key here, it belongs to bank"),
    ("outputs: {can_bsm: {}}\n", "5: outputs.can_bsm: no output is called 'can_bsm', did you mean can_bms?"),
    ("outputs: {knx: {}}\n", "no output is called 'knx', expected one of can_bms, venus_dbus"),
    ("outputs: [can_bms]\n", "5: outputs: expected a section with can_bms or venus_dbus"),
    ("outputs: {can_bms: {bitrate: 500k}}\n", "write 500000"),
    ("outputs: {can_bms: {chanel: can0}}\n", "5: outputs.can_bms.chanel: unknown key, did you mean channel?"),
    ("outputs: {can_bms: []}\n", "5: outputs.can_bms: a list, expected a section"),
    ("outputs: {venus_dbus: [{}]}\n", "5: outputs.venus_dbus: a list, expected a section"),
    ("outputs:\n  can_bms:\n    - channel: can0\n    - chanel: can1\n", "8: outputs.can_bms[1].chanel: unknown key"),
    (
        "outputs:\n  can_bms:\n    - dialect: pylontech\n    - dialect: pylontec\n      channel: can1\n",
        "8: outputs.can_bms[1].dialect: dialect pylontec: there is none of that name; did you mean pylontech?",
    ),
    (
        "outputs:\n  can_bms:\n    - channel: can0\n    - channel: can0\n",
        "8: outputs.can_bms[1].channel: can0 is taken, see line 7; two outputs on one bus contradict each other",
    ),
    ("state_dir: [a]\n", "5: state_dir: a list, expected text"),
    ("state_dir: !path /x\n", "5: state_dir: tag !path, expected a plain value"),
    ("? [a, b]\n: 3\n", "5: a key that is a list or section, expected a word"),
]


@pytest.mark.parametrize(("text", "expected"), SLIPS)
def test_slip_is_named_with_line_and_remedy(text: str, expected: str) -> None:
    found = section(text)
    assert len(found) == 1, found
    assert expected in found[0] and found[0].startswith("g.yaml:")


BATTERY_SLIPS = [
    ("poll_interval: 0\n", "5: batteries[0].poll_interval: 0 is out of range, expected a number 0.1..20 s"),
    ("poll_interval: 100ms\n", "'100ms' holds another unit, write 0.1 (s is the unit)"),
    ("address: -1\n", "5: batteries[0].address: -1 is out of range, expected a whole number at least 0"),
    ("address: 1.5\n", "1.5, expected a whole number at least 0"),
    ("address: '1'\n", "'1' is text, write 1 without quotes"),
    ("control: off\n", "write true or false (here: false)"),
    ("cell_count: 16\n", "5: batteries[0].cell_count: unknown key"),
    ("limits: 3\n", "5: batteries[0].limits: expected a section like the top-level limits"),
    ("limits: {cell_voltage: {mx: 3.4}}\n", "5: batteries[0].limits.cell_voltage.mx: unknown key, did you mean max?"),
    ("limits: {cell_voltage: {max: 345}}\n", "5: batteries[0].limits.cell_voltage.max: 345 is out of range"),
]


@pytest.mark.parametrize(("text", "expected"), BATTERY_SLIPS)
def test_slip_in_a_battery_is_named(text: str, expected: str) -> None:
    found = battery(text)
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "g.yaml:1: the file is empty, expected at least batteries:"),
        ("# nothing but a comment\n", "g.yaml:1: the file is empty"),
        ("bank: {}\n", "g.yaml:1: batteries: expected a list"),
        ("batteries:\n", "g.yaml:1: batteries: expected a list"),
        ("batteries: []\n", "g.yaml:1: batteries: expected a list (lines that begin with -) of at least one battery"),
        ("batteries: {name: a}\n", "g.yaml:1: batteries: expected a list"),
        ("batteries:\n  - rack-1\n", "g.yaml:2: batteries[0]: expected a battery: a section with name, driver, port"),
        ("- batteries\n", "g.yaml:1: expected sections"),
        ("text", "g.yaml:1: expected sections"),
        ("batteries:\n\t- name: a\n", "g.yaml:2: a tab; indent with spaces"),
        ("batteries:\n  - name: a: b\n", "g.yaml:2: a second ': ' in one line"),
        ("batteries:\n  - name:a\n    driver: jbd\n", "g.yaml:3: indented further than the line above"),
        ("batteries:\n  - name: a\n     driver: jbd\n", "g.yaml:3: indented further than the line above"),
        ("batteries: [\n", "g.yaml:2: a [list] or {section} that is not closed"),
        ("a: 'b\nc: 1\n", "g.yaml:1: a quote that is opened and never closed"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a: *b\n", "g.yaml:1: an *alias without its &anchor"),
        ("a: @b\n", "g.yaml:1: a character that means something else to YAML"),
        ("a: 1\nb: \0\n", "g.yaml:2: U+0000 is no character of a text; delete it"),
        ("[" * 5000, "g.yaml: nested too deeply"),
        ("a: &a [*a]\n", "too large"),
    ],
)
def test_file_that_is_no_configuration_is_refused_in_one_line(text: str, expected: str) -> None:
    found = mistakes(text)
    assert len(found) == 1, found
    assert found[0].startswith(expected) or expected in found[0]


def test_every_line_that_is_indented_with_a_tab_is_named() -> None:
    assert [line.split()[0] for line in mistakes("batteries:\n\t- name: a\n\t  driver: plain\n")] == [
        "g.yaml:2:",
        "g.yaml:3:",
    ]


def test_missing_keys_of_a_battery_are_named_one_by_one() -> None:
    found = mistakes("batteries:\n  - address: 3\n")
    assert [line.partition(": missing")[0] for line in found] == [
        "g.yaml:2: batteries[0].driver",
        "g.yaml:2: batteries[0].name",
        "g.yaml:2: batteries[0].port",
    ]


def test_section_with_nothing_in_it_means_its_defaults() -> None:
    """Whoever comments out the last line of a section has not made a mistake."""
    found = read(ONE + "bank:\n#  start_timeout: 3\nlimits:\n  cell_voltage:\noutputs:\n  venus_dbus:\n")
    assert found.bank.start_timeout == 60 and list(found.outputs) == ["venus_dbus"]


def test_null_says_aloud_that_there_is_no_cap() -> None:
    assert read(ONE + "bank: {charge_current_limit: null}\n").bank.charge_current_limit is None


def test_a_single_battery_cannot_differ_in_what_is_of_the_bank() -> None:
    found = battery(
        "limits: {absorption: {time: 60}, cell_voltage: {max: 3.5}, charge_voltage: {hold: 5, controller: off}}"
    )
    assert [line.split(": ", 1)[1] for line in found if "whole bank" in line] == [
        "batteries[0].limits.absorption: is for the whole bank, expected at the top level as limits.absorption",
        "batteries[0].limits.charge_voltage.hold: is for the whole bank, expected at the top level as"
        " limits.charge_voltage.hold",
    ]


EXTERNAL = "bank:\n  external_sensor: "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{service: a.b, current: /Dc/0/Current}", ""),
        ("{service: a.b}", "bank.external_sensor: current or soc (or both) must say where the value is"),
        ("{service: shunt, soc: /Soc}", "bank.external_sensor.service: 'shunt' is no name of a D-Bus service"),
        ("{service: a.b, soc: Soc}", "bank.external_sensor.soc: 'Soc' is no D-Bus path"),
        ("{service: a.ä, soc: /Soc}", "bank.external_sensor.service: 'a.ä' is no name of a D-Bus service"),
        ("{service: a.b, soc: /Söc}", "bank.external_sensor.soc: '/Söc' is no D-Bus path"),
        ("{service: a.b, soc: /Soc, current: /Soc}", "current and soc are both at /Soc, expected a path each"),
        ("{service: a.b, soc: /Soc}\nlimits: {soc: {source: counter}}", "exclude each other; remove one of them"),
        ("{service: a.b, current: /I}\nlimits: {soc: {source: counter}}", ""),
    ],
)
def test_external_sensor(text: str, expected: str) -> None:
    found = section(EXTERNAL + text)
    assert len(found) == bool(expected), found
    assert not expected or expected in found[0]


def test_driver_has_its_own_settings() -> None:
    found = read(ONE.replace("plain", "chain") + "    cell_count: 15\n    invert_current: true\n")
    assert found.batteries[0].setup == {"address": 1, "cell_count": 15, "invert_current": True, "pack_gap": 0.05}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("address: 16", "16 is out of range, expected a whole number 0..15"),
        ("cell_count: 99", "99 is out of range, expected a whole number 1..32"),
        ("invert_current: -1", "-1, expected true or false"),
        ("pack_gap: 0,05", "decimal comma, write 0.05"),
        ("cel_count: 15", "unknown key, did you mean cell_count?"),
    ],
)
def test_driver_settings_are_checked_like_all_others(text: str, expected: str) -> None:
    found = mistakes(ONE.replace("plain", "chain") + f"    {text}\n")
    assert len(found) == 1 and expected in found[0]


def test_driver_may_be_left_to_be_found() -> None:
    assert read(ONE.replace("plain", "auto")).batteries[0].driver == "auto"


def two(first: str, second: str) -> list[str]:
    """Mistakes of two batteries, whose ports are in lines 2 and 3."""
    return mistakes(f"batteries:\n  - {{name: a, {first}}}\n  - {{name: b, {second}}}\n")


def test_two_batteries_on_one_bus_need_two_addresses() -> None:
    port = "driver: chain, port: /dev/ttyUSB0"
    assert two(f"{port}, address: 1", f"{port}, address: 2") == []
    assert two(f"{port}, address: 2", f"{port}, address: 2") == [
        "g.yaml:3: batteries[1].port: a and b are both on /dev/ttyUSB0, with address 2; expected two addresses"
    ]


def test_the_driver_default_address_counts_too() -> None:
    port = "driver: chain, port: /dev/ttyUSB0"
    assert "with address 1" in two(port, f"{port}, address: 1")[0]


def test_bms_without_addresses_has_a_port_to_itself() -> None:
    port = "driver: plain, port: /dev/ttyUSB0"
    assert "two ports" in two(f"{port}, address: 1", f"{port}, address: 2")[0]
    assert two("driver: plain, port: /dev/ttyUSB0", "driver: plain, port: /dev/ttyUSB1") == []


def test_any_number_of_batteries_can_be_simulated() -> None:
    assert two("driver: plain, port: simulated", "driver: plain, port: simulated") == []


def test_no_two_batteries_say_to_be_the_same_one() -> None:
    assert two("driver: plain, port: simulated, identity: A1", "driver: plain, port: simulated, identity: a1") == [
        "g.yaml:3: batteries[1].identity: 'a1' is taken, see line 2"
    ]


def test_names_differ_in_more_than_case() -> None:
    assert mistakes(ONE + ONE.partition("\n")[2].replace("rack", "RACK").replace("USB0", "USB1")) == [
        "g.yaml:5: batteries[1].name: 'RACK-1' is taken, see line 2"
    ]


@pytest.mark.parametrize("name", ["rack 1", "Rack_2", "3", "Küche (links)", "a.b+c#1"])
def test_names_that_people_give(name: str) -> None:
    assert read(ONE.replace("rack-1", f'"{name}"')).batteries[0].name == name


@pytest.mark.parametrize("name", ["", " ", "rack:1", "a/b", "a\\tb", "-x", "x" * 41, "*", "a\\nb"])
def test_names_that_would_break_cell_ids_or_logs_are_refused(name: str) -> None:
    found = mistakes(ONE.replace("rack-1", f'"{name}"'))
    assert len(found) == 1 and found[0].startswith("g.yaml:2: batteries[0].name: ")


PORTS = "/dev/ttyUSB0 /dev/serial/by-id/usb-FTDI-if00 socket://10.0.0.7:8899 rfc2217://gw.local:2217 tcp:10.0.0.7:502"


@pytest.mark.parametrize("port", [*PORTS.split(), "ble:C8:47:8C:00:00:00", "simulated"])
def test_ports(port: str) -> None:
    driver = "modbus" if port.startswith("tcp") else "auto" if port.startswith("ble") else "chain"
    text = ONE.replace("/dev/ttyUSB0", f'"{port}"').replace("plain", driver)
    assert read(text).batteries[0].port == port


@pytest.mark.parametrize(
    "port",
    [
        *("", "USB0", "socket://host", "ble:C8:47", "http://x:1", "COM3", "simulatd", "/dev/a b", "replay:a.json"),
        *("loop://", "socket://host:99999", "tcp:host:0", "rfc2217://host:70000?timeout=3"),
    ],
)
def test_what_is_no_port_is_refused(port: str) -> None:
    found = mistakes(ONE.replace("/dev/ttyUSB0", f'"{port}"'))
    assert len(found) == 1 and "is no port, expected a device such as /dev/ttyUSB0" in found[0]


@pytest.mark.parametrize(
    ("driver", "port", "expected"),
    [
        ("chain", "can0", "4: batteries[0].port: can0: a chain cannot be reached over CAN, expected one for serial"),
        ("chain", "tcp:gw", "a chain cannot be reached over Modbus TCP, expected one for serial (socket://host:port"),
        ("canbms", "/dev/ttyUSB0", "a canbms cannot be reached over a serial port, expected one for can"),
    ],
)
def test_port_of_the_wrong_kind_is_refused(driver: str, port: str, expected: str) -> None:
    found = mistakes(ONE.replace("/dev/ttyUSB0", f'"{port}"').replace("plain", driver))
    assert len(found) == 1 and expected in found[0]


def test_can_interfaces_are_ports() -> None:
    for port in ("can0", "vcan1", "slcan0", "vecan0"):
        assert read(ONE.replace("/dev/ttyUSB0", port).replace("plain", "canbms")).batteries[0].port == port


def test_battery_own_limits_are_laid_over_the_bank_limits() -> None:
    text = "    limits: {cell_voltage: {max: 3.40}}\nlimits:\n  cell_voltage: {max: 3.55, float: 3.31, min: 2.95}\n"
    found = read(ONE + text)
    own = found.limits_of(found.batteries[0]).plain()["cell_voltage"]
    whole = found.limits.plain()["cell_voltage"]
    assert (own["max"], own["float"], own["min"]) == (3.40, 3.31, 2.95)
    assert (whole["max"], whole["float"], whole["min"]) == (3.55, 3.31, 2.95)


def test_anchors_spare_typing() -> None:
    text = "batteries:\n  - &first {name: a, driver: chain, port: /dev/ttyUSB0}\n  - *first\n"
    assert [line.split(": ")[1] for line in mistakes(text)] == ["batteries[1].name", "batteries[1].port"]


def test_small_alias_bomb_is_refused_at_once() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    started = time.monotonic()
    assert any("too large" in line for line in mistakes(bomb))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda path: None, "no such file, expected a gateway.yaml"),
        (lambda path: path.mkdir(), "cannot be read (Is a directory)"),
        (lambda path: path.write_bytes(ONE.encode() + b"# \xfcber\n"), ":5: byte 0xfc is not UTF-8"),
        (lambda path: path.write_bytes(b"#" * 2_000_000), "larger than"),
    ],
)
def test_file_that_cannot_be_read_is_said_in_one_line(tmp_path: Path, prepare, expected: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "gateway.yaml"
    prepare(path)
    with pytest.raises(ConfigError) as refused:
        load(path, CATALOGUE)
    assert len(refused.value.problems) == 1
    assert str(refused.value).startswith(str(path)) and expected in str(refused.value)


def test_byte_order_mark_of_a_windows_editor_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_bytes(b"\xef\xbb\xbf" + ONE.replace("\n", "\r\n").encode())
    assert load(tmp_path / "g.yaml", CATALOGUE).batteries[0].name == "rack-1"


def test_settings_cannot_be_changed_behind_the_gateways_back() -> None:
    with pytest.raises(FrozenInstanceError):
        read(ONE).bank.start_timeout = 1  # type: ignore[misc]


yaml_like = st.lists(
    st.sampled_from(
        [*"{}[]:,-#&*!|>'\"%@`\n\t ?~", "batteries", "limits", "outputs", "bank", "name", "driver", "port", "address",
         "plain", "chain", "can_bms", "venus_dbus", "cell_voltage", "max", "3.45", "3,45", "80A", "yes", "null", ".nan",
         "0x1F", "1e999", "/dev/ttyUSB0", "\n  ", "\n  - ", ": ", "\n", "<<", "&a", "*a", "!!int", "---", "\\U", "é",
         "9" * 5000]
    ),
    max_size=40,
).map("".join)  # fmt: skip


@given(yaml_like | st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_gives_settings_or_mistakes(text: str) -> None:
    for line in mistakes(text):
        assert line.startswith("g.yaml") and "\n" not in line
        assert "pydantic" not in line and "Input should" not in line


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["3,4", "80A", "yes"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "max", "x", "cell_voltage"]), inner)
    ),
    max_leaves=6,
)
KEYS = ["batteries", "bank", "limits", "outputs", "state_dir", "nonsense"]
BATTERY_KEYS = ["name", "driver", "port", "address", "limits", "poll_interval", "cell_count", "nonsense"]
batteries = st.lists(
    st.dictionaries(st.sampled_from(BATTERY_KEYS), values | st.sampled_from(["plain", "chain"])), max_size=3
)


@given(st.dictionaries(st.sampled_from(KEYS), values), batteries | values)
@settings(max_examples=100, deadline=None)
def test_any_shape_gives_settings_or_mistakes(rest: dict[str, object], some: object) -> None:
    import json

    text = json.dumps({**rest, "batteries": some}).replace("NaN", ".nan").replace("Infinity", ".inf")
    for line in mistakes(text):
        assert line.startswith("g.yaml") and "\n" not in line
        assert "pydantic" not in line and "Input should" not in line and "object at" not in line


def test_loading_is_quick(tmp_path: Path) -> None:
    """A small file in well under 150 ms, so that the first value is out within the start-up budget."""
    path = tmp_path / "g.yaml"
    path.write_text(ARCHITECTURE_EXAMPLE)
    took = []
    for _ in range(3):
        started = time.process_time()
        load(path, CATALOGUE)
        took.append(time.process_time() - started)
    assert min(took) < 0.15
