"""How the registry makes the MQTT output."""

from outputs.mqtt.output import Mqtt
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import Topics
from outputs.output import Clock, Commander


def build(settings: Settings, clock: Clock, commander: Commander, identity: str) -> Mqtt:
    """The output; `identity` tells this gateway from others, unless the settings do."""
    return Mqtt(settings, Topics(settings.topic, settings.id or identity), clock, commander)
