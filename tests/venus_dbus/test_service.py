"""What other programs see of the service on a real bus."""

import asyncio
import time
from itertools import pairwise

import pytest

from gateway.model import Command, Health, Reading
from outputs.output import Output
from tests import make
from tests.venus_dbus.bus import (
    BANK,
    Daemon,
    Monitor,
    busctl,
    connected,
    gateway,
    items,
    names,
    now,
    off_loop,
    owner,
    send,
    tree,
    until,
    value,
)


def test_readers_find_values_texts_and_types(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, device_instance=7) as (output, _):
            promised: Output = output
            promised.publish(now())
            await until(connected(output))
            assert await off_loop(value, daemon.address, "/Soc") == "double 60"
            assert await off_loop(value, daemon.address, "/DeviceInstance") == "int32 7"
            assert await off_loop(value, daemon.address, "/ProductName") == "BMS gateway"
            assert await off_loop(value, daemon.address, "/Connected") == "int32 1"
            assert await off_loop(value, daemon.address, "/Info/MaxChargeVoltage") == "double 55.2"
            assert await off_loop(value, daemon.address, "/TimeToGo") == "array [ ]"
            assert "53.20V" in await off_loop(send, daemon.address, "/Dc/0/Voltage", "GetText")
            assert "0xBAFE" in await off_loop(send, daemon.address, "/ProductId", "GetText")

    asyncio.run(scenario())


def test_get_items_holds_every_path_with_value_and_text(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            text = await off_loop(items, daemon.address)
            for path in ("/Mgmt/Connection", "/Info/MaxChargeVoltage", "/Alarms/BmsCable", "/Voltages/Cell16"):
                assert f'"{path}" array [ dict entry( string "Value" variant ' in text
            assert '"/Info/MaxChargeCurrent" array [ dict entry( string "Value" variant double 50 )' in text
            assert 'string "Text" variant string "50.00A"' in text
            assert '"/TimeToGo" array [ dict entry( string "Value" variant array [ ] )' in text

    asyncio.run(scenario())


def test_nodes_answer_with_a_tree_of_relative_paths(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            root = await off_loop(send, daemon.address, "/", "GetValue")
            assert "Dc/0/Voltage" in root and "/Dc/0/Voltage" not in root
            node = await off_loop(send, daemon.address, "/Dc", "GetText")
            assert "0/Voltage" in node and "53.20V" in node and "Soc" not in node
            assert "UnknownObject" in await off_loop(send, daemon.address, "/Nonsense", "GetValue")
            assert "UnknownMethod" in await off_loop(send, daemon.address, "/Soc", "GetItems")

    asyncio.run(scenario())


def test_browsers_can_walk_the_tree(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            root = await off_loop(send, daemon.address, "/", "Introspect")
            assert '<node name="Dc"/>' in root and "ItemsChanged" in root
            assert 'name="SetValue"' in await off_loop(send, daemon.address, "/Soc", "Introspect")
            found = await off_loop(tree, daemon.address, "/Dc")
            assert found == {
                "/Dc",
                "/Dc/0",
                *(f"/Dc/0/{name}" for name in ("Voltage", "Current", "Power", "Temperature")),
            }
            listing = await off_loop(busctl, daemon.address, "tree", BANK, "--list")
            assert listing is None or {"/", "/Dc/0/Voltage", "/Soc"} <= set(listing.split())
            soc = await off_loop(busctl, daemon.address, "introspect", BANK, "/Soc")
            assert soc is None or ("com.victronenergy.BusItem" in soc and ".SetValue" in soc)
            wrong = await off_loop(
                busctl, daemon.address, "call", BANK, "/Soc", "com.victronenergy.BusItem", "SetValue"
            )
            assert wrong is None or "Error" in wrong or wrong == "i 2\n"

    asyncio.run(scenario())


def test_only_what_may_be_written_is(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, asked):
            output.publish(now())
            await until(connected(output))
            assert "int32 1" in await off_loop(send, daemon.address, "/Soc", "SetValue", "variant:double:50")
            assert await off_loop(value, daemon.address, "/Soc") == "double 60"
            limit = await off_loop(send, daemon.address, "/Info/MaxChargeCurrent", "SetValue", "variant:double:500")
            assert "int32 1" in limit
            assert "int32 0" in await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:string:Cellar")
            assert await off_loop(value, daemon.address, "/CustomName") == "Cellar"
            assert "int32 2" in await off_loop(send, daemon.address, "/CustomName", "SetValue", "variant:int32:5")
            assert asked == []

    asyncio.run(scenario())


def test_switches_and_soc_become_commands_on_the_event_loop(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, asked):
            output.publish(now())
            await until(connected(output))
            for path, argument, answer in (
                ("/Settings/ResetSocToApply", "int32:1", "int32 2"),  # nothing chosen yet
                ("/Settings/ForceChargingOff", "int32:1", "int32 0"),
                ("/Settings/ForceChargingOff", "int32:1", "int32 0"),  # it is being asked: no second command
                ("/Settings/ForceChargingOff", "int32:7", "int32 2"),
                ("/Settings/ForceChargingOff", "string:on", "int32 2"),
                ("/Settings/ResetSocTo", "int32:101", "int32 2"),
                ("/Settings/ResetSocTo", "int32:95", "int32 0"),
                ("/Settings/ResetSocTo", "double:nan", "int32 2"),
                ("/Settings/ResetSocToApply", "int32:1", "int32 0"),
                ("/Settings/ForceChargingOff", "int32:0", "int32 0"),
                ("/History/Clear", "int32:9", "int32 2"),
                ("/History/Clear", "int32:2", "int32 0"),
            ):
                assert answer in await off_loop(send, daemon.address, path, "SetValue", f"variant:{argument}"), path
            await until(lambda: len(asked) == 4)
            assert asked == [
                Command("charge", 0.0), Command("soc", 95.0), Command("charge", 1.0), Command("clear_history", 2.0),
            ]  # fmt: skip

    asyncio.run(scenario())


def test_nothing_can_be_commanded_where_the_user_forbids_it(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, writable=False) as (output, asked):
            output.publish(now())
            await until(connected(output))
            answer = await off_loop(send, daemon.address, "/Settings/ForceChargingOff", "SetValue", "variant:int32:1")
            assert "UnknownObject" in answer
            assert asked == []

    asyncio.run(scenario())


def test_no_name_before_the_bank_is_complete(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now(bank=make.bank(complete=False)))
            await asyncio.sleep(0.3)
            assert await off_loop(names, daemon.address) == []
            output.publish(now())
            await until(connected(output), within=0.5)
            assert await off_loop(names, daemon.address) == [BANK]

    asyncio.run(scenario())


def test_changes_of_a_cycle_travel_in_one_message_and_equal_values_in_none(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, min_interval=0.2) as (output, _):
            output.publish(now())
            await until(connected(output))
            monitor = Monitor(daemon.address)
            await asyncio.sleep(0.3)
            output.publish(now(bank=make.bank(voltage=53.2001, current=20.01)))  # noise below the rounding
            await asyncio.sleep(0.3)
            output.publish(now(bank=make.bank(voltage=53.31, current=21.0, soc=61.0), decision=make.decision(soc=61.0)))
            await asyncio.sleep(0.3)
            [(_, text)] = monitor.end()
            assert all(path in text for path in ('"/Dc/0/Voltage"', '"/Dc/0/Current"', '"/Soc"'))
            assert '"/Dc/0/Power"' not in text

    asyncio.run(scenario())


def test_no_more_than_about_one_message_a_second(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            monitor = Monitor(daemon.address)
            await asyncio.sleep(0.2)
            for number in range(40):  # 20 snapshots a second
                output.publish(now(bank=make.bank(current=20.0 + number)))
                await asyncio.sleep(0.05)
            at = [moment for moment, _ in monitor.end()]
            assert 3 <= len(at) <= 4, "one of them early, then one a second"
            assert min(later - before for before, later in pairwise(at)) > 0.4

    asyncio.run(scenario())


def test_a_reading_is_told_at_once_although_a_heartbeat_was_told_just_before(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address) as (output, _):
            bank = make.bank()
            output.publish(now(bank=bank))
            await until(connected(output))
            for number in range(3):
                await asyncio.sleep(1.0)
                output.publish(now(bank=bank, decision=make.decision(charge_mode=f"ramp {number}")))  # time alone
                await asyncio.sleep(0.1)
                bank = make.bank(current=21.0 + number)
                output.publish(now(bank=bank, decision=make.decision(charge_mode=f"ramp {number}")))
                await asyncio.sleep(0.1)
                assert await off_loop(value, daemon.address, "/Dc/0/Current") == f"double {21 + number}"
                assert await off_loop(value, daemon.address, "/Info/ChargeMode") == f"ramp {number}"

    asyncio.run(scenario())


def test_falling_limits_and_alarms_do_not_wait(daemon: Daemon) -> None:
    async def scenario() -> None:
        async with gateway(daemon.address, min_interval=30.0) as (output, _):
            output.publish(now())
            await until(connected(output))
            output.publish(now(bank=make.bank(current=21.0)))
            await asyncio.sleep(0.1)
            output.publish(now(decision=make.decision(ccl=0.0, allow_charge=False)))
            await asyncio.sleep(0.1)
            assert await off_loop(value, daemon.address, "/Info/MaxChargeCurrent") == "double 0"
            output.publish(now(decision=make.decision(ccl=0.0, allow_charge=False, alarms={"bms_cable": 2})))
            await asyncio.sleep(0.1)
            assert await off_loop(value, daemon.address, "/Alarms/BmsCable") == "int32 2"

    asyncio.run(scenario())


def test_a_lost_bms_keeps_cvl_and_takes_the_currents(daemon: Daemon) -> None:
    async def scenario() -> None:
        lost = make.bank(health=Health.LOST, voltage=None, current=None, power=None, online=0, offline=1)
        blocked = make.decision(
            cvl=54.0, ccl=0.0, dcl=0.0, allow_charge=False, allow_discharge=False, alarms={"bms_cable": 2}
        )
        async with gateway(daemon.address) as (output, _):
            output.publish(now())
            await until(connected(output))
            output.publish(now(bank=lost, decision=blocked))
            await asyncio.sleep(0.1)
            for path, expected in {
                "/Info/MaxChargeVoltage": "double 54", "/Info/MaxChargeCurrent": "double 0",
                "/Info/MaxDischargeCurrent": "double 0", "/Io/AllowToCharge": "int32 0", "/Alarms/BmsCable": "int32 2",
                "/Dc/0/Voltage": "array [ ]", "/Dc/0/Current": "array [ ]", "/Dc/0/Power": "array [ ]",
                "/Voltages/Cell1": "array [ ]", "/Soc": "double 60",
                "/System/NrOfModulesOnline": "int32 0", "/System/NrOfModulesOffline": "int32 1",
            }.items():  # fmt: skip
                assert await off_loop(value, daemon.address, path) == expected, path

    asyncio.run(scenario())


def test_it_leaves_the_bus_when_told_to_and_comes_back_with_the_bms(daemon: Daemon) -> None:
    async def scenario() -> None:
        ahead = 0.0
        async with gateway(daemon.address, clock=lambda: time.monotonic() + ahead, leave_after=10.0) as (output, _):
            output.publish(now())
            await until(connected(output))
            lost = make.bank(make.battery(health=Health.LOST), health=Health.LOST)
            blocked = make.decision(ccl=0.0, dcl=0.0, blocked_since=time.monotonic(), alarms={"bms_cable": 2})
            output.publish(now(bank=lost, decision=blocked))
            await asyncio.sleep(0.1)
            assert await off_loop(value, daemon.address, "/Alarms/BmsCable") == "int32 2"
            ahead = 11.0
            output.publish(now(bank=lost, decision=blocked, valid_for=60.0))
            await until(lambda: not output.status()["connected"])
            assert await off_loop(names, daemon.address) == []
            output.publish(now(valid_for=60.0))
            await until(connected(output), within=1.0)

    asyncio.run(scenario())


def test_a_bms_that_is_withdrawn_stays_as_battery_monitor(daemon: Daemon) -> None:
    async def scenario() -> None:
        ahead = 0.0
        async with gateway(daemon.address, clock=lambda: time.monotonic() + ahead, no_bms_after=20.0) as (output, _):
            lost = make.bank(make.battery(health=Health.LOST), health=Health.LOST)
            blocked = make.decision(ccl=0.0, dcl=0.0, blocked_since=time.monotonic(), alarms={"bms_cable": 2})
            output.publish(now(bank=lost, decision=blocked))
            await until(connected(output))
            assert await off_loop(value, daemon.address, "/Info/MaxChargeVoltage") == "double 55.2"
            ahead = 21.0
            output.publish(now(bank=lost, decision=blocked, valid_for=60.0))
            await asyncio.sleep(0.1)
            for path, expected in {
                "/Info/MaxChargeVoltage": "array [ ]", "/Info/MaxChargeCurrent": "double 0",
                "/Info/MaxDischargeCurrent": "double 0", "/Alarms/BmsCable": "int32 2", "/Soc": "double 60",
            }.items():  # fmt: skip
                assert await off_loop(value, daemon.address, path) == expected, path
            output.publish(now(valid_for=60.0))
            await asyncio.sleep(0.1)
            assert await off_loop(value, daemon.address, "/Info/MaxChargeVoltage") == "double 55.2"

    asyncio.run(scenario())


def test_every_battery_may_have_a_service_of_its_own_that_is_no_bms(daemon: Daemon) -> None:
    async def scenario() -> None:
        members = (make.battery("rack-1"), make.battery("rack 1", of=make.reading(soc=40.0), identity="S-2"))
        services = [BANK, f"{BANK}_rack_1", f"{BANK}_rack_1_2"]
        async with gateway(daemon.address, each_battery=True, custom_name="House") as (output, asked):
            output.publish(now(bank=make.bank(*members)))
            await until(lambda: len(output.status()["services"]) == 3)  # type: ignore[arg-type]
            assert await off_loop(names, daemon.address) == services
            owners = {await off_loop(owner, daemon.address, service) for service in services}
            assert len(owners) == 3  # a monitor maps signals to services by their connection
            assert await off_loop(value, daemon.address, "/Soc", service=services[2]) == "double 40"
            assert await off_loop(value, daemon.address, "/CustomName", service=services[2]) == "rack 1"
            assert await off_loop(value, daemon.address, "/CustomName") == "House"
            for path in ("/Info/MaxChargeVoltage", "/Info/MaxChargeCurrent", "/Info/MaxDischargeCurrent"):
                assert "UnknownObject" in await off_loop(value, daemon.address, path, service=services[1])
            instances = [await off_loop(value, daemon.address, "/DeviceInstance", service=name) for name in services]
            assert instances == ["int32 1", "int32 2", "int32 3"]
            path = "/Settings/ForceDischargingOff"
            await off_loop(send, daemon.address, path, "SetValue", "variant:int32:1", service=services[1])
            await until(lambda: asked)
            assert asked == [Command("discharge", 0.0, "rack-1")]
            output.publish(now(bank=make.bank(members[0])))
            await until(lambda: len(output.status()["services"]) == 2)  # type: ignore[arg-type]
            assert await off_loop(names, daemon.address) == services[:2]

    asyncio.run(scenario())


def test_cells_that_appear_later_are_announced(daemon: Daemon) -> None:
    async def scenario() -> None:
        bare = make.battery(of=Reading(voltage=53.2, soc=60.0))
        async with gateway(daemon.address, min_interval=0.1) as (output, _):
            output.publish(now(bank=make.bank(bare)))
            await until(connected(output))
            assert "UnknownObject" in await off_loop(value, daemon.address, "/Voltages/Cell1")
            await asyncio.sleep(0.1)
            output.publish(now())
            await until(lambda: output.status()["items_changed"])
            assert await off_loop(value, daemon.address, "/Voltages/Cell1") == "double 3.32"

    asyncio.run(scenario())


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "né€"])
def test_text_of_a_bms_never_breaks_the_bus(daemon: Daemon, text: str) -> None:
    async def scenario() -> None:
        odd = make.battery(of=make.reading(serial_number=text, model=text), connection=f"serial {text}")
        async with gateway(daemon.address) as (output, _):
            output.publish(now(bank=make.bank(odd)))
            await until(connected(output))
            assert (await off_loop(value, daemon.address, "/Mgmt/Connection")).startswith("serial")

    asyncio.run(scenario())
