"""From settings to what a gateway is built of: reads the files that they name, and says what is doubtful."""

from gateway.config.doubts import doubts
from gateway.config.prepared import Prepared
from gateway.config.schema import Settings
from gateway.config.survey import survey
from gateway.model import ConfigError
from outputs import registry


def prepare(settings: Settings) -> Prepared:
    """All that has to be read.  Raises ConfigError for what cannot be built."""
    surveyed = survey(settings)
    if surveyed.mistakes:
        raise ConfigError(*map(str, surveyed.mistakes))
    outputs = {name: registry.prepare(name, own) for name, own in settings.outputs.items()}
    return Prepared(settings, surveyed.read, outputs, tuple(doubts(settings)))
