"""What of the MQTT settings cannot be built, found without opening a connection."""

from collections.abc import Iterable, Iterator, Sequence

from gateway.model import GatewayError
from outputs.mqtt.credentials import password, tls
from outputs.mqtt.settings import Settings
from outputs.mqtt.topics import part


def problems(settings: Settings) -> Iterator[tuple[tuple[str, ...], str]]:
    """Keys below the output, and why."""
    for ask in (lambda: password(settings), lambda: tls(settings.tls)):
        try:
            ask()
        except GatewayError as problem:
            keys, _, text = str(problem).partition(": ")
            yield tuple(keys.split(".")), text


def name_clashes(names: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Batteries whose names are one and the same as parts of a topic, and the reason."""
    taken: dict[str, str] = {}
    for name in names:
        first = taken.setdefault(part(name), name)
        if first != name:
            yield name, f"{name!r} and {first!r} are both {part(name)!r} as part of an MQTT topic, expected two names"
