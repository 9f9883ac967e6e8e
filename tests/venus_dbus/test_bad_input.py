"""Whatever others send, nothing falls, nothing leaks, and what may not be written is not."""

import asyncio
import logging
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import dbus
import dbus.bus
import dbus.lowlevel
import pytest

from outputs.venus_dbus.bus import BUS_ITEM
from tests import make
from tests.venus_dbus.bus import BANK, Daemon, Monitor, connected, gateway, names, now, off_loop, until, value
from tests.venus_dbus.localsettings import running

LEAST, MOST = -(2**63), 2**64 - 1
VALUES = [
    dbus.Byte(255), dbus.Boolean(True), dbus.Int16(-1), dbus.UInt16(65535), dbus.Int32(-(2**31)), dbus.Int64(LEAST),
    dbus.UInt64(MOST), 0.5, math.nan, math.inf, -math.inf, 1e308, "", "1", "x" * 5000, "\x1b[31mred\n\tline",
    "\u202e\ufffd",
    dbus.ObjectPath("/a/b"), dbus.Signature("a{sv}"), dbus.Array([], signature="i"), dbus.Array([1, 2], signature="i"),
    dbus.ByteArray(b"\xff\x00\xfe"), dbus.Dictionary({"a": 1}, signature="sv"), dbus.Struct((1, "a")),
    dbus.Array([dbus.Array([dbus.Array([1.0], signature="d")], signature="ad")], signature="aad"),
    dbus.Int32(1, variant_level=3),
]  # fmt: skip


def handles() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def call(client: Any, path: str, member: str, signature: str, *arguments: object, interface: str = BUS_ITEM) -> Any:
    """The answer, or the name of the error."""
    try:
        return client.call_blocking(BANK, path, interface, member, signature, arguments, timeout=5)
    except dbus.DBusException as problem:
        return problem.get_dbus_name()


def every_value_on_every_path(address: str) -> dict[str, set[int]]:
    """The answers by path; raises what no caller should see."""
    client = dbus.bus.BusConnection(address)
    paths = [str(path) for path in call(client, "/", "GetItems", "")]
    answers = {path: {int(call(client, path, "SetValue", "v", value)) for value in VALUES} for path in paths}
    client.close()
    return answers


def test_any_value_on_any_path_is_answered_and_changes_only_what_may_be_written(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, asked):
            output.publish(now(valid_for=300.0))  # a slow machine takes a while for all of them
            await until(connected(output))
            client = dbus.bus.BusConnection(daemon.address)
            before = {str(path): item["Value"] for path, item in call(client, "/", "GetItems", "").items()}
            held = handles()
            answers = await off_loop(every_value_on_every_path, daemon.address)
            assert set().union(*answers.values()) == {0, 1, 2}
            after = {str(path): item["Value"] for path, item in call(client, "/", "GetItems", "").items()}
            writable = {path for path, seen in answers.items() if seen != {1}}
            assert {path for path in before if before[path] != after[path]} <= writable
            assert all(path in ("/CustomName", "/Mode") or path.startswith(("/Settings/", "/History/Clear"))
                       for path in writable)  # fmt: skip
            assert all(type(before[path]) is type(after[path]) for path in before if before[path] != dbus.Array([]))
            assert len(asked) <= 11, "the rest came too fast"
            await until(lambda: handles() <= held)
            client.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.text == ""


def test_callers_that_ask_wrongly_get_an_error_or_an_answer(daemon: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            client = dbus.bus.BusConnection(daemon.address)
            assert "/Soc" in await off_loop(call, client, "/", "GetItems", "sias", "what", 3, ["x"])
            for path, member, signature, *arguments in (
                ("/Soc", "GetItems", ""), ("/Dc", "GetItems", ""), ("/", "SetValue", "v", 1), ("/", "Nonsense", ""),
                ("/Dc", "SetValue", "v", 1), ("/nowhere", "GetValue", ""), ("/Soc/Deeper", "SetValue", "v", 1),
            ):  # fmt: skip
                error = await off_loop(call, client, path, member, signature, *arguments)
                assert error in [f"org.freedesktop.DBus.Error.Unknown{what}" for what in ("Method", "Object")], member
            for signature, *arguments in (("",), ("s", "Cellar"), ("vv", "a", "b"), ("ay", b"x")):
                assert await off_loop(call, client, "/CustomName", "SetValue", signature, *arguments) in (0, 2)
            assert await off_loop(call, client, "/", "Ping", "", interface="org.freedesktop.DBus.Peer") is None
            held = handles()
            await off_loop(give_handles, client)
            await until(lambda: handles() <= held)  # the other end lets go of them a little later
            client.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert caplog.text == ""


def give_handles(client: Any) -> None:
    """Open files travel with messages, too."""
    read, write = os.pipe()
    for signature in ("h", "v", "ah"):
        handle = dbus.types.UnixFd(read)
        assert call(client, "/CustomName", "SetValue", signature, [handle] if signature == "ah" else handle) == 2
    os.close(read)
    os.close(write)


def flood(address: str, path: str, many: int, wait: bool = True) -> None:
    """Write ever other values, and let nobody answer; at the end ask something."""
    client = dbus.bus.BusConnection(address)
    for number in range(many):
        message = dbus.lowlevel.MethodCallMessage(BANK, path, BUS_ITEM, "SetValue")
        message.append(f"name {number}" if path == "/CustomName" else number % 2, signature="v")
        message.set_no_reply(True)
        client.send_message(message)
    if wait:
        call(client, path, "GetValue", "")
    client.close()


def test_ten_thousand_writes_become_few_messages_commands_and_writes_to_flash(daemon: Daemon) -> None:
    async def scenario() -> None:
        with running(daemon.address):
            async with gateway(daemon.address) as (output, asked):
                output.publish(now(valid_for=60.0))
                await until(connected(output))
                monitor = Monitor(daemon.address)
                await asyncio.sleep(0.2)
                began = time.monotonic()
                for path in ("/CustomName", "/Settings/ForceChargingOff"):
                    await off_loop(flood, daemon.address, path, 5000)
                took = time.monotonic() - began
                assert await off_loop(value, daemon.address, "/CustomName") == "name 4999"
                stored = "/Settings/Devices/bms_gateway/CustomName"
                await until(lambda: value(daemon.address, stored, service="com.victronenergy.settings") == "name 4999")
                await asyncio.sleep(3.0)  # what is no news of a battery waits until two messages are left
                texts = monitor.end()
                assert len(texts) <= 9 + took
                assert "name 4999" in "".join(text for _, text in texts)
                assert len(asked) <= 2 * (11 + took), "on is limited; off is not, but is asked once for each on"

    asyncio.run(scenario())


def test_a_bus_that_dies_under_a_thousand_calls_is_come_back_to(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, each_battery=True) as (output, _):
            output.publish(now())
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            held = handles()
            for _ in range(3):
                writer = threading.Thread(target=flood, args=(daemon.address, "/CustomName", 1000, False))
                writer.start()
                await asyncio.sleep(0.02)
                daemon.kill()
                await off_loop(writer.join)
                await until(lambda: not output.status()["connected"])
                daemon.start()
                await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            assert await off_loop(value, daemon.address, "/Soc") == "double 60"
            assert handles() <= held + 1, "one is dbus-python's, until it is collected"

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "defect" not in caplog.text and "Traceback" not in caplog.text


def test_names_with_odd_characters_are_services_of_their_own(daemon: Daemon) -> None:
    async def scenario() -> None:
        members = [
            make.battery(name, identity=f"S{number}", of=make.reading(serial_number="\udcff\x00", model="Ж\x07"))
            for number, name in enumerate(("Süd (#1)", "Sud (#1)", "S_d__#1_", "电池", "x" * 40))
        ]
        async with gateway(daemon.address, each_battery=True) as (output, _):
            output.publish(now(bank=make.bank(*members)))
            await until(lambda: len(output.status()["services"]) == 6)  # type: ignore[arg-type]
            there = await off_loop(names, daemon.address)
            assert len(there) == 6
            shown = {await off_loop(value, daemon.address, "/CustomName", service=name) for name in there}
            assert {"Süd (#1)", "电池"} <= shown

    asyncio.run(scenario())
