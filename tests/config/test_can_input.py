"""BMSs on CAN buses in gateway.yaml: what `check` says of their DBC files and of what shares the bus."""

import re
from pathlib import Path

import pytest

from dbc import read
from gateway.config.load import load, parse
from gateway.model import ConfigError

GOOD = (Path(__file__).parent.parent / "vectors" / "dbc" / "acme.dbc").read_text()


def refused(*batteries: str, outputs: str = "{}") -> str:
    """Why these batteries are refused; "" = they are not."""
    listed = "".join(f"  - {{name: b{n}, {battery}}}\n" for n, battery in enumerate(batteries, 1))
    try:
        parse(f"batteries:\n{listed}outputs: {outputs}\n")
    except ConfigError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("SG_ voltage :", "SG_ Voltage_V :", ":10: signal Voltage_V: no value of that name, did you mean voltage?"),
        ("SG_ soc :", "SG_ charge_state :", ":12: signal charge_state: no value of that name"),
        ("alarm_low_cell_voltage", "alarm_low_cel_voltage", ":27: .* did you mean alarm_low_cell_voltage"),
        ('BA_ "GenMsgCycleTime" BO_ 769 500;', "", ":18: message Cells: no cycle time"),
        ("SG_ voltage :", "SG_ _voltage :", "acme.dbc: no signal voltage"),
        ("BO_ 770 Alarms", "BO_ 768 Alarms", ":25: message Alarms: Pack has the same identifier"),
        ("32|8@1+ (1,0) [0|100]", "30|8@1+ (1,0) [0|100]", ":12: signal soc: shares bits with current"),
        ("0|16@1+ (0.01,0)", "0|16@0+ (0.01,0)", ":11: signal current: shares bits with voltage"),
        ("m1 : 24|16", "m1 : 8|16", ":23: signal cell_voltage_4: shares bits with cell_voltage_3"),
        ("m1 : 24|16", "m1 : 55|16", ":23: signal cell_voltage_4: does not fit into the 8 bytes of its message"),
        ("_part M :", "_part :", ":18: message Cells: cell_voltage_1 is multiplexed, but no signal of it selects"),
        ("(0.01,0) [1|100]", "(0,0) [1|100]", ":10: signal voltage: .* every value the same"),
        ("[1|100]", "[100|1]", ":10: signal voltage: its range .* is written backwards"),
        ("_life_counter : 56|8", "model : 64|28", ":16: signal model: expected a text of whole bytes, as 64.64@1"),
        ("alarm_low_cell_voltage", "warning_high_temperature", ":27: signal warning_.*: message Alarms tells it, too"),
        ("cell_voltage_3", "cell_voltage_1", ":20: signal cell_voltage_1: message Cells tells it, too"),
        ("BO_ 770 Alarms", "BO_ 770 Pack", "acme.dbc: message Pack: there are 2 of that name, expected one"),
        (
            "BO_ 768 200;",
            "BO_ 768 200;\nSIG_VALTYPE_ 770 alarm_high_cell_voltage : 1;",
            ":26: .*: 1 bits are no floating",
        ),
        (
            "BO_ 769 Cells: 8",
            "BO_ 769 Cells 8",
            ":18: not a DBC file that can be used: invalid from column 15 on: 8 Ba",
        ),
        (GOOD, "", ":1: not a DBC file that can be used: invalid from column 1 on: its end"),
        (GOOD, "hello", ":1: not a DBC file that can be used: invalid from column 1 on: hello"),
        ('(0.01,0) [1|100] "V"', '(10,0) [1|100] "mV"', ":10: signal voltage: 'mV', but voltage is told in V"),
        ("16|16@1-", "8|16@1-", ":11: signal current: shares bits with voltage"),
        ("m1 : 8|16@1+", "m0 : 8|16@1+", ":22: signal cell_voltage_3: shares bits with cell_voltage_1"),
        ("48|8@1+", "60|8@1+", ":15: signal temperature_1: does not fit into the 8 bytes"),
        (
            "BO_ 768 200;",
            "BO_ 768 60000;",
            ":10: signal voltage: 60 s, but limits rest on voltage: expected 10 s at most",
        ),
    ],
)
def test_what_a_dbc_lacks_is_said_with_its_line(old: str, new: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "acme.dbc"
    file.write_text(GOOD.replace(old, new))
    text = refused(f"driver: dbc, port: can0, dbc: {file}")
    assert re.search(f"^{file.parent}/[^\n]*{said}", text, re.M), text
    file.write_text(GOOD)
    assert refused(f"driver: dbc, port: can0, dbc: {file}") == ""


def test_one_signal_may_have_two_meanings(tmp_path: Path) -> None:
    both = "SG_ max_charge_current : 56|8@1+ (1,0) [0|200]\n SG_ max_discharge_current : 56|8@1+ (1,0) [0|200]"
    file = tmp_path / "acme.dbc"
    file.write_text(
        GOOD.replace("SG_ _life_counter : 56|8@1+ (1,0) [0|255]", both.replace("200]\n", '200] "A" Gateway\n'))
    )
    assert refused(f"driver: dbc, port: can0, dbc: {file}") == ""


@pytest.mark.parametrize("coded", ["utf-8-sig", "utf-8", "cp1252"])
def test_a_dbc_may_be_saved_as_any_editor_does(coded: str, tmp_path: Path) -> None:
    file = tmp_path / "acme.dbc"
    file.write_text(GOOD.replace('"degC"', '"°C"').replace("\n", "\r\n"), encoding=coded, newline="")
    assert '"°C"' in read.text(file)
    assert refused(f"driver: dbc, port: can0, dbc: {file}") == ""


def test_every_mistake_of_a_dbc_has_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "acme.dbc"
    file.write_text(GOOD.replace("SG_ soc :", "SG_ sok :").replace("SG_ voltage :", "SG_ voltag :"))
    house = tmp_path / "gateway.yaml"
    house.write_text("batteries:\n  - {name: a, driver: dbc, dbc: acme.dbc, port: can0}\nbank: {star_timeout: 3}\n")
    with pytest.raises(ConfigError) as refused_:
        load(house)
    said = [problem.split(": ")[0].removeprefix(f"{tmp_path}/") for problem in refused_.value.problems]
    assert said == ["acme.dbc:10", "acme.dbc:12", "acme.dbc", "gateway.yaml:3"], "where the file is named, in its order"


def test_a_dbc_without_soc_needs_current(tmp_path: Path) -> None:
    file = tmp_path / "acme.dbc"
    file.write_text(GOOD.replace("SG_ soc :", "SG_ _soc :"))
    assert refused(f"driver: dbc, port: can0, dbc: {file}") == ""
    file.write_text(GOOD.replace("SG_ soc :", "SG_ _soc :").replace("SG_ current :", "SG_ _current :"))
    assert "no signal soc or current" in refused(f"driver: dbc, port: can0, dbc: {file}")


def test_the_file_must_be_named_and_be_there(tmp_path: Path) -> None:
    assert "needs dbc: with the file" in refused("driver: dbc, port: can0")
    said = refused(f"driver: dbc, port: can0, dbc: {tmp_path}/none.dbc")
    assert said == f"gateway.yaml:2: batteries[0].dbc: {tmp_path}/none.dbc: No such file or directory"


def test_several_kinds_share_a_bus_and_two_of_a_kind_need_addresses() -> None:
    assert refused("driver: jk_can, port: can0", "driver: rvc_can, port: can0") == ""
    assert refused("driver: jk_can, port: can0, address: 1", "driver: jk_can, port: can0, address: 2") == ""
    assert "expected two addresses" in refused("driver: jk_can, port: can0", "driver: jk_can, port: can0")


def test_an_output_must_not_send_what_a_bms_on_its_bus_sends() -> None:
    output = "{can_bms: {interface: socketcan, channel: can0, dialect: pylontech}}"
    said = refused("driver: jbd_can, port: can0", outputs=output)
    assert "outputs.can_bms.channel: can0 is where b1 is read, and both use the identifiers 351 355 356 35E" in said
    assert refused("driver: jbd_can, port: can1", outputs=output) == ""
    assert refused("driver: jk_can, port: can0", outputs=output) == "", "other identifiers may share the bus"


def test_more_modules_than_have_identifiers_are_refused() -> None:
    assert "modules_parallel is 12, expected 11" in refused(
        "driver: ubms_can, port: can0, modules_series: 4, modules_parallel: 3"
    )
