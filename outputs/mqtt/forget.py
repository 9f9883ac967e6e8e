"""Takes retained messages of one gateway off the broker."""

import asyncio
import contextlib

import aiomqtt

from gateway.model import GatewayError
from outputs.mqtt.credentials import password, tls
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics


async def forgotten(settings: Settings, topics: Topics, part: str, wait: float) -> list[str]:
    """The topics whose retained messages were removed: of one battery, or with `part` "" all of this gateway.

    Raises GatewayError where the broker cannot be reached.
    """
    try:
        async with aiomqtt.Client(
            settings.host, settings.broker_port, username=settings.username, password=password(settings),
            tls_context=tls(settings.tls), timeout=10.0,
        ) as client:  # fmt: skip
            kept = await _kept(client, settings, topics, part, wait)
            for topic in kept:
                await client.publish(topic, b"", qos=1, retain=True)
    except (aiomqtt.MqttError, OSError) as problem:
        raise GatewayError(f"{settings.host}:{settings.broker_port}: {problem}") from None
    return kept


async def _kept(client: aiomqtt.Client, settings: Settings, topics: Topics, part: str, wait: float) -> list[str]:
    """What the broker has of it."""
    prefix = settings.home_assistant.prefix
    exact, every = topics.config(prefix, part), f"{prefix}/device/{topics.device()}-"
    await client.subscribe([(f"{prefix}/device/+/config", 1), (topics.availability, 1)])
    found: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(wait):
            async for message in client.messages:
                topic = message.topic.value
                ours = topic == exact or (not part and (topic.startswith(every) or topic == topics.availability))
                if ours and message.retain and message.payload:
                    found.append(topic)
    return sorted(found)
