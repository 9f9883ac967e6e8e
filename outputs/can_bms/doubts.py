"""What of the CAN output's settings is allowed but perhaps not meant towards the inverter that they name."""

from collections.abc import Iterator
from contextlib import suppress

from gateway.model import ConfigError, GatewayError
from outputs.can_bms import brand, dbc_file
from outputs.can_bms.brand import Brand
from outputs.can_bms.settings import Settings


def doubts(settings: Settings) -> Iterator[str]:
    """One sentence each; it begins with the key."""
    try:
        towards = brand.of(settings)
    except ConfigError:
        return  # that is a mistake, and said as one
    if settings.keepalive == "require":
        yield from _required(settings, towards)
    if settings.inverter is not None:
        yield from _overridden(settings, towards)
        yield from _late(settings, towards)
    if settings.dbc is not None:
        with suppress(GatewayError):  # a file that is gone since it was found good is said when it is opened
            yield from (f"dbc: {text}" for text in dbc_file.doubts(settings.dbc))


def _required(settings: Settings, towards: Brand) -> Iterator[str]:
    """A sign of life that may never come."""
    if towards.keepalive.sent is False:
        yield f"keepalive: require, but {settings.inverter} is known to send nothing: 0 A for ever"
    elif towards.keepalive.sent is None:
        whose = settings.inverter or "this inverter"
        yield f"keepalive: require, but whether {whose} sends anything is not known; where it does not, 0 A for ever"


def _overridden(settings: Settings, towards: Brand) -> Iterator[str]:
    """Keys of gateway.yaml that win over what is known of the brand."""
    dialect = brand.dialect_of(settings, towards)
    if settings.dbc is None and dialect not in (towards.dialect, *towards.also_reads):
        known = ", ".join((towards.dialect, *towards.also_reads))
        yield f"dialect: {dialect}, but {settings.inverter} is known to read {known}"
    if settings.dlc is not None and settings.dlc != towards.dlc:
        yield f"dlc: {settings.dlc}, but {settings.inverter} is known with {towards.dlc}"
    name, known_names = settings.manufacturer, towards.known_names
    if name and known_names and not name.startswith(known_names):
        yield f"manufacturer: {name}, but {settings.inverter} knows names that begin with {', '.join(known_names)}"


def _late(settings: Settings, towards: Brand) -> Iterator[str]:
    """A silence that was put off, before which the inverter cannot act by itself."""
    wait, own = settings.silence_after, towards.time_out
    if "silence_after" not in settings.given or own is None:
        return
    if wait is None or wait > own:
        after = "for ever" if wait is None else f"for {wait:g} s"
        yield (
            f"silence_after: 0 A is sent {after}, longer than the {own:g} s after which {settings.inverter} would act"
            " by itself"
        )
