"""The control socket: real unix sockets, one JSON object a line."""

import asyncio
import os
import socket
import stat
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway import control
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
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "s"))
        await second.start()
        assert (await asyncio.to_thread(ask, {"ask": "state"}, tmp_path / "s"))["got"]
        await second.stop()

    asyncio.run(twice())


def refused(path: Path, caplog: pytest.LogCaptureFixture) -> str:
    """What is logged when a socket cannot be made at `path`."""

    async def start() -> None:
        server = ControlServer(path, echo)
        await server.start()
        await server.stop()

    asyncio.run(start())
    return caplog.text


def test_a_file_that_is_no_socket_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "gateway.yaml").write_text("batteries: []")
    assert "it is no socket" in refused(tmp_path / "gateway.yaml", caplog)
    assert (tmp_path / "gateway.yaml").read_text() == "batteries: []"


def test_a_gateway_that_listens_but_hangs_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_UNIX) as hanging, socket.socket(socket.AF_UNIX) as caller:
        hanging.bind(str(tmp_path / "s"))
        hanging.listen(0)
        caller.connect(str(tmp_path / "s"))
        assert "another gateway is running there" in refused(tmp_path / "s", caplog)


def give_away(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `folder` another user's: as root in truth, else by being another user ourselves."""
    folder.mkdir(parents=True)
    if os.getuid() == 0:
        os.chown(folder, 12345, 12345)
    else:
        monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)


def test_a_folder_of_another_user_gets_no_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_away(tmp_path / "theirs", monkeypatch)
    assert "belongs to another user" in refused(tmp_path / "theirs" / "s", caplog)
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    caplog.clear()
    assert "belongs to another user" in refused(tmp_path / "link" / "s", caplog)
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which no gateway runs, with its temporary folder."""
    for variable in ("BMS_GATEWAY_SOCKET", "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(control, "SERVICE_DIRECTORY", tmp_path / "run")
    return tmp_path


def answer_at(path: Path) -> Any:
    """Ask without saying where, while a gateway listens at `path`."""

    async def talk() -> Any:
        server = ControlServer(path, echo)
        await server.start()
        try:
            return await asyncio.to_thread(ask, {"ask": "state"})
        finally:
            await server.stop()

    return asyncio.run(talk())


@pytest.mark.parametrize("variable", ["RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"])
def test_it_is_looked_for_where_the_gateway_puts_it(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(nowhere / "runtime"))
    assert control.default_path() == nowhere / "runtime" / "bms-gateway.sock"
    assert answer_at(control.default_path())["got"]


def test_the_installed_service_is_found_by_users_with_a_runtime_directory_of_their_own(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(nowhere / "user"))
    with socket.socket(socket.AF_UNIX) as dead:
        (nowhere / "user").mkdir()
        dead.bind(str(nowhere / "user" / "bms-gateway.sock"))
    assert answer_at(nowhere / "run" / "bms-gateway.sock")["got"], "a dead one is passed over"


def test_a_socket_in_a_temporary_folder_of_another_user_is_not_believed(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_away(control.default_path().parent, monkeypatch)
    with pytest.raises(GatewayError, match="belongs to another user"):
        ask({"ask": "state"})


def test_where_none_is_found_the_places_are_named(nowhere: Path) -> None:
    with pytest.raises(GatewayError, match=r"looked for .*control\.sock, .*run/bms-gateway\.sock\); start one with"):
        ask({"ask": "state"})


def test_one_that_hangs_is_told_from_none(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.1)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(nowhere / "s"))
        hanging.listen()
        with pytest.raises(GatewayError, match="does not answer"):
            ask({"ask": "state"}, nowhere / "s")


@pytest.mark.parametrize("said", [b"", b'{"outcomes": ['])
def test_one_that_ends_before_it_answered_is_no_empty_answer(nowhere: Path, said: bytes) -> None:
    def end(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(said)

    with socket.socket(socket.AF_UNIX) as ending:
        ending.bind(str(nowhere / "s"))
        ending.listen()
        serving = threading.Thread(target=end, args=(ending,))
        serving.start()
        with pytest.raises(GatewayError, match="ended before it answered"):
            ask({"ask": "command"}, nowhere / "s")
        serving.join()
