"""The output on a real pty: what an inverter hears of a life of Snapshots, when, and what never."""

import asyncio
import logging
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import pytest
from pymodbus.client import ModbusSerialClient

from outputs.rs485_bms.build import build
from outputs.rs485_bms.prepare import prepare
from outputs.rs485_bms.settings import Settings
from tests import make
from tests.rs485_bms.inverter import Inverter, asking, bridged, pylon, read, refused, until

QUESTION = {"pylontech": pylon(0x63), "growatt": read(0x10, 0x1B), "voltronic": read(0x70, 8)}
LIMITS = ("charge_current_limit", "discharge_current_limit")
STOPPED = {"charge_enable": 0, "discharge_enable": 0, **dict.fromkeys(LIMITS, 0.0)}


def held(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in STOPPED if key in values}


@pytest.mark.parametrize("dialect", QUESTION)
def test_the_life_of_a_gateway(dialect: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with asking(dialect) as inverter:
            question = QUESTION[dialect]
            assert await inverter.ask(question) == b"", "nothing before the first Snapshot"
            inverter.publish(bank=make.bank(complete=False))
            assert await inverter.ask(question) == b"", "nor before all batteries answered"
            inverter.publish()
            values = await inverter.values(question)
            assert held(values) == {"charge_enable": 1, "discharge_enable": 1, LIMITS[0]: 50.0, LIMITS[1]: 60.0}
            inverter.publish(decision=make.decision(allow_charge=False))
            assert (await inverter.values(question)).items() >= {
                "charge_enable": 0,
                LIMITS[0]: 0.0,
                LIMITS[1]: 60.0,
            }.items()
            inverter.publish(decision=make.decision(blocked_since=inverter.now - 10))
            assert held(await inverter.values(question)) == STOPPED
            assert inverter.status["safe_state"] == "the BMS is lost"
            inverter.now += 50.1
            inverter.publish(decision=make.decision(blocked_since=inverter.now - 60.1))
            assert await inverter.ask(question) == b"", "its own alarm is due"
            assert inverter.status["silent"] and "0 A was sent for 60 s" in inverter.status["problem"]
            inverter.publish()
            assert (await inverter.values(question))[LIMITS[0]] == 50.0

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    assert [line for line in caplog.messages if "answering again" in line]


@pytest.mark.parametrize("dialect", QUESTION)
@pytest.mark.parametrize("patience", [None, 60.0, 10.0])
def test_a_gateway_that_hangs_says_stop_and_then_nothing(dialect: str, patience: float | None) -> None:
    async def scenario() -> None:
        async with asking(dialect, silence_after=patience) as inverter:
            question = QUESTION[dialect]
            inverter.publish()
            inverter.now += 5.0
            assert (await inverter.values(question))[LIMITS[0]] == 50.0
            inverter.now += 0.1
            assert held(await inverter.values(question)) == STOPPED
            inverter.now = 1005.0 + min(patience or 60.0, 60.0) - 0.1
            assert held(await inverter.values(question)) == STOPPED
            inverter.now += 0.1
            assert await inverter.ask(question) == b""
            assert await inverter.ask(pylon(0x99) if dialect == "pylontech" else read(0x90, 9)) == b"", "nor errors"

    asyncio.run(scenario())


def test_that_the_gateway_hangs_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def said() -> list[str]:
        return [line for line in caplog.messages if "the gateway hangs: answering 0 A both ways" in line]

    async def scenario() -> None:
        async with asking() as inverter:
            inverter.publish()
            await inverter.told(pylon(0x61))
            assert not said()
            inverter.now += 5.1
            await until(said)

    asyncio.run(scenario())
    assert len(said()) == 1


def test_what_must_be_told_is_repeated_for_a_minute_and_then_nothing_may_flow() -> None:
    async def scenario() -> None:
        async with asking() as inverter:
            inverter.publish()
            inverter.now += 60.0
            inverter.publish(bank=make.bank(soc=None), decision=make.decision(soc=None))
            assert (await inverter.values(pylon(0x63)))[LIMITS[0]] == 50.0
            inverter.now += 0.1
            inverter.publish(bank=make.bank(soc=None), decision=make.decision(soc=None))
            assert held(await inverter.values(pylon(0x63))) == STOPPED
            assert (await inverter.values(pylon(0x61)))["soc"] == 60
            assert (await inverter.values(pylon(0x62)))["a_internal_comm_fail"] == 1
            inverter.publish(decision=make.decision(ccl=float("nan")))
            told = await inverter.values(pylon(0x63))
            assert (told[LIMITS[0]], told["charge_enable"], told[LIMITS[1]]) == (0.0, 0, 60.0), (
                "no number allows nothing"
            )

    asyncio.run(scenario())


# ---- when


ASKER = """
import os, select, sys, time
line, question = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
for _ in range(30):
    asked = time.monotonic()
    os.write(line, question)
    came = select.select([line], [], [], 0.3)[0]
    print(time.monotonic() - asked if came else -1.0)
    while select.select([line], [], [], 0.05)[0]:
        os.read(line, 4096)
"""


def test_answers_come_in_time_while_the_loop_hangs() -> None:
    async def scenario() -> list[float]:
        async with asking() as inverter:
            inverter.publish()
            fd = inverter.line.master
            words = [sys.executable, "-c", ASKER, str(fd), pylon(0x61).hex()]
            with subprocess.Popen(words, pass_fds=[fd], stdout=subprocess.PIPE, text=True) as asker:  # noqa: ASYNC220
                while asker.poll() is None:
                    for _ in range(2_000):  # the loop does not come back, and asks the system for nothing meanwhile
                        sum(range(500))
                assert asker.stdout is not None
                return [float(line) for line in asker.stdout]

    found = asyncio.run(scenario())
    answers = [seconds for seconds in found if seconds > 0]
    assert len(answers) > 20, "a machine without a moment for it may drop a question, and answers none late"
    assert min(answers) >= 0.005 and statistics.median(answers) < 0.1 and max(answers) < 0.2, sorted(found)


def test_one_answer_costs_less_than_a_millisecond() -> None:
    async def scenario() -> float:
        async with asking() as inverter:
            inverter.publish()
            line = inverter.output._line  # type: ignore[attr-defined]
            questions = [line._dialect.split(bytearray(pylon(code))) for code in (0x42, 0x61, 0x63) for _ in range(100)]
            begun = time.process_time()
            for heard in questions:
                for request in heard:
                    assert line._dialect.reply(request, line.sayings.at(inverter.now))
            return (time.process_time() - begun) / len(questions)

    assert asyncio.run(scenario()) < 0.001


def test_nothing_is_answered_late() -> None:
    """A thread that gets no processor for so long drops the question: the inverter has given up on it."""

    async def scenario() -> None:
        async with asking() as inverter:
            inverter.publish()
            line = inverter.output._line  # type: ignore[attr-defined]
            standing = line._dialect.split

            def slow(buffer: bytearray) -> Any:
                time.sleep(0.2)
                return standing(buffer)

            line._dialect.split = slow
            assert await inverter.ask(pylon(0x61), 0.4) == b""
            line._dialect.split = standing
            assert await inverter.told(pylon(0x61))
            assert inverter.status["counters"]["late"] >= 1

    asyncio.run(scenario())


# ---- what never


async def answered(inverter: Inverter, raw: bytes) -> int:
    """How many answers a burst gets, that gets some."""
    return (await inverter.told(raw)).count(b"~")


def test_one_question_one_answer_and_none_unasked() -> None:
    async def scenario() -> None:
        async with asking() as inverter:
            inverter.publish()
            assert (await asyncio.to_thread(inverter.line.hear, 0.3))[0] == b""
            assert await answered(inverter, pylon(0x61) * 5) == 1, "what was overtaken is not answered any more"
            for silent in (pylon(0x61) + b"~2002", b"4661", pylon(0x61, address=0x12), b"~2002466100"):
                assert await inverter.ask(silent) == b"", "another question arrives, or none"
            await asyncio.sleep(0.5)
            assert await inverter.ask(b"00FDAB\r") == b"", "the first half is forgotten by now"
            assert await answered(inverter, pylon(0x61).lower()) == 1
            assert await answered(inverter, b"\0\xff" + pylon(0x61) + b"\n") == 1
            counters = inverter.status["counters"]
            assert counters["overtaken"] >= 4 and counters["answers"] == 3 and counters["foreign"] == 1

    asyncio.run(scenario())


def test_a_flood_is_not_answered_and_ends() -> None:
    async def scenario() -> None:
        async with asking("growatt") as inverter:
            inverter.publish()
            for _ in range(250):
                inverter.line.say(os.urandom(500))
                await asyncio.sleep(0.003)
            assert inverter.status["counters"]["noise"], "a flood is seen while it lasts"
            await asyncio.sleep(0.3)
            assert (await inverter.values(read(0x10, 27)))["soc"] == 60

    asyncio.run(scenario())


def test_noise_that_looks_like_the_beginning_of_a_long_frame_hides_no_question_after_a_silence() -> None:
    async def scenario() -> None:
        async with asking("growatt") as inverter:
            inverter.publish()
            assert await inverter.told(read(0x10, 27))
            inverter.line.say(bytes.fromhex("350f388d100dfb7c"))  # would be 260 bytes long
            await asyncio.sleep(0.28)
            assert await inverter.ask(read(0x10, 27))

    asyncio.run(scenario())


@pytest.mark.parametrize("dialect", QUESTION)
def test_an_echo_is_no_question(dialect: str) -> None:
    async def scenario() -> None:
        question = read(0x32, 1) if dialect == "voltronic" else QUESTION[dialect]
        async with asking(dialect) as inverter:
            inverter.publish()
            answer = await inverter.told(question)
            assert await inverter.ask(answer) == b""
            assert await inverter.told(question) == answer
            assert await inverter.told(answer + question) == answer
            assert inverter.status["counters"]["echo"] >= 2
            await asyncio.sleep(0.5)
            assert dialect != "voltronic" or await inverter.told(answer), "later the same bytes are a question"
            assert "another battery" not in inverter.status["problem"]

    asyncio.run(scenario())


# ---- the port


def test_a_port_that_goes_is_opened_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with asking() as inverter:
            inverter.publish()
            assert await inverter.told(pylon(0x61))
            line = inverter.output._line  # type: ignore[attr-defined]
            os.close(os.dup(line._fd))
            line._port.close()  # the descriptor is gone under its hands, as at an unplugging
            await until(lambda: inverter.status["counters"].get("failed"))
            await until(lambda: inverter.status["connected"])
            assert await inverter.told(pylon(0x61))

    asyncio.run(scenario())
    assert [line for line in caplog.messages if "unplugged?" in line or "defect" in line]


def test_a_port_that_is_not_there_is_said_and_stop_ends_at_once() -> None:
    async def scenario() -> None:
        output = build(prepare(Settings(port="/dev/ttyOfNobody")), time.monotonic, refused, "test")
        await output.start()
        await until(lambda: "no such device" in str(output.status()["problem"]))
        assert not output.status()["connected"]
        begun = time.monotonic()
        await output.stop()
        assert time.monotonic() - begun < 0.5

    asyncio.run(scenario())


# ---- another reader


def test_a_modbus_client_reads_the_map() -> None:
    async def scenario() -> None:
        async with asking("growatt") as inverter:
            inverter.publish()

            def inquire(path: str) -> list[int]:
                client = ModbusSerialClient(path, baudrate=9600, timeout=1)
                assert client.connect()
                try:
                    return list(client.read_holding_registers(0x13, count=17, device_id=1).registers)
                finally:
                    client.close()

            with bridged(inverter.line) as path:
                registers = await asyncio.to_thread(inquire, path)
            assert (registers[2], registers[3], registers[6]) == (60, 5320, 5000)

    asyncio.run(scenario())
