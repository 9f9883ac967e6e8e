"""What of the RS485 output's settings is allowed but perhaps not meant towards the inverter that they name."""

from collections.abc import Iterator

from gateway.model import ConfigError
from outputs.rs485_bms import brand
from outputs.rs485_bms.brand import Brand, Spoken
from outputs.rs485_bms.settings import Settings
from outputs.rs485_bms.wire import Wire


def doubts(settings: Settings) -> Iterator[str]:
    """One sentence each; it begins with the key."""
    try:
        towards = brand.of(settings)
    except ConfigError:
        return  # that is a mistake, and said as one
    spoken = brand.spoken(settings, towards)
    if spoken.wire.limit_unit_63 < Wire().limit_unit_63 and towards.wire.limit_unit_63 != spoken.wire.limit_unit_63:
        yield (
            "wire.limit_unit_63: 0.01 A, with which an inverter that counts in 0.1 A takes limits ten times too big;"
            " watch the current that it shows as allowed"
        )
    if spoken.wire.also_answers:
        yield "wire.also_answers: an inverter that finds several batteries may add or multiply what each allows"
    if settings.inverter is not None:
        yield from _overridden(settings, towards, spoken)
        yield from _late(settings, towards)


def _overridden(settings: Settings, towards: Brand, spoken: Spoken) -> Iterator[str]:
    """Keys of gateway.yaml that win over what is known of the brand."""
    if spoken.dialect not in (towards.dialect, *towards.also_asks):
        known = ", ".join((towards.dialect, *towards.also_asks))
        yield f"dialect: {spoken.dialect}, but {settings.inverter} is known to ask in {known}"
    if settings.baud is not None and settings.baud != towards.baud:
        yield f"baud: {settings.baud}, but {settings.inverter} is known with {towards.baud}"


def _late(settings: Settings, towards: Brand) -> Iterator[str]:
    """A silence that was put off, before which the inverter cannot act by itself."""
    wait, own = settings.silence_after, towards.time_out
    if "silence_after" in settings.given and own is not None and (wait is None or wait > own):
        after = "for ever" if wait is None else f"for {wait:g} s"
        yield f"silence_after: 0 A is told {after}, longer than the {own:g} s after which {settings.inverter} would act"
