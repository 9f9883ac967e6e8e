"""The inverter's side: whether it is heard, what it reports, what it asks, and that its silence stops nothing."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from tests import make
from tests.can_bms.inverter import feeding, until

SMA = """ SG_ inverter_voltage : 0|16@1+ (0.1,0) [0|0] "V" Battery
 SG_ inverter_current : 16|16@1- (0.1,0) [0|0] "A" Battery
 SG_ inverter_temperature : 32|16@1- (0.1,0) [0|0] "degC" Battery
 SG_ inverter_soc : 48|16@1+ (0.1,0) [0|0] "%" Battery
"""
CHARGING = bytes.fromhex("1402 9CFF FA00 5802")  # 53.2 V, -10.0 A, 25.0 degC, 60.0 %


def mine(folder: Path, text: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("extended", [False, True])
@pytest.mark.parametrize("can_id", [0x305, 0x306, 0x307])
def test_it_is_never_heard_then_answers_then_falls_silent_and_nothing_stops(
    can_id: int, extended: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "dialect: pylontech\nkeepalive: {ids: [0x305, 0x306, 0x307], sent: true, time_out: 30}\n"

    async def scenario() -> None:
        async with feeding(tmp_path, inverter=mine(tmp_path, text)) as inverter:
            inverter.publish()
            assert await inverter.hears()
            assert (inverter.status["inverter"], inverter.status["problem"]) == ("never heard", "")
            inverter.now += 30.0
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0
            assert inverter.status["problem"] == "the inverter is not heard (expected within 30 s)"
            inverter.say(can_id, is_extended_id=extended)
            await until(lambda: inverter.status["inverter"] == "answering")
            assert inverter.status["problem"] == ""
            inverter.now += 33.0
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0
            assert inverter.status["inverter"] == "silent for 33 s"

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    said = [line.split(": ", 1)[1] for line in caplog.messages if "the inverter" in line]
    assert said == [
        "the inverter is not heard: cable, bit rate, or its battery setting", "the inverter answers",
        "the inverter has fallen silent; sending on",
    ]  # fmt: skip


def test_a_deye_that_answers_late_is_not_said_to_be_silent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, inverter="deye") as inverter:
            inverter.publish()
            inverter.say(0x305)
            await until(lambda: inverter.status["inverter"] == "answering")
            inverter.now += 12.0
            assert inverter.status["inverter"] == "answering"

    asyncio.run(scenario())


def test_one_that_sends_nothing_is_no_problem(tmp_path: Path) -> None:
    async def scenario(**settings: Any) -> None:
        async with feeding(tmp_path, **settings) as inverter:
            inverter.publish()
            assert await inverter.hears()
            inverter.now += 600.0
            inverter.publish()
            assert await inverter.hears()
            assert (inverter.status["inverter"], inverter.status["problem"]) == ("never heard", "")

    asyncio.run(scenario())
    asyncio.run(scenario(inverter="ecgsolax"))


def test_where_it_is_required_its_silence_closes_both_ways_and_the_frames_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, inverter="deye", keepalive="require", silence_after=5.0) as inverter:
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0, "it may not have had time to answer"
            for waited in (30.0, 100.0, 1000.0):
                inverter.now += waited
                inverter.publish()
                heard = await inverter.hears()
                assert (heard["charge_current_limit"], heard["discharge_enable"]) == (0.0, 0), (
                    "it answers what it hears"
                )
            inverter.say(0x305)
            await until(lambda: inverter.status["safe_state"] == "")
            assert (await inverter.hears())["charge_current_limit"] == 50.0

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "sending 0 A both ways" in line]) == 1


def test_an_sma_reports_which_current_flows_with_its_own_sign(tmp_path: Path) -> None:
    text = "like: sma\ndialect: pylontech\n"

    async def scenario() -> None:
        async with feeding(tmp_path, says=SMA, inverter=mine(tmp_path, text)) as inverter:
            inverter.publish()
            assert inverter.output.reported_current() is None  # type: ignore[attr-defined]
            inverter.say(0x305, CHARGING)
            await until(lambda: inverter.status["inverter_reports"])
            assert inverter.status["inverter_reports"] == pytest.approx({
                "inverter_voltage": 53.2, "inverter_current": -10.0, "inverter_temperature": 25.0, "inverter_soc": 60.0
            })  # fmt: skip
            assert inverter.output.reported_current() == pytest.approx(10.0)  # type: ignore[attr-defined]
            inverter.say(0x305, bytes.fromhex("1402 6400"))
            await until(lambda: inverter.output.reported_current() == pytest.approx(-10.0))  # type: ignore[attr-defined]
            inverter.say(0x305, b"")
            inverter.say(0x305, b"", is_remote_frame=True)
            await inverter.hears()
            inverter.now += 10.0
            assert inverter.output.reported_current() is None, "what is old is not known"  # type: ignore[attr-defined]
            assert inverter.status["inverter_reports"] == {}

    asyncio.run(scenario())


def test_a_luxpower_that_asks_for_a_shut_down_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = "like: luxpower\ndialect: pylontech\n"

    async def scenario() -> None:
        async with feeding(tmp_path, inverter=mine(tmp_path, text)) as inverter:
            inverter.publish()
            inverter.say(0x300, bytes(8))
            await until(lambda: inverter.status["inverter"] == "answering")
            assert inverter.status["inverter_asks"] == ""
            for _ in range(3):
                inverter.say(0x300, b"\x01")
                await inverter.hears()
            assert inverter.status["problem"] == "the inverter asks: shut the battery down"
            assert (await inverter.hears())["discharge_current_limit"] == 60.0, "reported, and nothing else"
            inverter.say(0x300, bytes(8))
            await until(lambda: not inverter.status["inverter_asks"])

    asyncio.run(scenario())
    assert len([line for line in caplog.messages if "shut the battery down" in line]) == 1


@pytest.mark.parametrize(
    ("settings", "name", "length"),
    [({}, "ACME", 4), ({"manufacturer": "MINE"}, "MINE", 4), ({"dlc": "8", "manufacturer": "MINE"}, "MINE", 8)],
)
def test_gateway_yaml_wins_over_the_brand(settings: dict[str, Any], name: str, length: int, tmp_path: Path) -> None:
    brand = mine(tmp_path, "dialect: sma\nmanufacturer: ACME\ndlc: native\n")

    async def scenario() -> None:
        async with feeding(tmp_path, inverter=brand, **settings) as inverter:
            inverter.publish()
            assert (await inverter.hears())["manufacturer"] == name
            await inverter.hears()
            inverter.drain()
            await asyncio.sleep(0.1)
            assert {len(frame.data) for frame in inverter.drain() if frame.arbitration_id == 0x355} == {length}

    asyncio.run(scenario())


def test_what_is_sent_otherwise_than_decided_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, inverter="sofar", silence_after=None) as inverter:
            inverter.publish()
            assert await inverter.hears() and inverter.status["otherwise"] == []
            inverter.now += 600.0  # nobody vouches for the battery any more
            heard = await inverter.hears()
            assert (heard["charge_current_limit"], heard["charge_enable"]) == (0.1, 0)
            assert inverter.status["otherwise"][0] == {
                "key": "charge_current_limit", "decided": 0.0, "sent": 0.1, "why": "this inverter ignores less"
            }  # fmt: skip
            assert inverter.status["towards"] == "sofar"
        async with feeding(tmp_path, inverter="sofar", silence_after=0.0) as inverter:
            inverter.publish(decision=make.decision(ccl=0.0))
            assert await inverter.hears() and inverter.status["otherwise"]
            inverter.now += 600.0
            assert await inverter.hears() == {} and inverter.status["otherwise"] == []

    asyncio.run(scenario())
