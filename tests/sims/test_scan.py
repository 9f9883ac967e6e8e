"""scan: a port is listened to before anything is asked; what it finds and says."""

import asyncio
import json
import os
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bms_drivers.kit import talkers
from bms_drivers.kit.detect import detect
from bms_drivers.sims.host import simulated
from gateway.model import TalksByItself
from tests.e2e.house import PROGRAM

SAYS = {
    "a GPS": b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n",
    "an energy meter": b"/ISk5\\2MT382-1000\r\n\r\n0-0:96.1.1(4B384547303034303436333935353037)\r\n!A1B2\r\n",
    "a Victron device": b"\r\nPID\t0xA053\r\nFW\t150\r\nV\t12800\r\nI\t0\r\nChecksum\tU",
    "something": bytes(range(0x80, 0xD0)),
}


@contextmanager
def talker(says: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A port on which something talks five times a second; and what was said to it."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    asked: list[bytes] = []
    loop = asyncio.get_running_loop()

    def talk() -> None:
        os.write(master, says)
        handles[0] = loop.call_later(0.2, talk)

    handles = [loop.call_later(0.05, talk)]
    loop.add_reader(master, lambda: asked.append(os.read(master, 4096)))
    try:
        yield os.ttyname(slave), asked
    finally:
        handles[0].cancel()
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("who", SAYS)
def test_where_something_else_talks_nothing_is_asked(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talkers, "LISTEN", 0.3)
    monkeypatch.setattr(talkers, "AGAIN", 0.3)

    async def run() -> list[bytes]:
        with talker(SAYS[who]) as (port, asked):
            with pytest.raises(TalksByItself, match=who):
                async for found in detect(port, ("jk", "daly")):
                    raise AssertionError(found)
            return asked

    assert asyncio.run(run()) == []


@given(st.binary(max_size=talkers.STRAY))
def test_a_few_stray_bytes_are_no_talker(stray: bytes) -> None:
    talkers.refuse("/dev/x", stray)


def test_what_is_found_is_told_as_json_with_the_progress_beside_it() -> None:
    async def run() -> tuple[int, bytes, bytes]:
        device = await simulated("jk", {}, seed=2)
        try:
            words = ("scan", str(device.path), "--json")
            process = await asyncio.create_subprocess_exec(
                PROGRAM, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            out, err = await asyncio.wait_for(process.communicate(), 30)
            assert process.returncode == 0
            return 0, out, err
        finally:
            await device.close()

    _, out, err = asyncio.run(run())
    (port,) = json.loads(out)["ports"]
    assert port["problem"] == ""
    assert [found["driver"] for found in port["found"]] == ["jk"]
    assert ": listening\n" in err.decode()
    assert ": jk (1 of " in err.decode()


def test_a_port_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "scan", str(tmp_path / "none")], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(str(tmp_path / "none"))
    assert "Traceback" not in done.stderr
