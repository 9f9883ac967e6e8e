"""From settings to what a gateway is built of: reads the files that they name, and says what is doubtful."""

from contextlib import suppress

from bms_drivers.kit import registry as drivers
from gateway.config.doubts import doubts
from gateway.config.prepared import Prepared
from gateway.config.schema import AUTO, Settings
from gateway.config.survey import survey
from gateway.model import ConfigError, MissingPart
from outputs import registry


def checked(settings: Settings) -> Prepared:
    """As `prepare`, of settings that nobody has surveyed.  Raises ConfigError for what cannot be built."""
    if mistakes := survey(settings).mistakes:
        raise ConfigError(*map(str, mistakes))
    return prepare(settings)


def prepare(settings: Settings) -> Prepared:
    """All that has to be read for settings that were found good.  Raises GatewayError for a file that is so no more."""
    read = {}
    for battery in settings.batteries:
        with suppress(MissingPart):  # that is a doubt, and said as one
            if battery.driver != AUTO:
                read[battery.name] = drivers.load(battery.driver).read(battery.setup)
    outputs = {name: registry.prepare(name, own) for name, own in settings.outputs.items()}
    return Prepared(settings, read, outputs, tuple(doubts(settings)))
