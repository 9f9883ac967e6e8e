"""The simulated Daren and KS48100 boards: lengths as captured, and services that our drivers do not use."""

import pytest

from bms_drivers.sims.daren_485 import build as daren
from bms_drivers.sims.ks48100 import build as ks48100
from bms_drivers.sims.pack import Pack
from bms_drivers.sims.sim import Simulator


def said(device: Simulator, request: str) -> str:
    (reply,) = device.answer(bytearray(request.encode() + b"\r"))
    return reply.decode().removesuffix("\r")


@pytest.mark.parametrize(
    ("request_", "characters"),
    [
        ("~22014A42E00201FD28", 216), ("~22014A47E00201FD23", 148), ("~22014A510000FDA0", 88),
        ("~22014AB0600A010104FF00FB6B", 66), ("~22014AB0600A010103FF00FB6C", 256), ("~22014A83C0040101FCC2", 78),
        ("~22014A4F0000FD8C", 18),
    ],
)  # fmt: skip
def test_answers_are_as_long_as_captured(request_: str, characters: int) -> None:
    reply = said(daren(Pack.of(1), {}), request_)
    assert (reply[:9], len(reply) + 1) == ("~22014A00", characters)


@pytest.mark.parametrize(
    ("request_", "head", "characters"),
    [
        (">220142420000FDAF", ">22014200", 216), (">22014247E00201FD32", ">22014200", 148),
        (">220142510000FDAF", ">22014200", 88), (">22014AB0600A010103FF56FB61", ">22014A00", 120),
        (">22014AB0600A010104FF00FB6B", ">22014A00", 66),
    ],
)  # fmt: skip
def test_a_ks48100_begins_otherwise(request_: str, head: str, characters: int) -> None:
    reply = said(ks48100(Pack.of(1), {}), request_)
    assert (reply[:9], len(reply) + 1) == (head, characters)
    assert ks48100(Pack.of(1), {}).answer(bytearray(b"~220142420000FDAF\r")) == []


def test_a_write_is_refused() -> None:
    assert said(daren(Pack.of(1), {}), "~22014AB0600A010203FF00FB6B")[7:9] == "06"
