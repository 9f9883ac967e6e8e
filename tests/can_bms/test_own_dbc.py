"""A user's own DBC file: what is wrong with it is said with message and signal, and the worked example is true."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dbc
from gateway.model import GatewayError
from outputs.can_bms.check import problems
from outputs.can_bms.dbc_check import Unusable
from outputs.can_bms.dbc_file import load
from outputs.can_bms.dialect import Dialect
from outputs.can_bms.doubts import doubts
from outputs.can_bms.settings import Settings
from outputs.inverter.keys import BOUNDS
from outputs.inverter.values import safe, values_of
from tests import make

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "add-an-inverter.md").read_text()
GOOD = re.findall(r"```dbc\n(.*?)```", GUIDE, re.S)[-1]  # the file as it ends up


def written(folder: Path, text: str) -> Path:
    file = folder / "my_inverter.dbc"
    file.write_text(text)
    return file


def faults(folder: Path, text: str) -> list[str]:
    """Each reason not to use a file of this text, without its path."""
    with pytest.raises(Unusable) as refused:
        load("", written(folder, text))
    return [problem.removeprefix(f"{folder}/my_inverter.dbc") for problem in refused.value.problems]


def remarks(folder: Path, text: str) -> list[str]:
    """What `check` doubts about a file of this text, without its path."""
    chosen = Settings(dbc=written(folder, text))
    assert list(problems(chosen)) == []
    return [doubt.removeprefix(f"dbc: {folder}/my_inverter.dbc") for doubt in doubts(chosen)]


def test_the_guides_example_is_without_fault_or_doubt(tmp_path: Path) -> None:
    assert remarks(tmp_path, GOOD) == []


def test_the_guides_example_sends_the_bytes_that_the_guide_shows(tmp_path: Path) -> None:
    dialect = load("", written(tmp_path, GOOD))
    snapshot = make.snapshot(decision=make.decision(cvl=56.0, ccl=100.0, dcl=120.0))
    sent = [str(frame) for frame in dialect.encode(values_of(snapshot, dialect.keys), "native")]
    shown = re.findall(r"^\(0\.000000\) can0 (.*)$", GUIDE, re.M)
    assert sent == shown
    assert {frame.id for frame in dialect.encode({})} == {0x100, 0x101}, "cells are not known"


def test_the_guides_first_try_is_refused_as_the_guide_says(tmp_path: Path) -> None:
    first = re.findall(r"```dbc\n(.*?)```", GUIDE, re.S)[0]
    said = re.findall(r"^my_inverter\.dbc(.*)$", GUIDE, re.M)
    assert faults(tmp_path, first) == said


def test_every_attribute_of_the_guide_is_one_and_every_one_is_in_the_guide() -> None:
    from outputs.can_bms.dbc_attributes import ATTRIBUTES

    assert set(re.findall(r"^\| `(\w+)`", GUIDE, re.M)) == set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("charge_voltage_limit :", "charge_voltag_limit :",
         ":4: message Limits (0x100): signal charge_voltag_limit: no value of that name; did you mean charge_vol"),
        ("charge_current_limit : 23|16", "charge_current_limit : 15|16",
         ":5: message Limits (0x100): signal charge_current_limit: shares bits with charge_voltage_limit"),
        ("discharge_enable : 55|1", "discharge_enable : 63|9",
         ":8: message Limits (0x100): signal discharge_enable: does not fit into the 7 bytes of its message"),
        ("BO_ 257 State", "BO_ 256 State", ":3: message Limits (0x100): another message has the same id"),
        ('"nearest","down","up"', '"nearest","dwn","up"',
         ":4: message Limits (0x100): signal charge_voltage_limit: Rounding is 'dwn', expected one of nearest"),
        ("temperature -128", "temperature -129",
         ":14: message State (0x101): signal temperature: GenSigStartValue is -129, its bits hold -128 to 127"),
        ("(0.1,0) [0|60]", "(0,0) [0|60]",
         ":4: message Limits (0x100): signal charge_voltage_limit: expected whole numbers, each worth more than 0"),
        ("[0|60]", "[7000|8000]",
         ":4: message Limits (0x100): signal charge_voltage_limit: of its range 7000 to 8000 its bits hold nothing"),
        ("23|16@0+ (0.1,0)", "23|16@0+ (1e999,0)",
         ":5: message Limits (0x100): signal charge_current_limit: expected whole numbers, each worth more than 0"),
        ("23|16@0+ (0.1,0) [0|300]", "23|16@0+ (0.1,0) [0.1|300]",
         ":5: message Limits (0x100): signal charge_current_limit: it says 0.1 A at least, expected 0: a stop could"),
        (" SG_ soc :", " SG_ voltage :", ":10: message State (0x101): there are 2 signals voltage, expected one"),
        ('BO_ 256 500', 'BO_ 256 -5', ":3: message Limits (0x100): GenMsgCycleTime is -5, expected ms between two"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_line_message_and_signal(tmp_path: Path, old: str, new: str, fault: str) -> None:
    assert old in GOOD
    assert faults(tmp_path, GOOD.replace(old, new))[0].startswith(fault)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("charge_current_limit : 23|16", "charge_curent_limit : 15|16").replace(" soc :", " sok :")
    found = faults(tmp_path, text)
    assert len(found) == 4 and found[-1] == ": lacks charge_current_limit: an inverter must be told its limits"
    assert re.search("shares bits.*no value of that name.*signal sok", "; ".join(found))


@pytest.mark.parametrize(
    ("old", "new", "doubt"),
    [
        (" SG_ soc :", " SG_ soh :", ": no signal soc: most inverters want to be told it"),
        (" SG_ voltage :", " SG_ soh :", ": no signal voltage: most inverters want to be told it"),
        ("BO_ 256 500", "BO_ 256 5000",
         ":3: message Limits (0x100): the limits are sent every 5000 ms only, expected 1000 or less"),
        ('BA_DEF_ SG_ "Rounding"', 'BA_DEF_ SG_ "WhenUnknwon" INT 0 1;\nBA_DEF_ SG_ "Rounding"',
         ": attribute WhenUnknwon: there is none of that name, it is not used; did you mean WhenUnknown?"),
        ('BA_DEF_ SG_ "Rounding"', 'BA_DEF_ SG_ "Shoe" INT 0 1;\nBA_DEF_ SG_ "Rounding"',
         ": attribute Shoe: there is none of that name, it is not used"),
    ],
)  # fmt: skip
def test_what_was_perhaps_not_meant_is_doubted(tmp_path: Path, old: str, new: str, doubt: str) -> None:
    assert old in GOOD
    assert remarks(tmp_path, GOOD.replace(old, new)) == [doubt]


def test_what_an_editor_of_dbc_files_adds_is_not_doubted(tmp_path: Path) -> None:
    added = 'BA_DEF_ "BusType" STRING ;\nBA_DEF_ BO_ "GenMsgSendType" ENUM "Cyclic","Event";\n'
    assert remarks(tmp_path, GOOD.replace('BA_DEF_ SG_ "Rounding"', f'{added}BA_DEF_ SG_ "Rounding"')) == []


BA_DEFS = 'BA_DEF_ SG_ "Default" STRING ;\nBA_DEF_ SG_ "Fallback" STRING ;\nBA_DEF_ SG_ "Raised" INT 0 1;\n' + (
    'BA_DEF_ SG_ "Coding" ENUM "by_name","number","flag","text","hex_version","constant";\n'
)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('BA_ "Rounding" SG_ 256 charge_voltage_limit 0;', "Rounding is 'nearest', expected down"),
        ('BA_ "Rounding" SG_ 256 charge_current_limit 2;', "Rounding is 'up', expected down"),
        ('BA_ "Default" SG_ 256 charge_voltage_limit "56.0";', "Default is '56.0', expected none"),
        ('BA_ "Default" SG_ 256 charge_current_limit "300";', "Default is '300', expected none"),
        ('BA_ "Default" SG_ 257 soc "50";', "Default is '50', expected none"),
        ('BA_ "Fallback" SG_ 256 charge_current_limit "charge_voltage_limit";', "Fallback is 'charge_voltage_limit'"),
        ('BA_ "Fallback" SG_ 256 discharge_enable "charge_enable";', "Fallback is 'charge_enable'"),
        ('BA_ "Coding" SG_ 256 discharge_current_limit 5;', "Coding is 'constant', expected by_name"),
        ('BA_ "Coding" SG_ 256 charge_enable 5;', "Coding is 'constant', expected by_name"),
        ('BA_ "GenSigStartValue" SG_ 256 charge_current_limit 3000;', "GenSigStartValue is 300 A"),
        ('BA_ "Raised" SG_ 256 charge_enable 0;', "0 says both that it is raised and that it is not"),
        ('BA_ "GenSigStartValue" SG_ 256 charge_enable 1;', "1 says both that it is raised and that it is not"),
    ],
)
def test_a_file_that_would_tell_an_inverter_more_than_was_decided_is_refused(
    tmp_path: Path, line: str, says: str
) -> None:
    key = line.split()[4]
    kept = [own for own in GOOD.splitlines() if not own.startswith(" ".join(line.split()[:5]))]
    assert key in GOOD
    text = "\n".join(kept).replace("BA_DEF_ BO_", BA_DEFS + "BA_DEF_ BO_", 1) + f"\n{line}\n"
    (fault,) = faults(tmp_path, text)
    assert f"signal {key}: {says}" in fault


def test_a_limit_whose_file_says_nothing_of_rounding_is_rounded_down(tmp_path: Path) -> None:
    silent = "\n".join(line for line in GOOD.splitlines() if not line.startswith('BA_ "Rounding"'))
    dialect = load("", written(tmp_path, silent))
    values = values_of(make.snapshot(decision=make.decision(cvl=55.29, ccl=49.99, dcl=59.99)), dialect.keys)
    told = dialect.decode(dialect.encode(values))
    assert [told[key] for key in BOUNDS] == [55.2, 49.9, 59.9]


def test_a_scale_that_turns_a_limit_round_is_refused(tmp_path: Path) -> None:
    turned = GOOD.replace("(0.1,0) [0|60]", "(-0.1,0) [0|60]").replace("7|16@0+", "7|16@0-", 1)
    assert "each worth more than 0" in faults(tmp_path, turned)[0]


def test_a_name_that_the_dialect_refuses_is_a_mistake_of_the_manufacturer() -> None:
    ((key, why),) = problems(Settings(dialect="victron", manufacturer="BYD Box"))
    assert key == ("manufacturer",) and "BYD" in why
    assert list(problems(Settings(dialect="victron", manufacturer="Own Make"))) == []
    assert list(problems(Settings(dialect="pylontech", manufacturer="PYLON"))) == []


def usable(file: Path) -> Dialect | None:
    try:
        return load("", file)
    except GatewayError as problem:
        assert "\n" not in str(problem)
        return None


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_torn_file_is_refused_or_can_be_sent(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([GOOD, *(dbc.path(name).read_text() for name in ("sma", "luxpower"))]))
    tokens = re.findall(r"\s+|\w+|.", text)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(tokens) - 1))
        tokens[place] = data.draw(
            st.sampled_from(["", "0", "99", "-1", "65", "x", '"', ";", "soc", "\n", "BA_", "3.5"])
        )
    dialect = usable(written(tmp_path_factory.mktemp("torn"), "".join(tokens)))
    if dialect is not None:
        values = values_of(make.snapshot(), dialect.keys)
        dialect.decode(dialect.encode(safe(values, dialect.keys)))
        dialect.encode({})
