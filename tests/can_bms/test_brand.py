"""Brands of inverters: our files are sound, a user's own file works the same way, and mistakes are named."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.doubts import doubts as all_doubts
from gateway.config.load import parse
from gateway.model import ConfigError
from gateway.model.section import of_the_file
from outputs.can_bms import brand, dbc_file
from outputs.can_bms.brand import Brand
from outputs.can_bms.check import problems
from outputs.can_bms.doubts import doubts
from outputs.can_bms.settings import Settings


@pytest.mark.parametrize("name", brand.names())
def test_what_we_ship_is_sound_and_says_what_it_rests_on(name: str) -> None:
    found = brand.load(name)
    assert found.title and found.facts
    assert not found.mistaken(found.manufacturer or "")
    assert found.keepalive.time_out > 5 or name != "deye"


def own(folder: Path, text: str, name: str = "mine.yaml") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def test_a_file_of_ones_own_says_what_differs(tmp_path: Path) -> None:
    text = "like: deye\ndlc: native\nquirks: {lower_slowly: {every: 60}, least_charge_current: 0.2}\n"
    found, deye = brand.load(own(tmp_path, text)), brand.load("deye")
    assert found.dialect == deye.dialect and found.keepalive == deye.keepalive and found.dlc == "native"
    assert found.quirks.lower_slowly is not None and deye.quirks.lower_slowly is not None
    assert (found.quirks.lower_slowly.step, found.quirks.lower_slowly.every) == (0.1, 60.0)
    assert (found.quirks.least_charge_current, found.quirks.force_charge) == (0.2, (2,))


def test_a_quirk_is_taken_away_by_null_and_files_stand_beside_each_other(tmp_path: Path) -> None:
    own(tmp_path, "like: deye\nquirks: {lower_slowly: null}\n", "first.yaml")
    found = brand.load(own(tmp_path, "like: ./first.yaml\ntitle: the second\n"))
    assert found.quirks.lower_slowly is None and found.quirks.force_charge == (2,)


WRONG = [
    ("dialekt: sma\n", "mine.yaml:1: dialekt: unknown key, did you mean dialect?"),
    (
        "quirks:\n  least_charge_current: 20\n",
        "mine.yaml:2: quirks.least_charge_current: 20 is out of range, expected ",
    ),
    ("quirks: {alarms: never}\n", "mine.yaml:1: quirks.alarms: 'never' is not a choice, expected one of raised, when"),
    ("quirks: {force_charge: [3]}\n", "mine.yaml:1: quirks.force_charge[0]: 3 is not a choice"),
    ("quirks: {soc_until_full: 98,5}\n", "mine.yaml:1: quirks.soc_until_full: decimal comma, write 98.5"),
    ("quirks: {lower_slowly: {every: 3min}}\n", "mine.yaml:1: quirks.lower_slowly.every: '3min' holds another unit, "),
    (
        "keepalive: {sent: yes}\n",
        "mine.yaml:1: keepalive.sent: 'yes' is text to YAML, write true or false (here: true)",
    ),
    ("keepalive: {ids: [0x30500000]}\n", "mine.yaml:1: keepalive.ids[0]: 810549248 is out of range"),
    ("dlc: 6\n", "mine.yaml:1: dlc: 6 is not a choice, expected one of 8, native"),
    ("manufacturer:\n", "mine.yaml:1: manufacturer: no value; remove the line, or write null for none"),
    ("like: deie\n", "mine.yaml:1: like: no inverter is called 'deie', did you mean deye?"),
    ("like: [deye]\n", "mine.yaml:1: like: expected one of deye, "),
    ("like: ./mine.yaml\n", "at most 5 files begin like one another"),
    ("like: ./nowhere.yaml\n", "nowhere.yaml: No such file or directory"),
    ("cable: {socket: RJ45}\n", "mine.yaml:1: cable.pins: missing"),
    ("- deye\n", "mine.yaml:1: expected keys such as like: deye"),
    ("", "mine.yaml:1: expected keys such as like: deye"),
    ("a: b: c\n", "mine.yaml:1: a second ': ' in one line"),
]


@pytest.mark.parametrize(("text", "expected"), WRONG)
def test_a_mistake_is_named_with_file_and_key(text: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        brand.load(own(tmp_path, text))
    assert expected in str(caught.value), caught.value


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"title: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        brand.load(str(tmp_path / "mine.yaml"))


WORDS = [*(field.name for field in of_the_file(Brand)), "like", "deye", "victron", "0x305", "-1", "null", "1e9", "true"]
SIGNS = [": ", "\n", "{", "}", "[", "]", "  ", ", ", "- "]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS + SIGNS), max_size=20).map("".join))


@given(TEXTS)
def test_any_text_is_a_brand_or_a_named_mistake(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mine.yaml"
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            brand.load(str(file))
        except ConfigError as problem:
            assert all(line.startswith(str(file)) for line in problem.problems)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="null"):
        brand.load("./a\0b.yaml")


# ---- chosen in gateway.yaml


def wrong(**settings: Any) -> list[tuple[tuple[str, ...], str]]:
    return list(problems(Settings(interface="virtual", **settings)))


def test_a_brand_chooses_the_dialect_and_gateway_yaml_wins() -> None:
    assert brand.dialect_of(Settings(), brand.of(Settings())) == "pylontech"
    for chosen, expected in ((None, "sma"), ("pylontech_v13", "pylontech_v13")):
        settings = Settings(inverter="sma", dialect=chosen)
        assert brand.dialect_of(settings, brand.of(settings)) == expected


def test_an_inverter_that_there_is_not_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (((key, *_), text),) = wrong(inverter="dey")
    assert key == "inverter" and "did you mean deye?" in text
    (((key, *_), text),) = wrong(inverter=own(tmp_path, "dialect: pylontek\n"))
    assert key == "inverter" and "dialect pylontek: there is none of that name; did you mean pylontech?" in text
    both = wrong(inverter=own(tmp_path, "dlc: 7\nlik: deye\n"))
    assert [(key, text.split(": ")[1]) for (key, *_), text in both] == [("inverter", "dlc"), ("inverter", "lik")]
    assert wrong(inverter="deye") == []


@pytest.mark.parametrize("name", ["PYLON", "pylontech", "BYD", "My BYD box", "LG"])
def test_a_victron_is_never_told_a_name_for_which_it_changes_the_limits(name: str) -> None:
    (((key, *_), text),) = wrong(inverter="victron", dialect="pylontech_v13", manufacturer=name)
    assert key == "manufacturer" and "expected another name" in text


def test_nor_by_the_name_of_another_dialect(tmp_path: Path) -> None:
    own_victron = own(tmp_path, "like: victron\nmanufacturer: null\n")
    (((key, *_), text),) = wrong(inverter=own_victron, dialect="pylontech")
    assert key == "dialect" and "'PYLON'" in text
    assert wrong(inverter="victron", dialect="pylontech") == [], "the brand's own name takes PYLON's place"


@pytest.mark.parametrize("name", brand.names())
def test_every_dialect_that_a_brand_names_is_there(name: str) -> None:
    found = brand.load(name)
    assert {found.dialect, *found.also_reads} <= set(dbc_file.names())
    if found.current is not None:
        signals = [signal.name for message in dbc_file.load(found.dialect).reports for signal in message.signals]
        assert found.current.signal in signals, "the DBC says where the inverter reports its current"


# ---- doubts


def said(**settings: Any) -> str:
    return "; ".join(doubts(Settings(**settings)))


def test_what_contradicts_a_brand_is_doubted() -> None:
    assert said(inverter="deye") == said(inverter="victron") == said(silence_after=100.0) == ""
    assert "dialect: sma, but deye is known to read pylontech" in said(inverter="deye", dialect="sma")
    assert said(inverter="eg4", dialect="pylontech") == "", "it reads both"
    assert "dlc: native, but solark is known with 8" in said(inverter="solark", dlc="native")
    assert "knows names that begin with PYLON" in said(inverter="deye", manufacturer="ACME")
    assert said(inverter="deye", manufacturer="PYLONTECH") == ""


def test_a_sign_of_life_that_may_never_come_is_doubted() -> None:
    assert "ecgsolax is known to send nothing: 0 A for ever" in said(inverter="ecgsolax", keepalive="require")
    assert "not known" in said(inverter="solis", keepalive="require") and "not known" in said(keepalive="require")
    assert said(inverter="deye", keepalive="require") == ""


def test_a_silence_later_than_the_inverters_own_time_out_is_doubted() -> None:
    assert "0 A is sent for 90 s, longer than the 60 s after which sma" in said(inverter="sma", silence_after=90.0)
    assert "0 A is sent for ever" in said(inverter="sma", silence_after=None)
    assert said(inverter="sma", silence_after=30.0) == said(inverter="deye", silence_after=90.0) == ""


def test_check_tells_them() -> None:
    text = "batteries: [{name: a, driver: jbd, port: simulated}]\noutputs: {can_bms: {inverter: deye, dlc: native}}\n"
    assert "outputs.can_bms.dlc: native, but deye is known with 8" in all_doubts(parse(text))
