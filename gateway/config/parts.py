"""Which optional libraries a configuration needs and this installation lacks."""

from bms_drivers.links import factory
from gateway.config.schema import Settings, port_kind
from gateway.extras import missing
from outputs import registry


def missing_parts(settings: Settings) -> list[str]:
    """One sentence for each output, port or sensor that cannot work, with the command that installs what it needs."""
    found = [registry.missing_library(name) for name in settings.outputs]
    places = dict.fromkeys(battery.port for battery in settings.batteries)
    found += [factory.missing_library(port) for port in places if port_kind(port) in factory.LIBRARIES]
    if settings.bank.external_sensor is not None:
        found.append(missing("bank.external_sensor", "dbus"))
    return [sentence for sentence in found if sentence]
