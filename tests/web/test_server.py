"""Over real sockets: what is answered, what is refused, and that nobody who behaves badly keeps others waiting."""

import asyncio
import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outputs.web import live, server
from outputs.web.files import PAGES, file
from outputs.web.output import Web
from tests import make
from tests.web.site import Answer, House, get, port, raw, site


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


# ---- what is there


def test_the_page_its_parts_and_what_programs_ask_for() -> None:
    async def look() -> None:
        async with site() as web:
            web.publish(make.snapshot())
            for path in (*PAGES, "/api/state", "/api/history", "/api/events", "/api/curves", "/api/values", "/metrics"):
                answer = await get(web, path)
                assert (answer.status, len(answer.body)) == (200, int(answer.headers["content-length"])), path
                assert answer.headers["content-security-policy"].startswith("default-src 'self'")
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "access-control-allow-origin" not in answer.headers and "set-cookie" not in answer.headers
            state = json.loads((await get(web, "/api/state")).body)
            assert state["bank"]["soc"] == 60.0 and state["batteries"][0]["name"] == "rack-1"

    run(look())


def test_the_whole_page_is_small_and_asks_for_nothing_elsewhere() -> None:
    bodies = [file(name).body for name in PAGES.values()]
    assert sum(map(len, bodies)) < 100_000
    for name, body in zip(PAGES.values(), bodies, strict=True):
        text = body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "").replace("/* ", ""), name
        assert "innerHTML" not in text and "style=" not in text and " onclick=" not in text, name


def test_parts_are_sent_compressed_and_only_when_they_changed() -> None:
    async def look() -> None:
        async with site() as web:
            whole = await get(web, "/page.css")
            zipped = await get(web, "/page.css", Accept_Encoding="gzip, br")
            assert zipped.headers["content-encoding"] == "gzip" and len(zipped.body) < len(whole.body) / 2
            again = await get(web, "/page.css", If_None_Match=whole.headers["etag"])
            assert (again.status, again.body) == (304, b"")

    run(look())


def test_one_connection_may_ask_several_times_and_head_has_no_body() -> None:
    async def look() -> None:
        async with site() as web:
            host = f"Host: 127.0.0.1:{port(web)}\r\n"
            both = f"HEAD /metrics HTTP/1.1\r\n{host}\r\nGET /nowhere HTTP/1.1\r\n{host}Connection: close\r\n\r\n"
            first, second = (await raw(web, both.encode())).split(b"HTTP/1.1 404")
            assert first.endswith(b"\r\n\r\n") and first.count(b"\r\n\r\n") == 1
            assert b"the page is at /" in second

    run(look())


# ---- who may not


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "127.0.0.1"}, 200), ({"Host": "localhost:8765"}, 200), ({"Host": "[::1]:8765"}, 200),
        ({"Host": "raspberry.local"}, 200), ({"Host": socket.gethostname()}, 200),
        ({"Host": "battery.example.org"}, 200), ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403), ({"Host": "evil.local.example"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403), ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
    ],
)  # fmt: skip
def test_a_foreign_name_and_a_foreign_page_are_turned_away(headers: dict[str, str], status: int) -> None:
    async def look() -> Answer:
        async with site(names=("battery.example.org",)) as web:
            return await get(web, "/api/state", **headers)

    answer = run(look())
    assert answer.status == status
    assert status == 200 or (b"outputs.web.names" in answer.body) == ("Host" in headers)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_written_where_there_is_no_door(method: str) -> None:
    async def look() -> None:
        async with site() as web:
            answer = await get(web, "/api/state", method, b"{}")
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")

    run(look())


@pytest.mark.parametrize(
    "path", ["/../settings.py", "/page/../../output.py", "/%2e%2e/settings.py", "//etc/passwd", "/texts/"]
)
def test_no_other_file_can_be_asked_for(path: str) -> None:
    async def look() -> Answer:
        async with site() as web:
            return await get(web, path)

    assert run(look()).status in (400, 404)


# ---- what is no HTTP


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /?" + b"&a=1" * 40 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000\r\n\r\n" + b"x" * 66_000, 413),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
    ],
)
def test_what_is_no_http_is_refused_and_the_next_one_is_served(request_: bytes, status: int) -> None:
    async def look() -> None:
        async with site() as web:
            assert Answer(await raw(web, request_)).status == status
            assert (await get(web, "/")).status == 200

    run(look())


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_answered_with_a_refusal_or_not_at_all(noise: bytes) -> None:
    async def look() -> None:
        async with site() as web:
            reader, writer = await asyncio.open_connection("127.0.0.1", port(web))
            writer.write(noise + b"\r\n\r\n")
            writer.write_eof()
            async with asyncio.timeout(5):
                answer = await reader.read()
            writer.close()
            assert answer == b"" or 400 <= Answer(answer).status < 600
            assert (await get(web, "/")).status == 200
            assert "defect" not in str(web.status()["problem"])

    run(look())


def test_one_who_says_nothing_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE", 0.2)

    async def look() -> None:
        async with site() as web:
            assert await raw(web, b"GET / HT") == b""

    run(look())


def test_more_connections_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MOST", 3)

    async def look() -> None:
        async with site() as web:
            held = [await asyncio.open_connection("127.0.0.1", port(web)) for _ in range(3)]
            while web.status()["connections"] != 3:
                await asyncio.sleep(0.01)
            with pytest.raises((ConnectionError, AssertionError)):
                assert Answer(await raw(web, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200
            for _, writer in held:
                writer.close()
            while web.status()["connections"]:
                await asyncio.sleep(0.01)
            assert (await get(web, "/")).status == 200
            assert web.status()["refused"] == 1

    run(look())


def test_one_who_asks_for_very_much_at_once_keeps_nothing_else_waiting() -> None:
    async def look() -> float:
        async with site() as web:
            web.publish(make.snapshot(bank=make.bank(*(make.battery(f"rack-{n}") for n in range(16)))))
            reader, writer = await asyncio.open_connection("127.0.0.1", port(web))
            taking = asyncio.create_task(reader.read())
            writer.write(b"GET /api/state HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200 + b"no HTTP\r\n\r\n")
            longest, last = 0.0, time.monotonic()
            while not taking.done():
                await asyncio.sleep(0.001)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert (await taking).count(b"HTTP/1.1 200") == 200
            writer.close()
            return longest

    assert run(look()) < 0.2


def deaf(web: Web) -> socket.socket:
    """One who asks for much and reads nothing."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", port(web)))
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        one.sendall(b"GET /api/values HTTP/1.1\r\nHost: localhost\r\n\r\n" * 900)
    return one


def test_of_one_who_asks_and_does_not_read_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SLOW", 0.2)

    async def look() -> None:
        async with site() as web:
            before = len(list(Path("/proc/self/fd").iterdir()))
            with deaf(web), deaf(web):
                while web.status()["connections"] != 2:
                    await asyncio.sleep(0.01)
                while web.status()["connections"]:
                    await asyncio.sleep(0.05)
                await asyncio.sleep(0)
                assert len(list(Path("/proc/self/fd").iterdir())) == before + 2, "ours, and none of the server's"

    run(look())


# ---- the live stream


async def watch(web: Web) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(web))
    writer.write(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def next_state(reader: asyncio.StreamReader) -> Any:
    """The data of the next event."""
    while not (line := await reader.readline()).startswith(b"data: "):
        assert line
    return json.loads(line[6:])


def test_whoever_watches_is_told_at_once_then_of_each_snapshot_at_most_once_a_second() -> None:
    async def look() -> None:
        async with site() as web:
            reader, writer = await watch(web)
            assert (await next_state(reader))["bank"] is None
            began = time.monotonic()
            for soc in (61.0, 62.0, 63.0):
                web.publish(make.snapshot(decision=make.decision(soc=soc)))
            assert (await next_state(reader))["bank"]["soc"] == 63.0
            web.publish(make.snapshot(decision=make.decision(soc=64.0)))
            assert (await next_state(reader))["bank"]["soc"] == 64.0
            assert time.monotonic() - began > 0.95
            writer.close()
            while web.status()["watching"]:
                await asyncio.sleep(0.01)

    run(look())


def test_one_who_does_not_read_is_left_behind_and_the_others_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outputs.web.output.PACE", 0.0)
    monkeypatch.setattr(live, "BEHIND", 20_000)

    async def look() -> None:
        async with site() as web:
            deaf = socket.socket()
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", port(web)))
            deaf.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reader, writer = await watch(web)
            await next_state(reader)
            many = make.bank(*(make.battery(f"rack-{n}") for n in range(16)))
            number = longest = 0
            while not web.status()["left_behind"]:
                number += 1
                began = time.monotonic()
                web.publish(make.snapshot(bank=many, sequence=number))
                assert (await next_state(reader))["bank"]["sequence"] == number
                longest = max(longest, time.monotonic() - began)
                assert number < 100
            assert longest < 2.0
            assert web.status()["watching"] == 1
            writer.close()
            deaf.close()

    run(look())


def test_so_many_may_watch_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST", 2)

    async def look() -> None:
        async with site() as web:
            held = [await watch(web) for _ in range(2)]
            answer = await get(web, "/api/live")
            assert (answer.status, b"too many watch" in answer.body) == (503, True)
            for _, writer in held:
                writer.close()

    run(look())


def test_the_end_closes_every_stream_at_once() -> None:
    async def look() -> float:
        async with site() as web:
            reader, writer = await watch(web)
            await next_state(reader)
            began = time.monotonic()
            await web.stop()
            assert (await reader.read()).strip() == b""
            writer.close()
            return time.monotonic() - began

    assert run(look()) < 1.0


# ---- the address


def test_an_address_that_is_taken_is_said_and_taken_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outputs.web.output.RETRY", 0.05)

    async def look() -> None:
        taken = socket.create_server(("127.0.0.1", 0))
        from outputs.web.settings import Settings
        from tests.web.site import Clock

        web = Web(Settings(port=taken.getsockname()[1]), Clock(), "id")
        web.move_in(House())
        await web.start()
        while not (problem := str(web.status()["problem"])):
            await asyncio.sleep(0.01)
        assert "is taken by another program; set outputs.web.port" in problem
        taken.close()
        while not web.status()["connected"]:
            await asyncio.sleep(0.01)
        assert web.status()["problem"] == ""
        await web.stop()

    run(look())
