"""The control socket: real unix sockets, one JSON object a line."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.control import ControlServer, ask
from gateway.model import GatewayError


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"got": request}


def served(path: Path, question: bytes | dict[str, Any]) -> Any:
    async def talk() -> Any:
        server = ControlServer(path, echo)
        await server.start()
        try:
            if isinstance(question, dict):
                return await asyncio.to_thread(ask, question, path)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(question)
            writer.write_eof()
            return await reader.read()
        finally:
            await server.stop()

    return asyncio.run(talk())


def test_a_question_is_answered(tmp_path: Path) -> None:
    assert served(tmp_path / "s", {"ask": "state"}) == {"got": {"ask": "state"}}


@pytest.mark.parametrize("junk", [b"\n", b"hello\n", b"[1]\n", b"\xff\xfe\n", b"{", b""])
def test_junk_is_answered_with_an_error(tmp_path: Path, junk: bytes) -> None:
    assert b"error" in served(tmp_path / "s", junk)


def test_only_its_user_may_open_it(tmp_path: Path) -> None:
    async def mode() -> int:
        server = ControlServer(tmp_path / "sub" / "s", echo)
        await server.start()
        found = stat.S_IMODE((tmp_path / "sub" / "s").stat().st_mode)
        await server.stop()
        return found

    assert asyncio.run(mode()) == 0o600


def test_without_a_gateway_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="start one with `bms-gateway run`"):
        ask({"ask": "state"}, tmp_path / "none")


def test_a_socket_left_behind_is_replaced_and_a_living_one_is_not(tmp_path: Path, caplog: Any) -> None:
    async def twice() -> None:
        first, second = ControlServer(tmp_path / "s", echo), ControlServer(tmp_path / "s", echo)
        await first.start()
        await second.start()
        assert "another gateway is running there" in caplog.text
        await first.stop()
        (tmp_path / "s").touch()
        await second.start()
        await second.stop()

    asyncio.run(twice())
