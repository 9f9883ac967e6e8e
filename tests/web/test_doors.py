"""A door that acts opens to JSON with the token, and to nothing else."""

import asyncio
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from outputs.web.doors import Door, token
from outputs.web.settings import Settings
from tests.web.site import Answer, get, site

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
        Settings(**{key: value})  # type: ignore[arg-type]
