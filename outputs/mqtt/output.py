"""The MQTT output: one task that connects, tells what is new, and hears orders; a broker's fault stays in it.

    away --connected--> subscribe --> online (retained) --> configs --> states ... --lost, or no word in time--> away

At most one message is on its way.  A broker that reads no more is left after a time-out, for what is waiting there
would grow without a bound; then the newest states are sent to whoever is there next.  Sheet: face.md chapter 2.
"""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import aiomqtt

from gateway.model import GatewayError, Snapshot
from gateway.supervise import Supervisor
from outputs.mqtt.credentials import password, tls
from outputs.mqtt.messages import Message, Messages
from outputs.mqtt.orders import Orders
from outputs.mqtt.settings import Settings
from outputs.mqtt.states import payload
from outputs.mqtt.topics import Topics
from outputs.output import Clock, Commander

log = logging.getLogger("bms_gateway.mqtt")

PATIENCE: Final = 5.0  # s for one message
LEAVE_WITHIN: Final = 2.0  # s for the last one
RETRY_FIRST, RETRY_MOST = 1.0, 30.0  # s between connections
LOOKS: Final = 4  # at the connection, each keepalive
WAITING_MOST: Final = 20  # messages from the broker that wait for us
AFTER_BIRTH: Final = (1.0, 4.0)  # s; not all devices of a house at once


class Client(aiomqtt.Client):
    """Wakes nobody needlessly: a wake-up costs more than what is done.

    It looks after its connection some times each keepalive, not each second, and writes at once what is to be written.
    """

    pause = 1.0  # s
    connected = False

    async def _misc_loop(self) -> None:
        """Send pings, and find out that the broker does not answer them."""
        while self._client.loop_misc() == 0:
            await asyncio.sleep(self.pause)

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """There is something to write: mostly the system takes all of it now; else wait until it can take more.

        Once connected that is waited for from now on: a moment later the number may be another file's.
        """
        if not self.connected:
            return super()._on_socket_register_write(client, userdata, sock)
        client.loop_write()
        if client.want_write() and client.socket() is not None:  # else it was closed over this
            self._loop.add_writer(sock.fileno(), client.loop_write)
        return None


class Mqtt:
    """See outputs.output.Output for what it promises."""

    name = "mqtt"

    def __init__(self, settings: Settings, topics: Topics, clock: Clock, commander: Commander) -> None:
        self._settings, self._topics = settings, topics
        self._orders = Orders(commander, clock)
        self._obeying: set[asyncio.Task[None]] = set()
        self._messages = Messages(settings, topics, clock)
        self._supervisor = Supervisor(self.name)
        self._snapshot: Snapshot | None = None
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._client: aiomqtt.Client | None = None
        self._problem = "not connected yet"
        self._counters: Counter[str] = Counter()
        self._where = f"{settings.host}:{settings.broker_port}"
        logging.getLogger("bms_gateway.mqtt.client").setLevel(logging.CRITICAL)  # what it has to say is raised here

    # ---- what every output does

    async def start(self) -> None:
        """Connect in the background."""
        self._task = asyncio.create_task(self._supervisor.keep(self._run), name=self.name)

    def publish(self, snapshot: Snapshot) -> None:
        """Keep the newest; what must not wait is sent at once.

        One that is not complete is of other batteries: what was told of those before ends with its own deadline.
        """
        if not snapshot.bank.complete:
            return
        self._snapshot = snapshot
        if self._messages.is_urgent(snapshot):
            self._news.set()

    async def stop(self) -> None:
        """Say that we are gone: the broker's will is for those who do not."""
        task, self._task, client = self._task, None, self._client
        if client is not None:
            with contextlib.suppress(aiomqtt.MqttError):
                message = Message(self._topics.availability, b"offline", qos=1, retain=True)
                await self._send(client, message, LEAVE_WITHIN)
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=LEAVE_WITHIN)

    def status(self) -> Mapping[str, object]:
        """Connection, problem and counters."""
        return {
            "connected": self._client is not None, "problem": self._problem, "broker": self._where,
            "topic": self._topics.base, **{name: self._counters[name] for name in
                                           ("sent", "timeouts", "connections", "orders", "refused")},
        }  # fmt: skip

    # ---- the connection

    async def _run(self) -> None:
        """Connect, and connect again, for ever."""
        failures = 0
        while True:
            connections = self._counters["connections"]
            try:
                await self._session()
            except (aiomqtt.MqttError, GatewayError, OSError, ValueError) as problem:
                self._tell(_words(problem))
            failures = 0 if self._counters["connections"] > connections else failures + 1
            await asyncio.sleep(min(RETRY_MOST, RETRY_FIRST * 2.0 ** min(failures, 16)))

    async def _session(self) -> None:
        """One connection, from its beginning to its end.  Raises MqttError, GatewayError, OSError."""
        client = await self._new_client()
        try:
            async with client:
                client.connected = True
                self._counters["connections"] += 1
                await self._greet(client)
                self._client = client
                self._tell("")
                await self._talk(client)
        finally:
            self._client = None

    async def _new_client(self) -> Client:
        """Files are read in a thread.  Raises GatewayError."""
        settings = self._settings
        secret = await asyncio.to_thread(password, settings)
        context = await asyncio.to_thread(tls, settings.tls)
        client = Client(
            settings.host, settings.broker_port, username=settings.username, password=secret, tls_context=context,
            identifier=self._topics.device(), keepalive=settings.keepalive, timeout=PATIENCE,
            will=aiomqtt.Will(self._topics.availability, "offline", 1, True),
            max_queued_incoming_messages=WAITING_MOST, logger=logging.getLogger("bms_gateway.mqtt.client"),
        )  # fmt: skip
        client.pause = settings.keepalive / LOOKS
        return client

    async def _greet(self, client: aiomqtt.Client) -> None:
        """Whatever the broker still has of us, or has lost, all is told anew.  Raises MqttError."""
        if self._settings.home_assistant.enabled:
            await client.subscribe(self._settings.home_assistant.birth_topic)
        if self._settings.remote_limits:
            await client.subscribe(self._topics.set_limits, qos=1)
        if self._settings.commands:
            await client.subscribe(self._topics.command("+"), qos=1)
        self._messages.anew()
        await self._send(client, Message(self._topics.availability, b"online", qos=1, retain=True))

    async def _talk(self, client: aiomqtt.Client) -> None:
        """Until the connection is lost.  Raises MqttError."""
        hearing = asyncio.create_task(self._hear(client))
        telling = asyncio.create_task(self._say(client))
        try:
            done, _ = await asyncio.wait((hearing, telling), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (hearing, telling):
                task.cancel()
            await asyncio.gather(hearing, telling, return_exceptions=True)

    async def _say(self, client: aiomqtt.Client) -> None:
        """What is due, again and again.  Raises MqttError."""
        while True:
            self._news.clear()
            if self._snapshot is not None:
                for message, what in self._messages.due(self._snapshot):
                    await self._send(client, message)
                    self._messages.sent(message, what)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.interval):
                    await self._news.wait()

    async def _send(self, client: aiomqtt.Client, message: Message, patience: float = PATIENCE) -> None:
        """One message, until the system has taken it.  Raises MqttError."""
        try:
            await client.publish(message.topic, message.payload, message.qos, message.retain, timeout=patience)
        except aiomqtt.MqttError:
            self._counters["timeouts"] += 1
            raise
        self._counters["sent"] += 1

    # ---- what comes

    async def _hear(self, client: aiomqtt.Client) -> None:
        """Orders, and Home Assistant's word that it is there.  Raises MqttError."""
        async for message in client.messages:
            with self._supervisor.trying(passing=(aiomqtt.MqttError,)):
                await self._heard(client, message)

    async def _heard(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        raw = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
        topic = message.topic.value
        if topic == self._topics.set_limits:
            answer = self._orders.limits(raw, retained=message.retain)
            self._counters["orders" if answer.accepted else "refused"] += 1
            self._news.set()
            await self._send(client, Message(self._topics.result, payload(answer.json()), qos=1))
        elif topic.startswith(self._topics.command("")):
            self._obey(client, topic.rpartition("/")[2], raw, retained=message.retain)
        elif raw.decode(errors="replace") == self._settings.home_assistant.birth_payload:
            asyncio.get_running_loop().call_later(random.uniform(*AFTER_BIRTH), self._tell_anew)

    def _obey(self, client: aiomqtt.Client, action: str, raw: bytes, *, retained: bool) -> None:
        """Have a command performed, and tell what became of it; other messages are heard meanwhile."""

        async def work() -> None:
            with self._supervisor.trying(passing=(aiomqtt.MqttError,)), contextlib.suppress(aiomqtt.MqttError):
                answer = await self._orders.command(action, raw, retained=retained)
                self._counters["orders" if answer["accepted"] else "refused"] += 1
                await self._send(client, Message(self._topics.outcome, payload(answer), qos=1))

        task = asyncio.create_task(work())
        self._obeying.add(task)
        task.add_done_callback(self._obeying.discard)

    def _tell_anew(self) -> None:
        """Home Assistant began anew."""
        self._messages.anew()
        self._news.set()

    def _tell(self, problem: str) -> None:
        """Log a change, once."""
        if problem == self._problem:
            return
        before, self._problem = self._problem, problem
        if problem:
            log.warning("%s: %s (tried again until it is there)", self._where, problem)
        elif before:
            log.info("%s: connected as %s", self._where, self._topics.device())


def _words(problem: Exception) -> str:
    """What went wrong, in a line."""
    text = str(problem) or type(problem).__name__
    if "Not authorized" in text or "Bad user name" in text:
        return f"the broker refuses user name or password ({text.partition('] ')[2] or text})"
    return text
