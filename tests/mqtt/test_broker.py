"""Against a real mosquitto: what is said, what is retained, and what becomes of us when it dies, stalls or refuses."""

import asyncio
import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import cli
from gateway.model import Command, GatewayError, Outcome, Snapshot
from gateway.remote import Remote
from outputs.mqtt import output
from outputs.mqtt.forget import forgotten
from outputs.mqtt.orders import Orders
from outputs.mqtt.output import Mqtt
from outputs.mqtt.settings import Settings, TlsSettings
from outputs.mqtt.topics import Topics
from tests import make
from tests.mqtt.broker import Broker, broker, listening

ROOT = Path(__file__).parent.parent.parent
ID = "0123456789ab"
BASE = f"bms-gateway/{ID}"
CONFIG = f"homeassistant/device/bms-gateway-{ID}"


class Commander:
    """The gateway's end."""

    def __init__(self) -> None:
        self.remote = Remote()

    def __call__(self, command: Command) -> "asyncio.Future[list[Outcome]]":
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        done.set_result([Outcome(True, True, f"rack-1: {command.words} confirmed, for {command.source}")])
        return done

    def restrict(self, source: str, data: object) -> Any:
        return self.remote.asked(source, data)

    def refuse(self, source: str, why: str, asked: object) -> Any:
        return self.remote.refused(source, why, asked)


def snapshot(**changes: Any) -> Snapshot:
    return make.snapshot(time.monotonic(), **changes)


def settings(port: int, **more: Any) -> Settings:
    return Settings(host="127.0.0.1", port=port, id=ID).changed(**{"interval": 0.05, "heartbeat": 0.5, **more})


@asynccontextmanager
async def running(made: Settings, first: Snapshot | None = None) -> AsyncIterator[Mqtt]:
    mqtt = Mqtt(made, Topics("bms-gateway", ID), time.monotonic, Commander())  # type: ignore[arg-type]
    await mqtt.start()
    mqtt.publish(first or snapshot())
    try:
        yield mqtt
    finally:
        await mqtt.stop()


async def until(what: Any, seconds: float = 8.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait as long as in a house."""
    monkeypatch.setattr(output, "RETRY_FIRST", 0.05)
    monkeypatch.setattr(output, "RETRY_MOST", 0.2)
    monkeypatch.setattr(output, "PATIENCE", 1.0)
    monkeypatch.setattr(output, "AFTER_BIRTH", (0.01, 0.02))


def test_states_are_sent_and_never_retained_and_who_comes_later_finds_devices_and_online(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear, running(settings(there.port)) as mqtt:
            bank = json.loads(await ear.wait("/bank"))
            assert (bank["voltage"], bank["soc"], bank["ccl"], bank["health"]) == (53.2, 60.0, 50.0, "online")
            assert bank["time_to_go"] is None and bank["remote_ccl"] is None, "every key, known or not"
            rack = json.loads(await ear.wait("/battery/rack-1"))
            assert len(rack["cell_voltages"]) == 16
            assert await ear.wait("/availability") == b"online"
            assert mqtt.status()["connected"] and mqtt.status()["problem"] == ""
            async with listening(there.port) as later:
                await later.wait("/bank")
                assert later.retained() == {f"{BASE}/availability", f"{CONFIG}/config", f"{CONFIG}-rack-1/config"}
            message = json.loads(ear.of("rack-1/config")[0])
            assert message["device"]["via_device"] == f"bms-gateway-{ID}"
            await mqtt.stop()
            await until(lambda: ear.of("/availability")[-1] == b"offline")

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_a_broker_that_dies_and_comes_back_without_memory_is_told_everything_anew(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        async with running(settings(there.port)) as mqtt:
            async with listening(there.port) as ear:
                await ear.wait("/bank")
            there.kill()
            await until(lambda: not mqtt.status()["connected"])
            mqtt.publish(snapshot(decision=make.decision(ccl=1.0)))
            mqtt.publish(snapshot(decision=make.decision(ccl=7.0)))
            there.start()
            async with listening(there.port) as ear:
                first = json.loads(await ear.wait("/bank"))
                assert first["ccl"] == 7.0, "the newest, not what was missed"
                await until(lambda: len(ear.retained() | {m.topic.value for m in ear.heard}) >= 5)
                assert await ear.wait("/availability") == b"online"
                assert ear.of("rack-1/config") and ear.of(f"{ID}/config")

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_a_connection_that_breaks_while_something_is_written_is_made_anew_and_no_exception(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(there: Broker) -> None:
        async with running(settings(there.port)) as mqtt:
            await until(lambda: mqtt.status()["connected"])
            assert mqtt._client is not None
            paho = mqtt._client._client
            paho.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]
            paho.publish("x", b"y")
            await until(lambda: mqtt.status()["connections"] == 2)

    with broker(tmp_path) as there:
        asyncio.run(run(there))
    assert not [record.getMessage() for record in caplog.records if record.name == "asyncio"]


def test_a_broker_that_stands_still_costs_neither_time_nor_memory(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        loop = asyncio.get_running_loop()
        async with running(settings(there.port, keepalive=1)) as mqtt:
            async with listening(there.port) as ear:
                await ear.wait("/bank")
            there.signal(signal.SIGSTOP)
            began, handles, slowest = loop.time(), len(list(Path("/proc/self/fd").iterdir())), 0.0
            while mqtt.status()["connected"] or loop.time() - began < 3.0:
                before = loop.time()
                mqtt.publish(snapshot(decision=make.decision(ccl=20 + loop.time() % 1)))
                slowest = max(slowest, loop.time() - before)
                await asyncio.sleep(0.01)
                assert loop.time() - began < 8.0
            assert slowest < 0.1
            assert mqtt.status()["problem"]
            assert len(list(Path("/proc/self/fd").iterdir())) <= handles + 12
            there.signal(signal.SIGCONT)
            await until(lambda: mqtt.status()["connected"])
            async with listening(there.port) as ear:
                mqtt.publish(snapshot(decision=make.decision(ccl=3.0)))
                await until(lambda: ear.of("/bank") and json.loads(ear.of("/bank")[-1])["ccl"] == 3.0)

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_a_host_that_does_not_answer_leaves_threads_to_whoever_saves_a_state() -> None:
    async def run(deaf: socket.socket) -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
        async with running(settings(deaf.getsockname()[1])) as mqtt:
            for _ in range(5):
                await asyncio.sleep(0.1)
                async with asyncio.timeout(1.0):
                    await asyncio.to_thread(time.sleep, 0.0)
            assert mqtt.status()["problem"] == "not connected yet", "it still tries"
            deaf.close()

    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as deaf,
        socket.create_connection(deaf.getsockname()),
        socket.socket() as second,
    ):
        second.setblocking(False)
        second.connect_ex(deaf.getsockname())  # no more fit in
        asyncio.run(run(deaf))


def test_a_wrong_password_is_said_once_and_a_right_one_taken_when_it_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "me", "right"], check=True)

    async def run(there: Broker) -> None:
        async with running(settings(there.port, username="me", password_file=secret)) as mqtt:
            await until(lambda: "refuses user name or password" in str(mqtt.status()["problem"]))
            await asyncio.sleep(0.5)
            secret.write_text("right\n")
            await until(lambda: mqtt.status()["connected"])
            assert "right" not in str(mqtt.status())
            secret.unlink()

    with broker(tmp_path, f"allow_anonymous false\npassword_file {tmp_path / 'users'}\n") as there:
        caplog.set_level(logging.INFO)
        asyncio.run(run(there))
    said = [r.getMessage() for r in caplog.records if r.name == "bms_gateway.mqtt"]
    assert len(said) == 2 and "refuses" in said[0] and "connected as" in said[1]
    assert "right" not in caplog.text and "wrong" not in caplog.text


@pytest.mark.parametrize(
    ("order", "retain", "accepted", "says"),
    [
        ('{"ccl": 20, "ttl_seconds": 60}', False, True, "mqtt asks for at most 20 A of charge"),
        ('{"ccl": 20}', True, False, "it is retained, so the broker would repeat it for ever"),
        ('{"ccl": -1}', False, False, "ccl -1 is no limit"),
        ('{"ccl": NaN}', False, False, "ccl nan is no limit"),
        ("20", False, False, "expected an object such as"),
        ("20A", False, False, "'20A' is no JSON"),
        ('{"ccl": "' + "9" * 2000 + '"}', False, False, "2011 bytes, expected 1024 at most"),
        ("[" * 1000, False, False, "is no JSON"),
        (r'{"ccl": "\ud800\n"}', False, False, "ccl  is no limit"),
    ],
)  # fmt: skip
def test_orders_for_limits_are_answered(tmp_path: Path, order: str, retain: bool, accepted: bool, says: str) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear:
            if retain:
                await ear.client.publish(f"{BASE}/limits/set", order, 1, retain=True)
            async with running(settings(there.port, remote_limits=True)):
                await ear.wait("/bank")
                if not retain:
                    await ear.client.publish(f"{BASE}/limits/set", order, 1)
                answer = json.loads(await ear.wait("/limits/result"))
                assert answer["accepted"] is accepted and says in answer["note"]
                assert answer["in_force"] == ({"ccl": 20.0} if accepted else {})

    with broker(tmp_path) as there:
        asyncio.run(run(there))


@pytest.mark.parametrize(
    ("action", "payload", "retain", "accepted", "says"),
    [
        ("charge", '{"value": 0, "battery": "rack-1"}', False, True, "rack-1: charge off confirmed, for mqtt"),
        ("soc", "80", False, True, "soc 80 % confirmed"),
        ("charge", "0", True, False, "it is retained"),
        ("charge", "true", False, False, "cannot be commanded, expected 0 (off) or 1 (on)"),
        ("charge", '{"value": 0, "batterie": "x"}', False, False, "without battery it is for all"),
        ("charge", "ON", False, False, "'ON' is no JSON"),
        ("charge", r'"\ud800"', False, False, "charge  cannot be commanded"),
        ("explode", "1", False, False, "no command is called 'explode'"),
    ],
)
def test_commands_are_answered(
    tmp_path: Path, action: str, payload: str, retain: bool, accepted: bool, says: str
) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear:
            if retain:
                await ear.client.publish(f"{BASE}/command/{action}", payload, 1, retain=True)
            async with running(settings(there.port, commands=True)):
                await ear.wait("/bank")
                if not retain:
                    await ear.client.publish(f"{BASE}/command/{action}", payload, 1)
                answer = json.loads(await ear.wait("/outcome"))
                assert answer["accepted"] is accepted and says in answer["note"]

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_commands_too_fast_are_refused_but_never_one_that_stops_a_current() -> None:
    async def run() -> list[bool]:
        door = Orders(Commander(), lambda: 0.0)  # type: ignore[arg-type]
        asked = [*(["1"] * 11), "0"]
        return [(await door.command("charge", raw.encode(), retained=False))["accepted"] for raw in asked]

    assert asyncio.run(run()) == [True] * 10 + [False, True]


def test_orders_are_not_heard_unless_configured(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear, running(settings(there.port)):
            await ear.wait("/bank")
            await ear.client.publish(f"{BASE}/limits/set", '{"ccl": 1}', 1)
            await ear.client.publish(f"{BASE}/command/charge", "0", 1)
            await ear.wait("/bank", 4)
            assert ear.of("/limits/result") == [] and ear.of("/outcome") == []

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_after_a_birth_everything_is_told_again(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear, running(settings(there.port, heartbeat=60.0)):
            await ear.wait("rack-1/config")
            await ear.wait("/bank")
            await asyncio.sleep(0.2)
            assert len(ear.of("rack-1/config")) == 1
            await ear.client.publish("homeassistant/status", "online")
            await ear.wait("rack-1/config", 2)
            await ear.wait("/bank", 2)

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_what_must_not_wait_does_not(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        async with listening(there.port) as ear, running(settings(there.port, interval=60.0)) as mqtt:
            await ear.wait("/bank")
            mqtt.publish(snapshot(decision=make.decision(ccl=49.0)))
            assert json.loads(await ear.wait("/bank", 2, seconds=2))["ccl"] == 49.0
            mqtt.publish(snapshot(decision=make.decision(ccl=49.0, alarms={"high_cell_voltage": 2})))
            assert json.loads(await ear.wait("/bank", 3, seconds=2))["alarm_high_cell_voltage"] == 2
            mqtt.publish(snapshot(decision=make.decision(ccl=50.0, alarms={"high_cell_voltage": 2})))
            await asyncio.sleep(0.3)
            assert len(ear.of("/bank")) == 3, "what rises can wait"

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_past_its_deadline_a_state_withdraws_the_limits_and_before_the_first_complete_one_nothing_is_said(
    tmp_path: Path,
) -> None:
    async def run(there: Broker) -> None:
        waiting = snapshot(bank=make.bank(complete=False))
        async with listening(there.port) as ear, running(settings(there.port), waiting) as mqtt:
            await ear.wait("/availability")
            await asyncio.sleep(0.3)
            assert ear.of("/bank") == [] and ear.of("/config") == []
            mqtt.publish(replace(snapshot(), valid_until=time.monotonic() + 0.3))
            assert json.loads(await ear.wait("/bank"))["ccl"] == 50.0
            other = make.bank(make.battery("other", reading=None), complete=False)
            mqtt.publish(snapshot(bank=other, decision=make.decision(ccl=40.0)))  # since a SIGHUP
            await until(lambda: json.loads(ear.of("/bank")[-1])["ccl"] == 0.0)
            assert json.loads(ear.of("/bank")[-1])["voltage"] is None
            assert all(json.loads(told)["ccl"] in (50.0, 0.0) for told in ear.of("/bank"))
            mqtt.publish(snapshot(decision=make.decision(ccl=30.0)))
            await until(lambda: json.loads(ear.of("/bank")[-1])["ccl"] == 30.0)

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_tls_verifies_the_broker(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key.pem"),
         "-out", str(tmp_path / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip

    async def run(there: Broker) -> None:
        async with running(settings(there.port, tls=TlsSettings())) as mqtt:
            await until(lambda: "certificate verify failed" in str(mqtt.status()["problem"]))
        async with running(settings(there.port, tls=TlsSettings(ca_file=tmp_path / "cert.pem"))) as mqtt:
            await until(lambda: mqtt.status()["connected"])

    extra = f"allow_anonymous true\ncertfile {tmp_path / 'cert.pem'}\nkeyfile {tmp_path / 'key.pem'}\n"
    with broker(tmp_path, extra) as there:
        asyncio.run(run(there))


def test_forget_removes_what_the_broker_keeps(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        made, topics = settings(there.port), Topics("bms-gateway", ID)
        two = snapshot(bank=make.bank(make.battery("a"), make.battery("b")))
        async with running(made, two), listening(there.port) as ear:
            await ear.wait("/battery/b")
        assert await forgotten(made, topics, "b", 0.3) == [f"{CONFIG}-b/config"]
        removed = await forgotten(made, topics, "", 0.3)
        assert removed == [f"{BASE}/availability", f"{CONFIG}-a/config", f"{CONFIG}/config"]
        assert await forgotten(made, topics, "", 0.2) == []
        async with listening(there.port) as ear:
            await asyncio.sleep(0.2)
            assert ear.heard == []

    with broker(tmp_path) as there:
        asyncio.run(run(there))
    with pytest.raises(GatewayError, match=f"127.0.0.1:{there.port}: "):
        asyncio.run(forgotten(settings(there.port), Topics("bms-gateway", ID), "", 0.2))


def test_the_command_line_names_the_topics_and_says_where_there_is_no_broker(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    mqtt = f"outputs:\n  mqtt: {{host: 127.0.0.1, port: 9, id: '{ID}', remote_limits: true}}\n"
    file.write_text("batteries:\n  - {name: Rack A, driver: jbd, port: simulated}\n" + mqtt)
    said = CliRunner().invoke(cli, ["mqtt", "topics", "-c", str(file)]).output
    assert f"{BASE}/battery/rack-a  those of Rack A" in said and f"{BASE}/limits/set  orders" in said
    done = CliRunner().invoke(cli, ["mqtt", "forget", "-c", str(file)])
    assert isinstance(done.exception, GatewayError) and str(done.exception).startswith("127.0.0.1:9: ")


ALONE = """
import asyncio, sys, time
from outputs.mqtt.orders import Orders
from outputs.mqtt.output import Mqtt
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics
from tests.make import snapshot

async def main():
    made = Settings(host="127.0.0.1", port=int(sys.argv[1]), id=sys.argv[2])
    mqtt = Mqtt(made, Topics("bms-gateway", sys.argv[2]), time.monotonic, None)
    await mqtt.start()
    mqtt.publish(snapshot(time.monotonic()))
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_of_a_gateway_that_is_killed_the_broker_says_that_it_is_gone(tmp_path: Path) -> None:
    async def run(there: Broker) -> None:
        words = [sys.executable, "-c", ALONE, str(there.port), ID]
        async with listening(there.port) as ear:
            process = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
            assert await ear.wait("/availability", seconds=15) == b"online"
            process.kill()
            await process.wait()
            assert await ear.wait("/availability", 2) == b"offline"

    with broker(tmp_path) as there:
        asyncio.run(run(there))


def test_without_the_library_the_output_says_so_and_without_the_output_nothing_is_loaded() -> None:
    program = (
        "import sys; sys.modules['aiomqtt'] = None\n"
        "from gateway.config.load import parse; from gateway.config.doubts import doubts\n"
        "from outputs.registry import build, prepare\n"
        "head = 'batteries: [{name: a, driver: jbd, port: simulated}]\\n'\n"
        "parse(head)\n"
        "assert not [name for name in sys.modules if name.startswith(('outputs.mqtt', 'outputs.modbus', 'paho'))]\n"
        "made = parse(head + 'outputs: {mqtt: {host: h}, modbus_tcp: {}}\\n')\n"
        "print([doubt for doubt in doubts(made) if 'aiomqtt' in doubt])\n"
        "print(build('mqtt', prepare('mqtt', made.outputs['mqtt']), None, None, 'x').status())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = "outputs.mqtt needs aiomqtt, which is not installed; install it with: "
    assert done.stdout.count(said) == 2 and "'connected': False" in done.stdout
