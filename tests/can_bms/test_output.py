"""What an inverter hears of a life of Snapshots: what must be told grows old, another BMS speaks on the same bus."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from gateway.model import Health
from tests import make
from tests.can_bms.inverter import feeding, until

LIMITS = ("charge_current_limit", "discharge_current_limit")
UNKNOWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "soc": ({"soc": None}, {"soc": None}),
    "voltage": ({"voltage": None}, {}),
    "current": ({"current": None}, {}),
    "charge_voltage_limit": ({}, {"cvl": None}),
}


def without(key: str) -> dict[str, Any]:
    """A Snapshot's bank and decision in which the value is not known."""
    bank, decision = UNKNOWN[key]
    return {"bank": make.bank(**bank), "decision": make.decision(**decision)}


@pytest.mark.parametrize("key", UNKNOWN)
def test_what_must_be_told_is_repeated_for_a_minute_and_then_nothing_may_flow(
    key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            before = await inverter.hears()
            inverter.now += 60.0
            inverter.publish(**without(key))
            assert await inverter.hears() == before
            inverter.now += 0.1
            inverter.publish(**without(key))
            after = await inverter.hears()
            assert [after[limit] for limit in LIMITS] == [0.0, 0.0]
            assert (after["charge_enable"], after["discharge_enable"]) == (0, 0)
            assert (after["p_system_error"], after["a_internal_comm_fail"]) == (1, 1)
            assert after[key] == before[key]
            assert inverter.status["safe_state"] == f"not known for more than 60 s: {key}"
            assert inverter.status["problem"] == inverter.status["safe_state"]
            inverter.publish()
            assert await inverter.hears() == before
            assert inverter.status["safe_state"] == ""

    asyncio.run(scenario())
    said = [line for line in caplog.messages if "sending" in line]
    assert len(said) == 2
    assert said[0].endswith(f"not known for more than 60 s: {key}: sending 0 A both ways")


def test_after_a_minute_of_0_a_the_inverter_is_left_to_its_own_alarm(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, silence_after=30.0) as inverter:
            inverter.publish()
            await inverter.hears()
            for waited, heard in ((61.0, True), (90.0, True), (91.0, False)):
                inverter.now = 1000.0 + waited
                inverter.publish(**without("soc"))
                assert bool(await inverter.hears()) is heard
            assert inverter.status["silent"]
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0

    asyncio.run(scenario())


def test_while_no_bms_answers_the_last_flow_stands_as_long_as_the_limits_do(tmp_path: Path) -> None:
    async def scenario() -> None:
        silent = make.bank(health=Health.LOST, voltage=None, current=None, power=None)
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            await inverter.hears()
            inverter.now += 600.0
            inverter.publish(bank=silent)
            heard = await inverter.hears()
            assert (heard["charge_current_limit"], heard["voltage"]) == (50.0, 53.2)
            inverter.publish(bank=make.bank(voltage=None))  # it answers again, and does not tell
            assert (await inverter.hears())["charge_current_limit"] == 0.0

    asyncio.run(scenario())


@pytest.mark.parametrize("health", [Health.STALE, Health.LOST, Health.STARTING])
def test_limits_that_were_stopped_for_old_values_do_not_come_back_because_the_bms_falls_silent(
    health: Health, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path, silence_after=30.0) as inverter:
            inverter.publish()
            await inverter.hears()
            inverter.now += 61.0
            inverter.publish(**without("soc"))
            assert (await inverter.hears())["charge_current_limit"] == 0.0
            inverter.now += 20.0
            inverter.publish(bank=make.bank(soc=None, health=health), decision=make.decision(soc=None))
            assert [(await inverter.hears())[limit] for limit in LIMITS] == [0.0, 0.0]
            inverter.now += 10.0
            inverter.publish(bank=make.bank(soc=None, health=health), decision=make.decision(soc=None))
            assert await inverter.hears() == {}, "the silence does not begin anew"
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0

    asyncio.run(scenario())


@pytest.mark.parametrize("key", UNKNOWN)
def test_what_was_known_of_batteries_that_are_no_more_is_not_told_of_those_that_come(key: str, tmp_path: Path) -> None:
    """After the configuration was read again every battery may be another one, and this output runs on."""

    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0
            inverter.publish(bank=make.bank(complete=False))
            inverter.publish(**without(key))  # before the next beat
            assert await inverter.hears() == {}
            assert inverter.status["silent_reason"] == f"nothing is sent while not known: {key}"
            inverter.publish()
            assert (await inverter.hears())["charge_current_limit"] == 50.0

    asyncio.run(scenario())


def test_nothing_is_sent_before_all_that_must_be_told_was_known(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish(**without("soc"))
            assert await inverter.hears() == {}
            assert inverter.status["silent_reason"] == "nothing is sent while not known: soc"
            inverter.publish()
            assert (await inverter.hears())["soc"] == 60

    asyncio.run(scenario())


def test_what_stands_in_for_what_is_not_known_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            for _ in range(3):
                inverter.publish(bank=make.bank(temperature=None, soh=None))
                assert (await inverter.hears())["temperature"] == 25.0
            assert inverter.status["not_known"] == [
                "soh is not known: 100 is sent",
                "temperature is not known: 25 is sent",
            ]
            inverter.publish()
            await inverter.hears()
            assert inverter.status["not_known"] == []

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert len([line for line in caplog.messages if "temperature is not known" in line]) == 1


# ---- another BMS on the same bus


def test_our_own_frames_are_nobody_elses(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            for _ in range(5):
                inverter.say(0x305)
                assert await inverter.hears()
            assert (inverter.status["other_bms"], inverter.status["other_bms_frames"]) == ([], 0)
            assert inverter.status["keepalive_age"] == 0.0

    asyncio.run(scenario())


@pytest.mark.parametrize("can_id", [0x351, 0x355, 0x35C])
def test_another_bms_is_counted_and_said_when_it_comes_and_when_it_goes(
    can_id: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            for number in range(3):
                inverter.say(can_id)
                await until(lambda wanted=number + 1: inverter.status["other_bms_frames"] == wanted)
            assert inverter.status["other_bms"] == [f"0x{can_id:X}"]
            assert f"another BMS sends 0x{can_id:X} here" in inverter.status["problem"]
            assert (await inverter.hears())["charge_current_limit"] == 50.0, "said, and nothing else"
            inverter.now += 5.1
            inverter.publish()
            await until(lambda: not inverter.status["other_bms"])
            assert inverter.status["problem"] == ""

    asyncio.run(scenario())
    assert [line.split(": ", 1)[1].split(" here")[0] for line in caplog.messages if "BMS" in line] == [
        f"another BMS sends 0x{can_id:X}", "the other BMS has been silent for 5 s",
    ]  # fmt: skip


def test_other_frames_are_no_other_bms(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish()
            inverter.say(0x305)
            inverter.say(0x7FF)
            inverter.say(0x351, is_extended_id=True)
            inverter.say(0x351, data=b"", is_remote_frame=True)
            inverter.say(0x355)
            await until(lambda: inverter.status["other_bms"])
            assert inverter.status["other_bms"] == ["0x355"]
            assert inverter.status["other_bms_frames"] == 1

    asyncio.run(scenario())


def test_values_that_are_held_to_their_range_are_named_and_counted(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with feeding(tmp_path) as inverter:
            inverter.publish(decision=make.decision(cvl=70.0))
            assert (await inverter.hears())["charge_voltage_limit"] == 63.0
            assert inverter.status["clamped"] == ["charge_voltage_limit"]
            counted = inverter.status["clamps"]
            inverter.publish()
            assert (await inverter.hears())["charge_voltage_limit"] == 55.2
            assert inverter.status["clamped"] == [] and inverter.status["clamps"] >= counted > 0

    asyncio.run(scenario())
