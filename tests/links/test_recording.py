"""A recording is found sound before it is played; what came of an answer that is not whole is told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bms_drivers.kit.declare import Registers
from bms_drivers.links import rtu
from bms_drivers.links.recording import load, wrong
from bms_drivers.links.replay import ReplayLink
from gateway.model import ConfigError, LinkTimeout
from tests.links.device import BASIC, BASIC_REPLY, VECTORS


@pytest.mark.parametrize("file", sorted(VECTORS.glob("j*/*.json")), ids=lambda file: file.stem)
def test_every_recorded_exchange_is_sound(file: Path) -> None:
    assert load(file)["driver"] == file.parent.name


HEX = st.sampled_from(["", "dd", "dda5", "zz", "d", "00 11", 5, None, ["dd"]])
JUNK = st.none() | st.booleans() | st.integers(-1, 70000) | st.text(max_size=4) | st.lists(HEX, max_size=2)
EXCHANGE = st.fixed_dictionaries({}, optional={"tx": HEX, "rx": st.lists(HEX, max_size=2) | JUNK}) | JUNK
REGISTERS = st.dictionaries(
    st.sampled_from(["1", "x", "-1", ""]),
    st.dictionaries(st.sampled_from(["0", "4096", "a", ""]), st.integers(-1, 70000) | JUNK, max_size=2) | JUNK,
    max_size=2,
)
RECORDING = st.fixed_dictionaries(
    {},
    optional={
        "driver": st.just("jbd") | JUNK,
        "exchanges": st.lists(EXCHANGE, max_size=3) | JUNK,
        "registers": REGISTERS | JUNK,
        "config": st.dictionaries(st.text(max_size=3), JUNK, max_size=1) | JUNK,
        "expected": JUNK,
        "frames": JUNK,
        "rows": JUNK,
    },
)


@given(RECORDING | JUNK)
@examples(max_examples=400, deadline=None)
def test_what_is_found_sound_can_be_played_and_the_rest_is_one_line(data: Any) -> None:
    said = wrong(json.loads(json.dumps(data)))
    assert "\n" not in said
    if not said:
        ReplayLink(data)


def test_a_file_that_is_none_is_one_line(tmp_path: Path) -> None:
    for text in ("", "[1", "null", "[" * 100_000, "5"):
        (tmp_path / "r.json").write_text(text)
        with pytest.raises(ConfigError, match=r"r\.json: not a recording in the vector format"):
            load(tmp_path / "r.json")


def asked(link: ReplayLink, question: Any) -> str:
    """What the link says against the question; "" = it was answered."""
    try:
        asyncio.run(link.exchange(question))
    except LinkTimeout as problem:
        return str(problem)
    return ""


def case(*answers: bytes) -> ReplayLink:
    return ReplayLink({"exchanges": [{"tx": BASIC.request.hex(), "rx": [part.hex() for part in answers]}]})


def test_no_answer_and_half_an_answer_are_two_things() -> None:
    silent, half = case(), case(BASIC_REPLY[:20])
    assert "has no answer to" in asked(silent, BASIC)
    assert "the recorded answer is torn" in asked(half, BASIC)
    assert (silent.unanswered, list(silent.torn)) == ([BASIC.request.hex()], [])
    assert (half.unanswered, list(half.torn)) == ([], [BASIC.request.hex()])
    torn = half.torn[BASIC.request.hex()]
    assert (torn.bytes, torn.frames, torn.begun) == (20, 0, 20)


def test_an_answer_that_was_torn_once_and_whole_when_asked_again_is_answered() -> None:
    exchange = {"tx": BASIC.request.hex()}
    link = ReplayLink(
        {"exchanges": [{**exchange, "rx": [BASIC_REPLY[:9].hex()]}, {**exchange, "rx": [BASIC_REPLY.hex()]}]}
    )
    asked(link, BASIC)
    assert asked(link, BASIC) == ""
    assert (link.torn, link.unanswered) == ({}, [])


def test_a_torn_modbus_answer_is_told_by_its_registers() -> None:
    read = Registers(unit=1, address=0x1000, count=2)
    request = rtu.question(read).request
    whole = rtu.sealed(bytes((1, 3, 4, 0, 1, 0, 2)))
    link = ReplayLink({"exchanges": [{"tx": request.hex(), "rx": [whole[:-1].hex()]}]})
    assert "the recorded answer is torn" in asked(link, read)
    assert list(link.torn) == [rtu.described(read)] and link.unanswered == []
    image = {"exchanges": [{"tx": request.hex(), "rx": [whole[:-1].hex()]}], "registers": {"1": {"4096": 1, "4097": 2}}}
    link = ReplayLink(image)
    assert asked(link, read) == "" and link.torn == {}
