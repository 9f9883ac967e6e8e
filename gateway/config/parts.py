"""Which optional libraries a configuration needs and this installation lacks."""

from bms_drivers.links import factory
from gateway.config.schema import BatterySettings, Catalogue, Settings, port_kind
from gateway.extras import missing
from outputs import registry


def missing_parts(settings: Settings, catalogue: Catalogue) -> list[str]:
    """One sentence for each output, port or sensor that cannot work, with the command that installs what it needs."""
    found = [registry.missing_library(name) for name in settings.outputs]
    found += dict.fromkeys(_of_port(battery, catalogue) for battery in settings.batteries)
    if settings.bank.external_sensor is not None:
        found.append(missing("bank.external_sensor", "dbus"))
    return [sentence for sentence in found if sentence]


def _of_port(battery: BatterySettings, catalogue: Catalogue) -> str:
    if port_kind(battery.port) not in factory.LIBRARIES:
        return ""
    driver = catalogue.load(battery.driver) if battery.driver in catalogue.names() else None
    return factory.missing_library(battery.port, driver)
