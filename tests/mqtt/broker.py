"""A real mosquitto, and somebody who listens to it."""

import asyncio
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

MOSQUITTO = "/usr/sbin/mosquitto"


@dataclass
class Broker:
    """One broker on a port of its own; stopped, killed, started again."""

    folder: Path
    extra: str = "allow_anonymous true\n"
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Run it; what was retained is gone."""
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\npersistence false\nuser root\n{self.extra}")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", str(config)], stdout=log, stderr=log)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "mosquitto.log").read_text())

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Without a word."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)


@contextmanager
def broker(folder: Path, extra: str = "allow_anonymous true\n") -> Iterator[Broker]:
    """A broker that ends with the test."""
    made = Broker(folder, extra)
    made.start()
    try:
        yield made
    finally:
        made.signal(signal.SIGCONT)
        made.kill()


@dataclass
class Ear:
    """Everything that a client hears."""

    client: aiomqtt.Client
    heard: list[aiomqtt.Message] = field(default_factory=list)

    def of(self, end: str) -> list[bytes]:
        """Payloads of the topics that end so."""
        return [bytes(m.payload) for m in self.heard if m.topic.value.endswith(end)]

    def retained(self) -> set[str]:
        return {m.topic.value for m in self.heard if m.retain}

    async def wait(self, end: str, count: int = 1, seconds: float = 8.0) -> bytes:
        """The newest payload of a topic, once there were so many."""
        until = asyncio.get_running_loop().time() + seconds
        while len(found := self.of(end)) < count:
            assert asyncio.get_running_loop().time() < until, f"{end}: {len(found)} of {count}; {self.heard}"
            await asyncio.sleep(0.02)
        return found[-1]


@asynccontextmanager
async def listening(port: int, **more: Any) -> AsyncIterator[Ear]:
    """A client that hears all."""
    async with aiomqtt.Client("127.0.0.1", port, **more) as client:
        ear = Ear(client)

        async def hear() -> None:
            async for message in client.messages:
                ear.heard.append(message)

        await client.subscribe("#", qos=1)
        task = asyncio.create_task(hear())
        try:
            yield ear
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
