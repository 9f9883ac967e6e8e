"""Where Python is too old for the library: one sentence, wherever it is asked for."""

import asyncio
import sys
from pathlib import Path

import pytest

from bms_drivers.kit import registry
from bms_drivers.links.factory import open_port
from gateway.cli.scan import _air
from gateway.config.doubts import doubts
from gateway.config.load import parse
from gateway.model import LinkClosed, MissingPart

WHERE = "ble:C8:47:8C:00:00:01"
SAID = f"needs aiobmsble, which needs Python 3.12 or later; this is 3.{sys.version_info.minor}"


def test_its_battery_is_away_and_says_so() -> None:
    async def work() -> None:
        async with open_port(WHERE, [registry.load("aiobmsble")]).turn("a"):
            pass

    with pytest.raises(LinkClosed) as problem:
        asyncio.run(work())
    assert str(problem.value) == f"{WHERE} {SAID}"


def test_check_says_so_and_refuses_nothing(tmp_path: Path) -> None:
    text = f'batteries: [{{name: a, driver: aiobmsble, port: "{WHERE}", model: vatrer_bms}}]\n'
    assert f"{WHERE} {SAID}" in doubts(parse(text, "x.yaml"))


def test_a_scan_with_it_says_so() -> None:
    with pytest.raises(MissingPart, match=f"^ble {SAID}$"):
        asyncio.run(_air("ble", ("aiobmsble",)))
