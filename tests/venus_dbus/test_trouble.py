"""D-Bus may be missing, die, freeze or be taken; the gateway's loop may hang.  None of it may hurt anything else."""

import asyncio
import gc
import logging
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from outputs.venus_dbus.settings import Settings
from outputs.venus_dbus.thread import DbusThread
from tests import make
from tests.venus_dbus.bus import BANK, Daemon, connected, gateway, names, now, off_loop, until, value


def test_a_daemon_that_comes_later_is_found_and_said_to_be_missing_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        daemon = Daemon(tmp_path)
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await asyncio.sleep(0.8)
            status = output.status()
            assert status["connected"] is False
            assert daemon.address in str(status["problem"])
            assert len([line for line in caplog.messages if "no D-Bus daemon" in line]) == 1
            daemon.start()
            try:
                await until(connected(output), meanwhile=lambda: output.publish(now()))
                assert await off_loop(names, daemon.address) == [BANK]
                assert output.status()["problem"] == ""
            finally:
                daemon.kill()

    with caplog.at_level(logging.WARNING, logger="bms_gateway.venus_dbus"):
        asyncio.run(scenario())


def test_a_daemon_that_forbids_our_name_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        daemon = Daemon(tmp_path, own="")
        daemon.start()
        try:
            async with gateway(daemon.address) as (output, _):
                output.publish(now())
                await until(lambda: "is not allowed to own" in str(output.status()["problem"]))
                await asyncio.sleep(1.5)  # it tries again after 0.2, 0.5 and 1 s
        finally:
            daemon.kill()

    with caplog.at_level(logging.WARNING, logger="bms_gateway.venus_dbus"):
        asyncio.run(scenario())
    assert len([line for line in caplog.messages if "is not allowed to own" in line]) == 1


def test_after_the_daemon_died_the_service_is_back_within_seconds_with_all_values(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, each_battery=True) as (output, _):
            output.publish(now())
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            daemon.kill()
            await until(lambda: not output.status()["connected"])
            output.publish(now(bank=make.bank(soc=12.0), decision=make.decision(soc=12.0)))
            await asyncio.sleep(0.5)
            daemon.start()
            back = time.monotonic()
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            assert time.monotonic() - back < 3.0
            assert await off_loop(value, daemon.address, "/Soc") == "double 12"
            assert await off_loop(value, daemon.address, "/Voltages/Cell16") == "double 3.327"
            assert output.status()["reconnects"]

    asyncio.run(scenario())


def test_a_frozen_daemon_delays_nobody_and_is_made_up_for(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, min_interval=0.1) as (output, _):
            output.publish(now())
            await until(connected(output))
            daemon.freeze()
            slowest = gap = 0.0
            last = time.monotonic()
            for number in range(900):
                before = time.perf_counter()
                output.publish(now(bank=make.bank(current=float(number % 90))))
                slowest = max(slowest, time.perf_counter() - before)
                await asyncio.sleep(0.001)
                gap, last = max(gap, time.monotonic() - last), time.monotonic()
            assert slowest < 0.1
            assert gap < 0.5
            output.publish(now(decision=make.decision(ccl=7.0)))
            daemon.thaw()
            await asyncio.sleep(0.3)
            assert await off_loop(value, daemon.address, "/Info/MaxChargeCurrent") == "double 7"

    asyncio.run(scenario())


def test_what_a_frozen_daemon_does_not_read_is_not_piled_up(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, min_interval=0.1) as (output, _):
            output.publish(now())
            await until(connected(output))
            daemon.freeze()

            def flood() -> None:  # alternating alarms go out at once, each time
                output.publish(now(decision=make.decision(alarms={"low_soc": int(time.monotonic() * 50) % 2})))

            await until(lambda: "does not read" in str(output.status()["problem"]), within=10.0, meanwhile=flood)
            sent = output.status()["items_changed"]
            for _ in range(20):
                flood()
                await asyncio.sleep(0.02)
            assert output.status()["items_changed"] == sent
            daemon.thaw()
            await until(lambda: output.status()["problem"] == "", meanwhile=flood)

    asyncio.run(scenario())


def test_starting_and_stopping_at_a_frozen_daemon_is_quick(daemon: Daemon) -> None:
    async def scenario() -> None:
        daemon.freeze()
        begin = time.monotonic()
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await asyncio.sleep(0.1)
        assert time.monotonic() - begin < 1.0
        daemon.thaw()

    asyncio.run(scenario())


def hang(seconds: float) -> None:
    """Keep the event loop from doing anything."""
    time.sleep(seconds)


def test_a_hanging_gateway_takes_the_currents_away_by_itself(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now(valid_for=0.5))
            await until(connected(output))
            assert await off_loop(value, daemon.address, "/Info/MaxChargeCurrent") == "double 50"
            hang(1.0)
            for path, expected in {
                "/Info/MaxChargeCurrent": "double 0", "/Info/MaxDischargeCurrent": "double 0",
                "/Io/AllowToCharge": "int32 0", "/Io/AllowToDischarge": "int32 0", "/Alarms/BmsCable": "int32 2",
                "/Info/MaxChargeVoltage": "double 55.2", "/Dc/0/Voltage": "array [ ]", "/ErrorCode": "int32 12",
            }.items():  # fmt: skip
                assert value(daemon.address, path) == expected, path
            assert "has decided nothing" in str(output.status()["problem"])
            output.publish(now())
            await asyncio.sleep(0.1)
            assert await off_loop(value, daemon.address, "/Alarms/BmsCable") == "int32 0"
            assert await off_loop(value, daemon.address, "/Info/MaxChargeCurrent") == "double 50"

    asyncio.run(scenario())


def test_a_deadline_that_moves_closer_is_kept(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now(valid_for=60.0))
            await until(connected(output))
            output.publish(now(valid_for=0.3))
            output.publish(now(valid_for=60.0, bank=make.bank(complete=False)))  # says nothing new
            await asyncio.sleep(0.5)
            assert await off_loop(value, daemon.address, "/Info/MaxDischargeCurrent") == "double 0"

    asyncio.run(scenario())


def test_the_watch_over_the_deadline_wakes_nobody_while_snapshots_come_and_fires_when_they_end(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[float] = []
    late = DbusThread._late
    monkeypatch.setattr(DbusThread, "_late", lambda thread: (woken.append(time.monotonic()), late(thread))[1])
    monkeypatch.setattr("outputs.venus_dbus.thread.NEXT", 0.5)

    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            for _ in range(15):
                output.publish(last := now(valid_for=0.8))
                await asyncio.sleep(0.1)
            assert woken == []
            await until(lambda: "has decided nothing" in str(output.status()["problem"]))
            assert time.monotonic() - last.valid_until < 0.5
            assert await off_loop(value, daemon.address, "/Info/MaxChargeCurrent") == "double 0"

    asyncio.run(scenario())


def test_a_hang_also_ends_in_leaving_where_that_is_wished(daemon: Daemon) -> None:
    async def scenario() -> None:
        ahead = 0.0
        async with gateway(daemon.address, clock=lambda: time.monotonic() + ahead, leave_after=10.0) as (output, _):
            output.publish(now(valid_for=0.2))
            await until(
                lambda: output.status()["connected"] and "has decided nothing" in str(output.status()["problem"])
            )
            ahead = 10.5
            await until(lambda: not output.status()["connected"], within=4.0)
            assert await off_loop(names, daemon.address) == []

    asyncio.run(scenario())


def test_a_taken_name_is_said_and_claimed_once_it_is_free(daemon: Daemon) -> None:
    script = f"import dbus.bus; bus = dbus.bus.BusConnection({daemon.address!r}); bus.request_name({BANK!r})"
    command = [sys.executable, "-c", f"{script}; print(1, flush=True); input()"]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "1\n"

    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(lambda: "owned by another program" in str(output.status()["problem"]))
            assert not output.status()["connected"]
            other.communicate("\n")
            await until(connected(output), meanwhile=lambda: output.publish(now()))
            assert await off_loop(value, daemon.address, "/Soc") == "double 60"
            assert output.status()["problem"] == ""

    asyncio.run(scenario())


def test_a_defect_in_one_service_is_said_once_and_leaves_the_others_alone(
    daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, each_battery=True, battery_interval=0.1) as (output, _):
            output.publish(now())
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            for soc in (41.0, 42.0, 43.0):
                members = (make.battery(of=make.reading(soc=soc)),)
                output.publish(now(bank=make.bank(*members), decision=make.decision(alarms=None)))
                await asyncio.sleep(0.15)
            assert output.status()["services"] == [f"{BANK}_rack_1"]
            assert await off_loop(value, daemon.address, "/Soc", service=f"{BANK}_rack_1") == "double 43"

    asyncio.run(scenario())
    defects = [line for line in caplog.messages if "a defect, please report it" in line]
    assert len(defects) == len(set(defects)) <= 2, "a line for each place where no alarms are a defect"
    assert len([line for line in caplog.messages if "leaves the bus" in line]) == 1
    assert "Traceback" not in caplog.text


def test_a_defect_takes_the_service_off_the_bus_rather_than_keeping_old_limits(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            output.publish(now(bank=make.bank(alarms=None), decision=make.decision(alarms=None)))
            await until(lambda: not output.status()["connected"])
            assert await off_loop(names, daemon.address) == []
            assert "defect" in str(output.status()["problem"])
            output.publish(now())
            await until(connected(output))

    asyncio.run(scenario())


def test_one_that_was_not_started_takes_no_part_in_the_bus_of_another_and_is_freed(daemon: Daemon) -> None:
    """On a reload what is new is fed before what is gone has stopped: both are on GLib's one main loop."""

    async def scenario() -> None:
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        settings = Settings(service="other")
        other = DbusThread(settings, daemon.address, time.monotonic, lambda command, tell: True, "test")
        async with gateway(daemon.address) as (output, _):
            await until(connected(output), meanwhile=lambda: output.publish(now()))
            other.publish(now())
            await asyncio.sleep(0.3)
            assert await off_loop(names, daemon.address) == [BANK]
        gone = weakref.ref(other)
        del other
        gc.collect()
        assert gone() is None
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors

    asyncio.run(scenario())
