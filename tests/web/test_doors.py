"""A door that acts opens to JSON with the token, and to nothing else."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.model.validation import validated
from gateway.remote import Remote
from outputs.web.doors import Door, token
from outputs.web.settings import Settings
from tests.web.site import Answer, House, get, site

TOKEN = "a-token-for-these-tests"
JSON = {"Content_Type": "application/json", "Authorization": f"Bearer {TOKEN}"}


def knock(body: bytes, method: str = "POST", **headers: str) -> tuple[Answer, list[Mapping[str, Any]]]:
    acted: list[Mapping[str, Any]] = []

    async def act(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        acted.append(asked)
        return {"accepted": True}

    async def look() -> Answer:
        async with site() as web:
            web.routes.doors["/api/limits"] = Door(TOKEN, act)
            return await get(web, "/api/limits", method, body, **headers)

    return asyncio.run(look()), acted


def test_json_with_the_token_acts() -> None:
    answer, acted = knock(b'{"ccl": 20}', **JSON)
    assert (answer.status, json.loads(answer.body), acted) == (200, {"accepted": True}, [{"ccl": 20}])


@pytest.mark.parametrize(
    ("changes", "body", "status"),
    [
        ({"Authorization": ""}, b"{}", 401), ({"Authorization": "Bearer wrong"}, b"{}", 401),
        ({"Authorization": f"Basic {TOKEN}"}, b"{}", 401), ({"Authorization": "Bearer t\xfcr"}, b"{}", 401),
        ({"Content_Type": "text/plain"}, b"{}", 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, b"{}", 415),
        ({}, b"no json", 400), ({}, b"[1]", 400), ({}, b"\xff", 400), ({}, b'"ccl"', 400),
        ({}, b"[" * 60_000, 400),
        ({"Origin": "http://evil.example"}, b"{}", 403), ({"Sec_Fetch_Site": "cross-site"}, b"{}", 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, b"{}", 403),
        ({"Host": "evil.example"}, b"{}", 403),
    ],
)  # fmt: skip
def test_all_else_does_not(changes: dict[str, str], body: bytes, status: int) -> None:
    answer, acted = knock(body, **{**JSON, **changes})
    assert (answer.status, acted) == (status, [])


def test_a_get_never_acts() -> None:
    answer, acted = knock(b"", "GET", **JSON)
    assert (answer.status, acted) == (405, [])


def test_the_token_is_made_once_and_is_for_our_eyes_only(tmp_path: Path) -> None:
    made = token(tmp_path / "state")
    assert len(made) >= 32 and token(tmp_path / "state") == made
    assert stat.S_IMODE((tmp_path / "state" / "web-token").stat().st_mode) == 0o600
    assert token(tmp_path / "other") != made


def test_a_token_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "web-token").write_text("admin\n")
    with pytest.raises(ValueError, match="shorter than 16"):
        token(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("listen", "localhost"), ("listen", ""), ("port", 70000), ("names", ["a/b"]), ("names", [""]), ("names", ["*"]),
     ("token", "x")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=key):
        validated(Settings, {key: value})


def test_nothing_of_the_page_is_loaded_where_it_is_not_configured(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from gateway.config.load import parse
from gateway.wiring import build
text = "batteries: [{name: a, driver: jbd, port: /dev/nowhere}]\\noutputs: {can_bms: {interface: virtual, channel: w}}"
asyncio.run(build(parse(text)))
sys.exit(str([name for name in sys.modules if name.startswith(("outputs.web", "h11", "http.server"))]).strip("[]"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "STATE_DIRECTORY": str(tmp_path)},
    )  # fmt: skip
    assert (done.stdout, done.stderr.strip()) == ("", "")


class Commander:
    """The gateway's end."""

    def __init__(self) -> None:
        self.remote = Remote()

    def restrict(self, source: str, data: object) -> Any:
        return self.remote.asked(source, data)


def limits(tmp_path: Path, *bodies: bytes, **settings: Any) -> list[Any]:
    """What is answered to orders for limits that bear the token."""

    async def look() -> list[Any]:
        async with site(House(tmp_path), Commander(), **settings) as web:
            headers = {**JSON, "Authorization": f"Bearer {(tmp_path / 'web-token').read_text().strip()}"}
            answers = [await get(web, "/api/limits", "POST", body, **headers) for body in bodies]
            return [json.loads(answer.body) for answer in answers]

    return asyncio.run(look())


def test_limits_are_asked_for_with_the_token(tmp_path: Path) -> None:
    followed, refused = limits(tmp_path, b'{"ccl": 20, "ttl_seconds": 60}', b'{"ccl": -1}', remote_limits=True)
    assert (followed["accepted"], followed["in_force"]) == (True, {"ccl": 20.0})
    assert followed["note"].startswith("http asks for at most 20 A of charge")
    assert (refused["accepted"], refused["in_force"]) == (False, {"ccl": 20.0})
    assert refused["note"] == "ccl -1 is no limit, expected a number 0..10000 A or null"


def test_there_is_no_door_unless_configured_nor_without_a_token(tmp_path: Path) -> None:
    async def look(house: House, **settings: Any) -> tuple[int, str]:
        async with site(house, Commander(), **settings) as web:
            while not web.status()["connected"]:
                await asyncio.sleep(0.01)
            answer = await get(web, "/api/limits", "POST", b"{}", **JSON)
            return answer.status, str(web.status()["problem"])

    assert asyncio.run(look(House(tmp_path))) == (405, "")
    assert not (tmp_path / "web-token").exists()
    status, problem = asyncio.run(look(House(None), remote_limits=True))
    assert status == 405 and problem == "/api/limits is closed: there is no state_dir to keep a token in"
